"""Runs the steps of all calls on a few threads, in the order of `steps.StepQueue`. Thin on purpose.

Steps are short (one window of audio), so a new call waits for one of them at most per worker thread.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, TypeVar, cast

from services.common.clock import Clock
from services.common.load import Load, LoadMetrics
from services.tts.steps import KINDS, Step, StepQueue

T = TypeVar("T")


class DeadlineScheduler:
    """Runs steps on `workers` threads. Bounded by its callers: each take has one step in here at most."""

    def __init__(self, workers: int, clock: Clock, observe_wait_ms: Callable[[float], None] | None = None) -> None:
        self._clock = clock
        self._pool = ThreadPoolExecutor(workers, thread_name_prefix="tts")
        self._steps = StepQueue(workers)
        self._observe_wait_ms = observe_wait_ms
        self._running: set[asyncio.Future[Any]] = set()
        self._load_metrics = LoadMetrics(KINDS, clock)

    @property
    def waiting(self) -> int:
        """Steps that have no thread yet."""
        return len(self._steps)

    def lateness_ms(self) -> float:
        """How long the latest step has been due without a thread; 0 when all are in time."""
        return self._steps.lateness_ms(self._clock.now_ns())

    def load(self) -> Load:
        """Who waits, and how busy the threads are."""
        return self._steps.load(self._clock.now_ns())

    async def run(self, step: Callable[[], T], deadline_ns: int, call: str = "") -> T:
        """The step's result; raises what it raises. Cancelling drops a step that has not started."""
        result = asyncio.get_running_loop().create_future()
        waiting = Step(step, deadline_ns, self._clock.now_ns(), call, result=result)
        self._steps.add(waiting)
        self._dispatch()
        try:
            return cast("T", await result)
        finally:
            if self._steps.remove(waiting):
                self._show()

    def close(self) -> None:
        """Start nothing more."""
        for waiting in self._steps.clear():
            waiting.result.cancel()
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _dispatch(self) -> None:
        while (step := self._steps.take(self._clock.now_ns())) is not None:
            if step.result.done():
                self._steps.finished(step, self._clock.now_ns())
                continue
            if self._observe_wait_ms is not None:
                self._observe_wait_ms((step.started_ns - step.queued_ns) / 1e6)
            running = asyncio.get_running_loop().run_in_executor(self._pool, step.run)
            self._running.add(running)
            running.add_done_callback(partial(self._finish, step=step))
        self._show()

    def _finish(self, done: asyncio.Future[Any], step: Step) -> None:
        self._running.discard(done)
        self._steps.finished(step, self._clock.now_ns())
        to = step.result
        if not to.done():
            if done.cancelled():
                to.cancel()
            elif (error := done.exception()) is not None:
                to.set_exception(error)
            else:
                to.set_result(done.result())
        elif not done.cancelled():
            # Nobody waits any more: a step that was cancelled while it ran ends with an error, and that is fine.
            done.exception()
        self._dispatch()

    def _show(self) -> None:
        self._load_metrics.show(self._steps.load(self._clock.now_ns()))
