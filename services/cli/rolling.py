"""Restarting the orchestrator workers in turn: asked by `trunkline restart-workers`, done by `trunkline up`.

The two meet in `data_dir/up.json`: who runs the stack, and how many rounds are done. The request is a SIGUSR1 (not
SIGHUP: that is what closing a terminal sends, and it must go on ending the stack).
"""

import asyncio
import json
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil
import typer

from services.cli.stack import Launch
from services.cli.supervisor import Supervisor
from services.common.clock import Clock, sleep_s
from services.common.errors import UnavailableError

_POLL_S = 0.2


@dataclass(frozen=True, slots=True)
class Running:
    """The `trunkline up` of a data directory: its process, rounds finished, and whether one is under way."""

    pid: int
    created_s: float
    rounds: int = 0
    rolling: bool = False


def read_running(launch: Launch) -> Running:
    """Raises UnavailableError when no stack of this data directory runs here."""
    path = _path(launch)
    try:
        found = Running(**json.loads(path.read_text(encoding="utf-8")))
        alive = psutil.Process(found.pid).create_time() == found.created_s
    except (OSError, ValueError, TypeError, psutil.Error):
        alive = False
    if not alive:
        raise UnavailableError(
            f"No running stack is known in {path.parent}.", remedy="Use the data_dir that trunkline up was given."
        )
    return found


class RollingRestarts:
    """The side of `trunkline up`."""

    def __init__(self, launch: Launch, supervisor: Supervisor) -> None:
        self._path = _path(launch)
        self._supervisor = supervisor
        self._task: asyncio.Task[None] | None = None
        self._rounds = 0

    @contextmanager
    def listening(self) -> Iterator[None]:
        """While the stack runs: known in the file, restarts on SIGUSR1."""
        loop = asyncio.get_running_loop()
        self._write(rolling=False)
        loop.add_signal_handler(signal.SIGUSR1, self._asked)
        try:
            yield
        finally:
            loop.remove_signal_handler(signal.SIGUSR1)
            if self._task is not None:
                self._task.cancel()
            self._path.unlink(missing_ok=True)

    def _asked(self) -> None:
        if self._task is None or self._task.done():
            self._write(rolling=True)
            self._task = asyncio.create_task(self._round(), name="rolling restart")

    async def _round(self) -> None:
        await self._supervisor.restart_in_turn()
        self._rounds += 1
        self._write(rolling=False)

    def _write(self, *, rolling: bool) -> None:
        facts = {"pid": os.getpid(), "created_s": psutil.Process().create_time()}
        fresh = self._path.with_suffix(".new")
        fresh.write_text(json.dumps({**facts, "rounds": self._rounds, "rolling": rolling}), encoding="utf-8")
        fresh.replace(self._path)


async def restart_workers(launch: Launch, clock: Clock, as_json: bool) -> int:
    """`trunkline restart-workers`: ask, and wait until every worker was restarted. Raises UnavailableError."""
    before = read_running(launch)
    count = launch.settings.orchestrator.workers
    if count == 1 and not as_json:
        typer.echo("There is one orchestrator process: new calls are refused until it is back (see up --workers).")
    os.kill(before.pid, signal.SIGUSR1)
    while (now := read_running(launch)).rounds == before.rounds:
        await sleep_s(clock, _POLL_S)
    if as_json:
        typer.echo(json.dumps({"event": "restarted", "workers": count, "rounds": now.rounds}))
    else:
        typer.echo("Every orchestrator worker was restarted; calls in progress ended by themselves.")
    return 0


def _path(launch: Launch) -> Path:
    return launch.settings.data_dir.expanduser() / "up.json"
