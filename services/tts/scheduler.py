"""Who computes next: across all calls, the step whose listener would hear silence first.

Earliest deadline first gives what is wanted without classes or weights: a call that waits for its first audio is due
now, a call that has two seconds in hand is due in two seconds, and equal calls take turns. Steps are short (one window
of audio), so a new call waits for one of them at most per worker thread.
"""

import asyncio
import heapq
import itertools
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from typing import Any, TypeVar, cast

from services.common.clock import Clock

T = TypeVar("T")


@dataclass(order=True, slots=True)
class _Waiting:
    deadline_ns: int
    order: int
    step: Callable[[], Any] = field(compare=False)
    result: asyncio.Future[Any] = field(compare=False)
    queued_ns: int = field(compare=False, default=0)


class DeadlineScheduler:
    """Runs steps on `workers` threads. Bounded by its callers: each take has one step in here at most."""

    def __init__(self, workers: int, clock: Clock, observe_wait_ms: Callable[[float], None] | None = None) -> None:
        self._clock = clock
        self._pool = ThreadPoolExecutor(workers, thread_name_prefix="tts")
        self._free = workers
        self._waiting: list[_Waiting] = []
        self._order = itertools.count()
        self._observe_wait_ms = observe_wait_ms
        self._running: set[asyncio.Future[Any]] = set()

    @property
    def waiting(self) -> int:
        """Steps that have no thread yet."""
        return len(self._waiting)

    def lateness_ms(self) -> float:
        """How long the latest step has been due without a thread; 0 when all are in time."""
        now_ns = self._clock.now_ns()
        late_ns = (now_ns - max(waiting.deadline_ns, waiting.queued_ns) for waiting in self._waiting)
        return max(0.0, max(late_ns, default=0) / 1e6)

    async def run(self, step: Callable[[], T], deadline_ns: int) -> T:
        """The step's result; raises what it raises. Cancelling drops a step that has not started."""
        result = asyncio.get_running_loop().create_future()
        waiting = _Waiting(deadline_ns, next(self._order), step, result, self._clock.now_ns())
        heapq.heappush(self._waiting, waiting)
        self._dispatch()
        try:
            return cast("T", await waiting.result)
        finally:
            if waiting in self._waiting:
                self._waiting.remove(waiting)
                heapq.heapify(self._waiting)

    def close(self) -> None:
        """Start nothing more."""
        for waiting in self._waiting:
            waiting.result.cancel()
        self._waiting.clear()
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _dispatch(self) -> None:
        while self._free and self._waiting:
            waiting = heapq.heappop(self._waiting)
            if waiting.result.done():
                continue
            self._free -= 1
            if self._observe_wait_ms is not None:
                self._observe_wait_ms((self._clock.now_ns() - waiting.queued_ns) / 1e6)
            running = asyncio.get_running_loop().run_in_executor(self._pool, waiting.step)
            self._running.add(running)
            running.add_done_callback(partial(self._finish, to=waiting.result))

    def _finish(self, done: asyncio.Future[Any], to: asyncio.Future[Any]) -> None:
        self._running.discard(done)
        self._free += 1
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
