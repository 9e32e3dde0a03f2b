"""Print what pip should install beside vLLM's CPU wheel: its requirements without the media packages, and ours.

Usage: vllm_requirements.py WHEEL PYPROJECT. The wheel's own metadata is read, so a new version needs no list here.
"""

import re
import sys
import tomllib
import zipfile
from email.parser import Parser
from pathlib import Path

from pip._vendor.packaging.requirements import Requirement

# Text models on a CPU use none of these, and the first four want another torch.
LEFT_OUT = {"torch", "torchaudio", "torchvision", "torchcodec", "opencv-python-headless", "triton"}
TESTS = ["pytest>=8.4", "pytest-asyncio>=1.2", "pytest-timeout>=2.4", "hypothesis>=6.140"]
# transformers reads GGUF with these.
CONVERSION = ["gguf>=0.17", "accelerate>=1.10"]


def wheel_requirements(wheel: Path) -> list[str]:
    """Requires-Dist of the wheel that hold on this machine, without the packages left out."""
    with zipfile.ZipFile(wheel) as archive:
        name = next(n for n in archive.namelist() if n.endswith(".dist-info/METADATA"))
        metadata = Parser().parsestr(archive.read(name).decode())
    wanted = [Requirement(line) for line in metadata.get_all("Requires-Dist", [])]
    here = [r for r in wanted if r.marker is None or r.marker.evaluate({"extra": ""})]
    kept = [r for r in here if re.sub(r"[-_.]+", "-", r.name).lower() not in LEFT_OUT]
    return [str(requirement).partition(";")[0] for requirement in kept]


def our_requirements(pyproject: Path) -> list[str]:
    """What every process needs, and the llm service beside its engine."""
    project = tomllib.loads(pyproject.read_text(encoding="utf-8"))["project"]
    engine = [line for line in project["optional-dependencies"]["llm-vllm"] if not line.startswith("vllm")]
    return [*project["dependencies"], *engine]


if __name__ == "__main__":
    print(
        "\n".join([*wheel_requirements(Path(sys.argv[1])), *our_requirements(Path(sys.argv[2])), *TESTS, *CONVERSION])
    )
