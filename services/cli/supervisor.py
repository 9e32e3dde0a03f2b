"""Starts the stack's processes, keeps them running, stops them in order: readiness gated, no orphans.

A process that dies before it was ever ready fails the start (its own words are shown: a missing model or a port
does not mend itself). One that dies later is started again with a growing delay; calls survive, because the
orchestrator reconnects. Each process leads its own session, so Ctrl-C reaches only us and the drain is orderly;
the kernel sends it SIGTERM when we die ourselves.
"""

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from services.cli import orphan_guard
from services.cli.process_log import ProcessLog
from services.cli.stack import Health, LaunchSpec
from services.common.clock import Clock, sleep_s
from services.common.errors import DeadlineError, UnavailableError

State = Literal["starting", "warming", "ready", "restarting", "retiring", "stopping", "stopped"]
_PROBE_EVERY_S = 0.4
_PROBE_READY_EVERY_S = 2.0
# Probes may be missed (a machine under load) before a ready service is shown as not ready.
_MISSED_PROBES = 5
_FIRST_BACKOFF_S = 0.5
_LONGEST_BACKOFF_S = 30.0
_STABLE_S = 60.0


def backoff_s(deaths: int) -> float:
    """Delay before the next start after `deaths` deaths in a row."""
    return min(_LONGEST_BACKOFF_S, _FIRST_BACKOFF_S * 2.0 ** max(0, deaths - 1))


@dataclass(slots=True)
class ServiceView:
    """What is known of one process, for the table and for `--json`."""

    name: str
    address: str
    state: State = "starting"
    detail: str = ""
    pid: int = 0
    restarts: int = 0
    started_ns: int = 0
    ready_after_s: float | None = None


@dataclass(slots=True)
class _Child:
    spec: LaunchSpec
    view: ServiceView
    log: ProcessLog
    process: asyncio.subprocess.Process | None = None
    was_ready: bool = False
    deaths: int = 0
    # It was asked to go and will be started again at once.
    retiring: bool = False
    ready: asyncio.Event = field(default_factory=asyncio.Event)


