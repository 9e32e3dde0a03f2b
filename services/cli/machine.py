"""What machine this is: for `doctor` and for every benchmark, where a figure without its machine means nothing."""

import asyncio
import platform
import shutil
import subprocess
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil

from services import __version__

_GPU_DEADLINE_S = 5.0
_NVIDIA_SMI = ("nvidia-smi", "--query-gpu=name,memory.total,driver_version", "--format=csv,noheader")
# What the engines' kernels look for.
_FLAGS = ("avx2", "avx512f", "avx512_vnni", "amx_int8", "asimd")


@dataclass(frozen=True, slots=True)
class Machine:
    """Facts of this machine. `gpus` is empty when there is none, which is said, never hidden."""

    cpu: str
    cores: int
    flags: tuple[str, ...]
    memory_gb: float
    gpus: tuple[str, ...]
    system: str
    python: str

    def to_json(self) -> dict[str, object]:
        """As in the benchmark file."""
        return {**asdict(self), "gpu": ", ".join(self.gpus) or "none"}


async def machine() -> Machine:
    """Look, without changing anything."""
    model, flags = _cpu()
    return Machine(
        cpu=model,
        cores=len(psutil.Process().cpu_affinity() or [0]),
        flags=flags,
        memory_gb=round(psutil.virtual_memory().total / 1e9, 1),
        gpus=await gpus(),
        system=f"{platform.system()} {platform.release()}",
        python=platform.python_version(),
    )


async def gpus() -> tuple[str, ...]:
    """NVIDIA GPUs by nvidia-smi; none when it is missing, fails or does not answer."""
    if shutil.which(_NVIDIA_SMI[0]) is None:
        return ()
    process = await asyncio.create_subprocess_exec(
        *_NVIDIA_SMI, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL
    )
    try:
        out, _ = await asyncio.wait_for(process.communicate(), _GPU_DEADLINE_S)
    except TimeoutError:
        process.kill()
        return ()
    lines = out.decode("utf-8", "replace").splitlines() if process.returncode == 0 else []
    return tuple(line.strip() for line in lines if line.strip())


def commit() -> str:
    """Version, git commit and whether the tree was changed; the version alone outside a checkout."""
    root = Path(__file__).resolve().parents[2]
    if not (root / ".git").exists() or shutil.which("git") is None:
        return __version__
    head = _git(root, "rev-parse", "--short=12", "HEAD")
    # Results of earlier runs are no change of the code.
    changed = _git(root, "status", "--porcelain", "--untracked-files=no", "--", "services", "proto", "pyproject.toml")
    return f"{__version__} {head}{' (changed)' if changed else ''}".strip()


def _git(root: Path, *arguments: str) -> str:
    done = subprocess.run(("git", "-C", str(root), *arguments), capture_output=True, text=True, check=False, timeout=5)
    return done.stdout.strip() if done.returncode == 0 else ""


def _cpu() -> tuple[str, tuple[str, ...]]:
    try:
        info = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return platform.processor() or platform.machine(), ()
    facts: dict[str, str] = {}
    for line in info.splitlines():
        key, _, value = line.partition(":")
        facts.setdefault(key.strip(), value.strip())
    present = set((facts.get("flags") or facts.get("Features") or "").split())
    return facts.get("model name") or platform.machine(), tuple(flag for flag in _FLAGS if flag in present)
