"""A deadline that moves: one sleeping task per call, woken early only when the deadline moved forward."""

import asyncio
from collections.abc import Callable

from services.common.clock import Clock


class Alarm:
    """`set` the next deadline as often as you like; `ring` is called once it has passed."""

    def __init__(self, clock: Clock, spawn: Callable[..., "asyncio.Task[None]"], ring: Callable[[], None]) -> None:
        self._clock = clock
        self._spawn = spawn
        self._ring = ring
        self._deadline_ns: int | None = None
        self._sleeping_until_ns: int | None = None
        self._task: asyncio.Task[None] | None = None

    def set(self, deadline_ns: int | None) -> None:
        """None: nothing is due."""
        self._deadline_ns = deadline_ns
        if deadline_ns is None:
            return
        if self._sleeping_until_ns is None or deadline_ns < self._sleeping_until_ns:
            if self._task is not None:
                self._task.cancel()
            self._sleeping_until_ns = deadline_ns
            self._task = self._spawn(self._sleep())

    async def _sleep(self) -> None:
        """Sleep until the deadline as it is by then; a deadline that moved back costs one more sleep."""
        while self._deadline_ns is not None:
            self._sleeping_until_ns = self._deadline_ns
            await self._clock.sleep_until_ns(self._deadline_ns)
            if self._deadline_ns is not None and self._clock.now_ns() >= self._deadline_ns:
                self._deadline_ns = None
                self._sleeping_until_ns = None
                self._ring()
                return
        self._sleeping_until_ns = None
