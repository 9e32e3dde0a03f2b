"""Events of all calls on their way to the database: a bounded queue, one batch about every 200 ms, in order.

`put` never waits, so audio never waits for a disk. While the database is away events stay in the queue and are
tried again; `(call_id, seq)` makes a batch that did arrive harmless when it is sent again. When the queue is full
new events are lost, counted and said aloud: a call goes on without its record rather than not at all.
"""

import asyncio
import itertools
from collections import Counter as Tally
from collections import deque
from collections.abc import Callable
from datetime import timedelta
from typing import Final, Protocol

from prometheus_client import Counter, Gauge

from services.common.clock import Clock, sleep_s
from services.common.errors import TrunklineError
from services.common.log import get_logger
from services.orchestrator.events import Event
from services.orchestrator.store.errors import StoreError
from services.orchestrator.store.records import StoredEvent, TranscriptPolicy, stored_event

log = get_logger(__name__)

FLUSH_S = 0.2
MAX_EVENTS = 50_000
BATCH_EVENTS = 1_000
BACKOFF_S = (0.2, 2.0)

WAITING: Final = Gauge("trunkline_store_events_waiting", "Events not yet in the database.")
LOST: Final = Counter("trunkline_store_events_lost", "Events that never reached the database.", ["reason"])
WRITTEN: Final = Counter("trunkline_store_events_written", "Events in the database.")


class EventSink(Protocol):
    """Where batches go: the CallStore."""

    async def append_batch(self, rows: list[tuple[str, StoredEvent]]) -> None:
        """All or none; UnavailableError means try again."""
        ...


class EventWriter:
    """One per process. `start`, `put`…, `flush_call` at the end of each call, `close` on drain."""

    def __init__(
        self, sink: EventSink, clock: Clock, policy: TranscriptPolicy, *, max_events: int = MAX_EVENTS
    ) -> None:
        self._sink = sink
        self._clock = clock
        self._policy: TranscriptPolicy = policy
        self._max_events = max_events
        self._queue: deque[tuple[str, StoredEvent]] = deque()
        self._per_call: Tally[str] = Tally()
        self._lost_now = 0
        self._away = False
        self._wake = asyncio.Event()
        self._hurry = asyncio.Event()
        self._progress = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin writing; needs the event loop."""
        self._task = asyncio.get_running_loop().create_task(self._run(), name="event writer")

    def put(self, call_id: str, seq: int, event: Event) -> bool:
        """Queue an event; False when the queue is full and it is lost."""
        if len(self._queue) >= self._max_events:
            if not self._lost_now:
                log.error("event queue full, events are lost", waiting=len(self._queue))
            self._lost_now += 1
            LOST.labels(reason="queue_full").inc()
            return False
        age = timedelta(microseconds=(self._clock.now_ns() - event.at_ns) / 1e3)
        row = stored_event(event, seq, self._clock.wall() - age, self._policy)
        self._queue.append((call_id, row))
        self._per_call[call_id] += 1
        WAITING.set(len(self._queue))
        self._wake.set()
        return True

    async def flush_call(self, call_id: str, deadline_s: float = 2.0) -> bool:
        """Wait until every event of the call is written; False when the deadline came first (they stay queued)."""
        return await self._until(lambda: call_id not in self._per_call, deadline_s)

    async def close(self, deadline_s: float = 5.0) -> bool:
        """Write what waits, then stop; False when events were left (they are counted as lost)."""
        done = await self._until(lambda: not self._queue, deadline_s)
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        if not done:
            LOST.labels(reason="shutdown").inc(len(self._queue))
            log.error("events lost at shutdown", events=len(self._queue))
        return done

    async def _until(self, condition: Callable[[], bool], deadline_s: float) -> bool:
        timer = asyncio.ensure_future(sleep_s(self._clock, deadline_s))
        try:
            while not condition() and not timer.done():
                self._hurry.set()
                self._progress.clear()
                progress = asyncio.ensure_future(self._progress.wait())
                await asyncio.wait({progress, timer}, return_when=asyncio.FIRST_COMPLETED)
                progress.cancel()
            return condition()
        finally:
            timer.cancel()

    async def _run(self) -> None:
        backoff_s = BACKOFF_S[0]
        while True:
            await self._wake.wait()
            await self._gather()
            batch = list(itertools.islice(self._queue, BATCH_EVENTS))
            error = await self._attempt(batch)
            if isinstance(error, StoreError):
                error = await self._one_call_at_a_time(batch, error)
            if error is not None:
                self._say_away(error)
                await sleep_s(self._clock, backoff_s)
                backoff_s = min(BACKOFF_S[1], backoff_s * 2)
                continue
            backoff_s = BACKOFF_S[0]
            self._written(batch)

    async def _attempt(self, batch: list[tuple[str, StoredEvent]]) -> BaseException | None:
        """The error of one try, whatever it is: this task outlives every fault of the database and its driver."""
        attempt = asyncio.ensure_future(self._sink.append_batch(batch))
        try:
            await asyncio.wait({attempt})
        finally:
            attempt.cancel()
        return attempt.exception()

    def _say_away(self, error: BaseException) -> None:
        if not self._away:
            reason = error.message if isinstance(error, TrunklineError) else type(error).__name__
            log.error("database away, events wait", waiting=len(self._queue), error=reason)
        self._away = True

    async def _gather(self) -> None:
        """Let a batch grow for 200 ms, unless somebody waits for it or it is full."""
        if len(self._queue) < BATCH_EVENTS and not self._hurry.is_set():
            hurried = asyncio.ensure_future(self._hurry.wait())
            timer = asyncio.ensure_future(sleep_s(self._clock, FLUSH_S))
            try:
                await asyncio.wait({hurried, timer}, return_when=asyncio.FIRST_COMPLETED)
            finally:
                hurried.cancel()
                timer.cancel()
        self._hurry.clear()

    async def _one_call_at_a_time(
        self, batch: list[tuple[str, StoredEvent]], error: StoreError
    ) -> BaseException | None:
        """The database refused the batch for what is in it: write the other calls, give up on the one refused.

        Gives the error when the database went away meanwhile; the whole batch is then tried again.
        """
        log.error("database refused a batch of events", events=len(batch), error=error.message)
        for call_id in dict.fromkeys(call for call, _ in batch):
            rows = [row for row in batch if row[0] == call_id]
            refused = await self._attempt(rows)
            if isinstance(refused, StoreError):
                LOST.labels(reason="refused").inc(len(rows))
                log.error("events of a call are lost", call_id=call_id, events=len(rows))
            elif refused is not None:
                return refused
        return None

    def _written(self, batch: list[tuple[str, StoredEvent]]) -> None:
        for call_id, _ in batch:
            self._queue.popleft()
            self._per_call[call_id] -= 1
            if not self._per_call[call_id]:
                del self._per_call[call_id]
        WRITTEN.inc(len(batch))
        WAITING.set(len(self._queue))
        if self._away:
            log.warning("database is back", waiting=len(self._queue))
        if self._lost_now:
            log.error("events were lost while the queue was full", events=self._lost_now)
        self._away, self._lost_now = False, 0
        if not self._queue:
            self._wake.clear()
        self._progress.set()
