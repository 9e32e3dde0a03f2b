"""When the worker looks at its rings next: on a grid while there are legs, when something happens while there are none.

An idle worker that polls on would cost a few per cent of a core for nothing (200 looks a second, at default settings).
"""

import asyncio
from typing import Final

from services.common.clock import Clock, sleep_s
from services.telephony import metrics

# From so many legs on the rings are looked at half as often: on average 2.5 ms later, at half the messages.
MANY_LEGS: Final = 12
MANY_POLLS: Final = 2
# Without legs only the grace time of a client that is gone can end, and that in whole seconds.
_IDLE_S: Final = 1.0


class Pace:
    """`await next(legs)` returns when it is time. `exact`: never thin out, however many legs there are."""

    def __init__(self, clock: Clock, poll_ms: int, *, exact: bool) -> None:
        self._clock = clock
        self._least_ns = poll_ms * 1_000_000
        self._exact = exact
        self._due_ns = clock.now_ns() + self._least_ns
        self._woken = asyncio.Event()

    def wake(self) -> None:
        """There is something to say or a leg to look at: idling ends now. While there are legs the grid stays."""
        self._woken.set()

    async def next(self, legs: int) -> int:
        """Monotonic ns of the poll to make now."""
        if legs:
            await self._clock.sleep_until_ns(self._due_ns)
            now_ns = self._clock.now_ns()
            metrics.TICK_LATE.observe((now_ns - self._due_ns) / 1e9)
        else:
            await self._idle()
            now_ns = self._due_ns = self._clock.now_ns()
        self._woken.clear()
        # Every poll and every message costs the same whatever it carries: many calls share fewer of them.
        polls = MANY_POLLS if legs >= MANY_LEGS and not self._exact else 1
        # A poll that was missed is not made up for: the rings kept its audio.
        self._due_ns = max(self._due_ns + self._least_ns * polls, now_ns)
        return now_ns

    async def _idle(self) -> None:
        if self._woken.is_set():
            return
        woken = asyncio.ensure_future(self._woken.wait())
        timer = asyncio.ensure_future(sleep_s(self._clock, _IDLE_S))
        try:
            await asyncio.wait({woken, timer}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            woken.cancel()
            timer.cancel()
