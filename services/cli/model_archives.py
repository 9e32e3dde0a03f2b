"""Members read out of wheels, source archives and directories: bytes only, nothing installed or imported."""

import shutil
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from services.common.errors import TrunklineError

CHUNK_BYTES = 1024 * 1024
Watch = Callable[[int], None]


class FetchError(TrunklineError):
    """A model could not be fetched; says from where, why and what to do."""


class Archives:
    """The members of several archives as one namespace; a member that two archives hold is refused."""

    def __init__(self, paths: list[Path]) -> None:
        self._where: dict[str, Path] = {}
        for path in paths:
            for name in _names(path):
                if name in self._where:
                    raise FetchError(f"{path.name} and {self._where[name].name} both hold {name}.")
                self._where[name] = path

    def concatenate(self, members: tuple[str, ...], target: Path, watch: Watch) -> None:
        """Write the members one after the other to `target`. Raises FetchError naming the member that is not there."""
        for member in members:
            if member not in self._where:
                raise FetchError(f"Expected the member {member} in the archives, found no such name.")
        target.parent.mkdir(parents=True, exist_ok=True)
        with target.open("wb") as out:
            for member in members:
                with _member(self._where[member], member) as stream:
                    _copy(stream, out, watch, f"{self._where[member].name}: {member}")


def copy_file(source: Path, target: Path, watch: Watch) -> None:
    """Copy with progress (for packages that another tool unpacked)."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with source.open("rb") as stream, target.open("wb") as out:
        _copy(stream, out, watch, str(source))


def _copy(stream: IO[bytes], out: IO[bytes], watch: Watch, what: str) -> None:
    try:
        while chunk := stream.read(CHUNK_BYTES):
            out.write(chunk)
            watch(len(chunk))
    except (zipfile.BadZipFile, tarfile.TarError, zlib.error, EOFError) as error:
        raise FetchError(f"{what} is damaged: {error}.", remedy="Run the command again.") from error


def _names(path: Path) -> Iterator[str]:
    """File members only. In a tar a link or device has no bytes of its own, so it is not a member to us."""
    try:
        if path.suffix == ".whl":
            with zipfile.ZipFile(path) as wheel:
                yield from (info.filename for info in wheel.infolist() if not info.is_dir())
        else:
            with tarfile.open(path) as tar:
                yield from (info.name for info in tar if info.isfile())
    except (zipfile.BadZipFile, tarfile.TarError, zlib.error, EOFError) as error:
        path.unlink(missing_ok=True)  # So that the next run fetches it again.
        raise FetchError(f"{path.name} is not a whole archive: {error}.", remedy="Run it again.") from error


@contextmanager
def _member(path: Path, name: str) -> Iterator[IO[bytes]]:
    if path.suffix == ".whl":
        with zipfile.ZipFile(path) as wheel, wheel.open(name) as stream:
            yield stream
        return
    with tarfile.open(path) as tar:
        extracted = tar.extractfile(name)
        if extracted is None:
            raise FetchError(f"{path.name}: {name} is not a file.")
        with extracted as stream:
            yield stream


def free_bytes(path: Path) -> int:
    """Space left on the file system that will hold `path`."""
    while not path.exists():
        path = path.parent
    return shutil.disk_usage(path).free
