"""What a person (or a machine, `--json`) sees: errors as sentences, the table of processes, and how a command ends.

Exit status of every command: 0 it worked; 1 it did not, and the last line on standard error says what was
expected, what came and what to do; 2 wrong usage; 130 interrupted.
"""

import asyncio
import json
import signal
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from types import TracebackType
from typing import Any, NoReturn

import typer
from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from services.cli.supervisor import ServiceView
from services.common.errors import TrunklineError

EXIT_FAILED = 1
EXIT_INTERRUPTED = 130
_STYLES = {
    "ready": "green",
    "warming": "yellow",
    "starting": "cyan",
    "restarting": "red",
    "retiring": "yellow",
    "stopping": "dim",
    "stopped": "dim",
}


def fail(error: TrunklineError, as_json: bool = False) -> NoReturn:
    """End the command: one readable line on stderr, or one JSON document on stdout."""
    if as_json:
        typer.echo(json.dumps({"error": {"message": error.message, "remedy": error.remedy}}))
    else:
        Console(stderr=True).print(Text("error: ", style="bold red") + Text(str(error)), soft_wrap=True)
    raise typer.Exit(EXIT_FAILED)


class Interrupts:
    """First Ctrl-C or SIGTERM: the command is cancelled and cleans up in order. Second: `at_once` is called."""

    def __init__(self) -> None:
        self.at_once: Callable[[], None] = lambda: None
        self.seen = 0
        self._task: asyncio.Task[Any] | None = None

    def install(self, task: asyncio.Task[Any]) -> None:
        """Take over SIGINT and SIGTERM of this loop."""
        self._task = task
        loop = asyncio.get_running_loop()
        for signum in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(signum, self._on_signal)

    def _on_signal(self) -> None:
        self.seen += 1
        if self.seen == 1 and self._task is not None:
            self._task.cancel()
        elif self.seen > 1:
            self.at_once()


def run(main: Callable[[Interrupts], Coroutine[Any, Any, int]], *, as_json: bool = False) -> NoReturn:
    """Run an async command to its exit status, with errors and interrupts as this module's docstring says."""

    async def body(interrupts: Interrupts) -> int:
        task = asyncio.ensure_future(main(interrupts))
        interrupts.install(task)
        try:
            return await task
        except asyncio.CancelledError:
            if interrupts.seen:
                return EXIT_INTERRUPTED
            raise

    try:
        code = asyncio.run(body(Interrupts()))
    except TrunklineError as error:
        fail(error, as_json)
    raise typer.Exit(code)


class StackView:
    """The processes as they start: a live table on a terminal, one line per change elsewhere, JSON lines on demand."""

    def __init__(self, as_json: bool = False, console: Console | None = None) -> None:
        self.console = console or Console(stderr=True)
        self._json = as_json
        self._views: Callable[[], Sequence[ServiceView]] = list
        self._shown: dict[str, tuple[str, str]] = {}
        self._live: Live | None = None

    def watch(self, views: Callable[[], Sequence[ServiceView]]) -> None:
        """Where the states are read from."""
        self._views = views

    def __enter__(self) -> "StackView":
        if not self._json and self.console.is_terminal:
            self._live = Live(get_renderable=self._table, console=self.console, refresh_per_second=4, transient=False)
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live:
            self._live.stop()
            self._live = None

    def changed(self) -> None:
        """A state changed."""
        for view in self._views():
            now = (view.state, view.detail)
            if self._shown.get(view.name) != now:
                self._shown[view.name] = now
                self._say(view)

    def _say(self, view: ServiceView) -> None:
        if self._json:
            row = {"event": "service", "service": view.name, "state": view.state, "detail": view.detail}
            typer.echo(json.dumps({**row, "address": view.address, "pid": view.pid, "restarts": view.restarts}))
        elif self._live is None:
            took = f" after {view.ready_after_s:.1f} s" if view.state == "ready" and view.ready_after_s else ""
            line = f"{view.name:<13} {view.state}{took}" + (f": {view.detail}" if view.detail else "")
            self.console.print(line, markup=False, highlight=False)

    def _table(self) -> Table:
        table = Table(box=None, pad_edge=False)
        for column in ("service", "state", "ready after", "address", ""):
            table.add_column(column, no_wrap=True)
        for view in self._views():
            took = f"{view.ready_after_s:.1f} s" if view.ready_after_s is not None else ""
            detail = view.detail or (f"{view.restarts} restarts" if view.restarts else "")
            table.add_row(view.name, Text(view.state, style=_STYLES[view.state]), took, view.address, detail)
        return table


async def always(cleanup: Awaitable[Any]) -> None:
    """Finish `cleanup` even when the command is cancelled again in the middle of it."""
    task = asyncio.ensure_future(cleanup)
    while not task.done():
        try:
            await asyncio.shield(task)
        except asyncio.CancelledError:
            if task.cancelled():
                raise