class Supervisor:
    """The processes of one stack. Use `start`, `until_ready`, then `stop`; `failed` tells of a start that failed."""

    def __init__(
        self, specs: Sequence[LaunchSpec], log_dir: Path, clock: Clock, on_change: Callable[[], None] = lambda: None
    ) -> None:
        self._clock = clock
        self._on_change = on_change
        self._children = [
            _Child(s, ServiceView(s.name, s.address), ProcessLog(log_dir / f"{s.name}.log")) for s in specs
        ]
        self._tasks: list[asyncio.Task[None]] = []
        self._stopping = asyncio.Event()
        self._failure: asyncio.Future[UnavailableError] | None = None

    @property
    def views(self) -> list[ServiceView]:
        """State of each process, in order of start."""
        return [child.view for child in self._children]

    @property
    def pids(self) -> dict[str, int]:
        """Process ids of those that run."""
        return {c.spec.name: c.process.pid for c in self._children if c.process and c.process.returncode is None}

    def start(self) -> None:
        """Start every process and its watcher."""
        self._failure = asyncio.get_running_loop().create_future()
        for child in self._children:
            self._tasks.append(asyncio.create_task(self._keep(child), name=f"supervise {child.spec.name}"))

    async def until_ready(self, deadline_s: float) -> None:
        """Wait until every process is ready.

        Raises UnavailableError with the process's own words when one cannot start, DeadlineError when one is not
        ready in time.
        """
        assert self._failure is not None, "start() first"
        all_ready = asyncio.create_task(self._all_ready())
        late = asyncio.create_task(sleep_s(self._clock, deadline_s))
        try:
            waiting: set[asyncio.Future[Any]] = {all_ready, late, self._failure}
            await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            done = all_ready.done()
        finally:
            all_ready.cancel()
            late.cancel()
        if self._failure.done():
            raise self._failure.result()
        if not done:
            slow = ", ".join(f"{v.name} is {v.state} {v.detail}".strip() for v in self.views if v.state != "ready")
            raise DeadlineError(f"Not ready after {deadline_s:.0f} s: {slow}.", remedy="See the logs, or wait longer.")

    async def stop(self) -> None:
        """SIGTERM to the processes that own calls (these drain first), then to the others at once.

        SIGKILL after each one's grace; nothing is left.
        """
        self._stopping.set()
        for owns_calls in (True, False):
            those = [child for child in self._children if child.spec.owns_calls is owns_calls]
            await asyncio.gather(*(self._stop_child(child) for child in those))
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for child in self._children:
            child.log.close()

    async def restart_in_turn(self) -> None:
        """Each process that owns calls is asked to retire (SIGUSR1), waited for as long as its calls last, started
        again, and ready before the next one is asked: no call in progress is dropped, none is refused while
        another worker takes it. One that is down meanwhile is left to its own restart.
        """
        for child in [child for child in self._children if child.spec.owns_calls]:
            process = child.process
            if self._stopping.is_set() or process is None or process.returncode is not None:
                continue
            child.retiring = True
            self._show(child, "retiring", "no new calls; waiting for those in progress")
            process.send_signal(signal.SIGUSR1)
            await process.wait()
            while child.retiring and not self._stopping.is_set():
                await sleep_s(self._clock, _PROBE_EVERY_S)
            await child.ready.wait()

    def kill(self) -> None:
        """At once, without drain (a second Ctrl-C)."""
        self._stopping.set()
        for child in self._children:
            _signal_group(child.process, signal.SIGKILL)

    async def _all_ready(self) -> None:
        for child in self._children:
            await child.ready.wait()

    async def _keep(self, child: _Child) -> None:
        """Start, watch and start again, until stopped."""
        while not self._stopping.is_set():
            await self._run_once(child)
            if self._stopping.is_set():
                break
            code = child.process.returncode if child.process else None
            if child.retiring:
                child.retiring = False
                child.view.restarts += 1
                continue
            if not child.was_ready:
                self._fail(child, code)
                return
            child.deaths += 1
            child.view.restarts += 1
            delay_s = backoff_s(child.deaths)
            self._show(child, "restarting", f"{_ended(code)}; again in {delay_s:.1f} s")
            await sleep_s(self._clock, delay_s)
        self._show(child, "stopped", "")

    async def _run_once(self, child: _Child) -> None:
        child.ready.clear()
        child.view.started_ns = self._clock.now_ns()
        child.view.ready_after_s = None
        self._show(child, "starting", "")
        process = await asyncio.create_subprocess_exec(
            *_guarded(child.spec.argv),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            start_new_session=True,
        )
        child.process = process
        child.view.pid = process.pid
        assert process.stdout is not None
        pump = asyncio.create_task(child.log.pump(process.stdout))
        probing = asyncio.create_task(self._probe(child))
        try:
            await process.wait()
        finally:
            probing.cancel()
            # What the process left behind in its group must not hold a port or the pipe.
            _signal_group(process, signal.SIGKILL)
            await asyncio.gather(probing, return_exceptions=True)
            await asyncio.wait({pump}, timeout=1.0)
            pump.cancel()
            child.view.pid = 0

    async def _probe(self, child: _Child) -> None:
        missed = 0
        while True:
            health, detail = await child.spec.probe()
            if child.retiring:
                # Not ready, and meant to be.
                child.ready.clear()
                await sleep_s(self._clock, _PROBE_READY_EVERY_S)
                continue
            missed = missed + 1 if health != "ready" else 0
            if health == "ready":
                self._on_ready(child)
            elif not child.ready.is_set() or missed >= _MISSED_PROBES:
                self._show(child, _shown(health, child), detail if health == "warming" else "")
                child.ready.clear()
            await sleep_s(self._clock, _PROBE_READY_EVERY_S if child.ready.is_set() else _PROBE_EVERY_S)

    def _on_ready(self, child: _Child) -> None:
        up_s = (self._clock.now_ns() - child.view.started_ns) / 1e9
        if child.view.ready_after_s is None:
            child.view.ready_after_s = up_s
        if up_s > _STABLE_S:
            child.deaths = 0
        child.was_ready = True
        if not child.ready.is_set():
            child.ready.set()
            self._show(child, "ready", "")

    def _fail(self, child: _Child, code: int | None) -> None:
        self._show(child, "stopped", _ended(code))
        if self._failure is not None and not self._failure.done():
            self._failure.set_result(
                UnavailableError(
                    f"{child.spec.name} could not start ({_ended(code)}): {child.log.last_words()}",
                    remedy=f"Its log is {child.log.path}.",
                )
            )

    async def _stop_child(self, child: _Child) -> None:
        process = child.process
        if process is None or process.returncode is not None:
            return
        self._show(child, "stopping", "")
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        try:
            await asyncio.wait_for(process.wait(), child.spec.grace_s)
        except TimeoutError:
            _signal_group(process, signal.SIGKILL)
            await process.wait()

    def _show(self, child: _Child, state: State, detail: str) -> None:
        changed = (child.view.state, child.view.detail) != (state, detail)
        child.view.state, child.view.detail = state, detail
        if changed:
            self._on_change()


def _shown(health: Health, child: _Child) -> State:
    return "warming" if health == "warming" or child.was_ready else "starting"


def _ended(code: int | None) -> str:
    if code is None:
        return "did not run"
    if code < 0:
        return f"killed by {signal.Signals(-code).name}"
    return f"exit status {code}"


def _guarded(argv: Sequence[str]) -> list[str]:
    """The command behind the orphan guard; -I -S: a bare interpreter, it is up in 15 ms."""
    return [sys.executable, "-I", "-S", orphan_guard.__file__, str(os.getpid()), *argv]


def _signal_group(process: asyncio.subprocess.Process | None, signum: int) -> None:
    if process is None:
        return
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signum)
