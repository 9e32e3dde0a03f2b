"""Where weights lie and whether they are the ones the manifest names; nothing is fetched here.

`ModelStore(settings.models).path("whisper-tiny.en")` gives the directory of a model after checking every
file's sha256, or raises MissingModelError with the command to run. A hash is taken once per file: a stamp of
size and mtime beside the files lets later starts skip it (`trunkline models verify` always hashes).
"""

import hashlib
import json
import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from rapidfuzz import process as fuzzy

from services.common.errors import MissingModelError
from services.common.model_manifest import ModelEntry, ModelFile, load_manifest, manifest_path
from services.common.settings import ModelsSettings

__all__ = ["FileStatus", "ModelEntry", "ModelFile", "ModelStore", "sha256_of"]

STAMP = ".verified.json"
PINS = "pins.json"
HASH_CHUNK_BYTES = 1024 * 1024
State = Literal["ok", "missing", "altered", "unpinned"]


@dataclass(frozen=True)
class FileStatus:
    """A file on disk compared with the manifest. `got_sha256` is empty when it was not hashed."""

    model: str
    file: ModelFile
    path: Path
    state: State
    got_sha256: str = ""

    def problem(self) -> str:
        """One line for a person; empty when all is well."""
        if self.state == "missing":
            return f"{self.path} is missing"
        if self.state == "altered":
            return f"{self.path} is altered: expected sha256 {self.file.sha256}, got {self.got_sha256}"
        if self.state == "unpinned":
            return f"{self.path} has no pinned sha256"
        return ""


class ModelStore:
    """The models directory, read through the manifest."""

    def __init__(self, settings: ModelsSettings, manifest: Path | None = None) -> None:
        self.dir = settings.dir.expanduser()
        self.entries: dict[str, ModelEntry] = load_manifest(manifest or manifest_path())
        self._verify = settings.verify_on_start

    def entry(self, name: str) -> ModelEntry:
        """The manifest's entry, with hashes pinned on this site filled in. Raises MissingModelError."""
        entry = self.entries.get(name)
        if entry is None:
            nearest = fuzzy.extractOne(name, list(self.entries))
            hint = f" Did you mean {nearest[0]}?" if nearest else ""
            raise MissingModelError(
                f"No model is named {name!r} in the manifest.{hint}", remedy="See `trunkline models list`."
            )
        pins = self._pins().get(name, {})
        return entry.with_pins(pins) if pins else entry

    def path(self, name: str) -> Path:
        """Directory of the model's files, all present and unaltered. Raises MissingModelError."""
        entry = self.entry(name)
        statuses = self.check(entry) if self._verify else self._presence(entry)
        bad = [status for status in statuses if status.state != "ok"]
        if bad:
            raise _missing(entry, bad)
        return self.dir / name

    def check(
        self, entry: ModelEntry, *, full: bool = False, progress: Callable[[int], None] | None = None
    ) -> list[FileStatus]:
        """State of every file. `full`: hash whatever the stamp says; `progress` is told of bytes hashed."""
        on_disk = self._read_json(self.dir / entry.name / STAMP)
        stamp = {} if full else on_disk
        statuses = [self._check_file(entry, file, stamp, progress) for file in entry.files]
        good = {s.file.name: _stamp_of(s.path, s.file.sha256) for s in statuses if s.state == "ok"}
        if good != on_disk:
            _write_json(self.dir / entry.name / STAMP, good)
        return statuses

    def pin(self, name: str) -> dict[str, str]:
        """Record, for this site, the sha256 of the files of a model that the manifest leaves unpinned."""
        entry = self.entry(name)
        pins = dict(self._pins().get(name, {}))
        for file in entry.files:
            path = self.dir / name / file.name
            if file.sha256:
                continue
            if not path.is_file():
                raise _missing(entry, [FileStatus(name, file, path, "missing")])
            pins[file.name] = sha256_of(path)
        _write_json(self.dir / PINS, {**self._pins(), name: pins}, required=True)
        return pins

    def _presence(self, entry: ModelEntry) -> list[FileStatus]:
        paths = [(file, self.dir / entry.name / file.name) for file in entry.files]
        return [FileStatus(entry.name, f, p, "ok" if p.is_file() else "missing") for f, p in paths]

    def _check_file(
        self,
        entry: ModelEntry,
        file: ModelFile,
        stamp: dict[str, object],
        progress: Callable[[int], None] | None,
    ) -> FileStatus:
        path = self.dir / entry.name / file.name
        if not path.is_file():
            return FileStatus(entry.name, file, path, "missing")
        if not file.sha256:
            return FileStatus(entry.name, file, path, "unpinned")
        if stamp.get(file.name) == _stamp_of(path, file.sha256):
            return FileStatus(entry.name, file, path, "ok")
        got = sha256_of(path, progress)
        return FileStatus(entry.name, file, path, "ok" if got == file.sha256 else "altered", got)

    def _pins(self) -> dict[str, dict[str, str]]:
        return self._read_json(self.dir / PINS)

    @staticmethod
    def _read_json(path: Path) -> dict[str, Any]:
        try:
            data = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}  # No stamp, or one cut short: the files are hashed again.
        return data if isinstance(data, dict) else {}


def sha256_of(path: Path, progress: Callable[[int], None] | None = None) -> str:
    """Hex sha256 of a file, read in chunks; `progress` is told of the bytes of each."""
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while chunk := stream.read(HASH_CHUNK_BYTES):
            digest.update(chunk)
            if progress:
                progress(len(chunk))
    return digest.hexdigest()


def _stamp_of(path: Path, sha256: str) -> list[object]:
    stat = path.stat()
    return [stat.st_size, stat.st_mtime_ns, sha256]


def _missing(entry: ModelEntry, bad: Iterable[FileStatus]) -> MissingModelError:
    bad = list(bad)
    verb = "pin" if all(status.state == "unpinned" for status in bad) else "fetch"
    return MissingModelError(
        f"Model {entry.name}: {'; '.join(status.problem() for status in bad)}.",
        remedy=f"Run `trunkline models {verb} {entry.name}`.",
    )


def _write_json(path: Path, data: object, *, required: bool = False) -> None:
    """Write by rename. A store that is read-only (a mounted image) only costs the hash at each start."""
    scratch = path.with_name(f"{path.name}.{os.getpid()}")
    try:
        scratch.write_text(json.dumps(data, indent=1), encoding="utf-8")
        scratch.replace(path)
    except OSError:
        if required:
            raise
