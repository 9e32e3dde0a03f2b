"""Thin I/O around the admission queue: coroutines wait for a slot, and hear when they must give it up."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from services.common.clock import Clock
from services.common.load import Load, LoadMetrics
from services.llm.metrics import ACTIVE, QUEUE_SECONDS
from services.llm.queue import KINDS, AdmissionQueue, Decision, Work, kind_of


@dataclass
class Lease:
    """A slot held. `preempted` turns true when surer work needs it; `queue_ms` is how long it was waited for."""

    queue_ms: float = 0.0
    preempted: bool = False


@dataclass(frozen=True)
class _Ticket:
    work: Work
    preempt: Callable[[], None]
    granted: asyncio.Future[None]
    lease: Lease = field(default_factory=Lease)


class Scheduler:
    """Hands out an engine's slots in the queue's order."""

    def __init__(self, queue: AdmissionQueue, clock: Clock) -> None:
        self._queue = queue
        self._clock = clock
        self._tickets: dict[str, _Ticket] = {}
        self._load_metrics = LoadMetrics(KINDS, clock)

    def load(self) -> Load:
        """Who waits, and how busy the slots are."""
        return self._queue.load(self._clock.now_ns())

    @asynccontextmanager
    async def slot(self, work: Work, preempt: Callable[[], None]) -> AsyncIterator[Lease]:
        """Hold a slot for the block. `preempt` is called at most once, from the loop, after the grant; a block that
        finds `lease.preempted` set must not begin.

        Raises OverloadedError when refused. Cancelling while waiting leaves the queue.
        """
        ticket = _Ticket(work, preempt, asyncio.get_running_loop().create_future())
        self._tickets[work.work_id] = ticket
        try:
            self._apply(self._queue.enter(work, self._clock.now_ns()))
            await ticket.granted
            yield ticket.lease
        finally:
            del self._tickets[work.work_id]
            self._apply(self._queue.leave(work.work_id, self._clock.now_ns()))

    def _apply(self, decision: Decision) -> None:
        for work_id in decision.grant:
            self._grant(self._tickets[work_id])
        for work_id, error in decision.refuse:
            granted = self._tickets[work_id].granted
            if not granted.done():
                granted.set_exception(error)
        for work_id in decision.preempt:
            self._tickets[work_id].lease.preempted = True
            self._tickets[work_id].preempt()
        ACTIVE.set(self._queue.running)
        self._load_metrics.show(self.load())

    def _grant(self, ticket: _Ticket) -> None:
        ticket.lease.queue_ms = (self._clock.now_ns() - ticket.work.arrived_ns) / 1e6
        kind = kind_of(ticket.work.priority)
        QUEUE_SECONDS.labels(kind=kind).observe(ticket.lease.queue_ms / 1000)
        if not ticket.granted.done():
            ticket.granted.set_result(None)
