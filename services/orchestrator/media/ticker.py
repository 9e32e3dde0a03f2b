"""ONE 20 ms ticker for all calls of the process: absolute schedule, late ticks are counted, missed ones skipped.

A call pumps its playing itself when audio or credit arrives; the ticker makes sure that nothing depends on that.
"""

from collections.abc import Callable

from prometheus_client import Counter, Histogram

from services.common.clock import Clock
from services.common.metrics import MS_BUCKETS
from services.orchestrator.media.leg import FRAME_MS

TICK_NS = FRAME_MS * 1_000_000
TICK_LATE: Histogram = Histogram(
    "trunkline_tick_late_seconds", "How late the 20 ms playout tick ran.", buckets=MS_BUCKETS
)
TICKS_SKIPPED: Counter = Counter("trunkline_ticks_skipped", "Playout ticks that were skipped, being late by a tick.")


class Ticker:
    """Calls every subscriber once per tick, while there are any."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._subscribers: dict[object, Callable[[int], None]] = {}
        self.skipped = 0

    def add(self, key: object, on_tick: Callable[[int], None]) -> None:
        """Call `on_tick(now_ns)` every 20 ms; it must not block or raise."""
        self._subscribers[key] = on_tick

    def remove(self, key: object) -> None:
        """Stop calling; harmless when unknown."""
        self._subscribers.pop(key, None)

    async def run(self) -> None:
        """Tick until cancelled."""
        due_ns = self._clock.now_ns() + TICK_NS
        while True:
            await self._clock.sleep_until_ns(due_ns)
            now_ns = self._clock.now_ns()
            late_ns = now_ns - due_ns
            TICK_LATE.observe(late_ns / 1e9)
            missed = max(0, late_ns // TICK_NS)
            if missed:
                self.skipped += missed
                TICKS_SKIPPED.inc(missed)
            due_ns += (missed + 1) * TICK_NS
            for on_tick in list(self._subscribers.values()):
                on_tick(now_ns)
