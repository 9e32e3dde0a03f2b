"""The only place that reads time: a monotonic clock for decisions, a wall clock for records.

Everything that waits or measures takes a `Clock`, so that a 30 s call is tested in microseconds.
"""

import asyncio
import heapq
import itertools
import time
from datetime import UTC, datetime, timedelta
from typing import Protocol


class Clock(Protocol):
    """Monotonic time in ns (CLOCK_MONOTONIC: comparable between processes of one machine) and UTC wall time."""

    def now_ns(self) -> int:
        """Monotonic nanoseconds."""
        ...

    def wall(self) -> datetime:
        """Aware UTC time, for records people read; never for durations."""
        ...

    async def sleep_until_ns(self, deadline_ns: int) -> None:
        """Return when `now_ns() >= deadline_ns`; at once when that has passed (still yields to the loop)."""
        ...


def now_s(clock: Clock) -> float:
    """Monotonic seconds."""
    return clock.now_ns() / 1e9


def thread_cpu_ns(thread_id: int) -> int:
    """Processor time a thread of this process has used (`threading.get_ident`); tells computing from waiting."""
    return time.clock_gettime_ns(time.pthread_getcpuclockid(thread_id))


async def sleep_s(clock: Clock, seconds: float) -> None:
    """Sleep on `clock`."""
    await clock.sleep_until_ns(clock.now_ns() + int(seconds * 1e9))


class SystemClock:
    """The machine's clock."""

    def now_ns(self) -> int:
        """Monotonic nanoseconds."""
        return time.monotonic_ns()

    def wall(self) -> datetime:
        """Aware UTC time."""
        return datetime.now(UTC)

    async def sleep_until_ns(self, deadline_ns: int) -> None:
        """Sleep on the event loop's timer."""
        await asyncio.sleep(max(0, deadline_ns - time.monotonic_ns()) / 1e9)


class VirtualClock:
    """Time that moves only when a test says so.

    `await clock.advance_ms(500)` wakes every sleeper due within 500 ms in order of its deadline, letting the
    event loop run between wake-ups, so that code under test sees the same order of events as in real time.
    """

    def __init__(self, start_ns: int = 0, wall: datetime = datetime(2026, 1, 1, tzinfo=UTC)) -> None:
        self._start_ns = start_ns
        self._now_ns = start_ns
        self._wall = wall
        self._order = itertools.count()
        self._sleepers: list[tuple[int, int, asyncio.Future[None]]] = []

    def now_ns(self) -> int:
        """Virtual monotonic nanoseconds."""
        return self._now_ns

    def wall(self) -> datetime:
        """Virtual wall time: the start plus what was advanced."""
        return self._wall + timedelta(microseconds=(self._now_ns - self._start_ns) / 1e3)

    async def sleep_until_ns(self, deadline_ns: int) -> None:
        """Wait for `advance_ms` to pass the deadline."""
        if deadline_ns <= self._now_ns:
            await asyncio.sleep(0)
            return
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleepers, (deadline_ns, next(self._order), future))
        await future

    def advance_now_ms(self, ms: float) -> None:
        """Move time without an event loop (for sans-I/O tests); wakes no sleeper."""
        self._now_ns += int(ms * 1e6)

    async def advance_ms(self, ms: float) -> None:
        """Move time forward, waking sleepers in order."""
        target = self._now_ns + int(ms * 1e6)
        await _settle()
        while self._sleepers and self._sleepers[0][0] <= target:
            deadline, _, future = heapq.heappop(self._sleepers)
            self._now_ns = max(self._now_ns, deadline)
            if not future.done():
                future.set_result(None)
            await _settle()
        self._now_ns = target


async def _settle() -> None:
    """Let tasks that became ready run until they wait again (bounded: a busy loop is a bug to see, not to hide)."""
    for _ in range(20):
        await asyncio.sleep(0)
