"""Calls on their way into the database: the row before the answer, every event after it, the end at the end."""

import asyncio
import itertools

from services.common.clock import Clock
from services.common.deadline import deadline
from services.common.errors import DeadlineError, TrunklineError
from services.common.log import get_logger
from services.common.personal import Personal
from services.orchestrator.calls import CallHandle
from services.orchestrator.events import CallEnded, Event
from services.orchestrator.store import Store
from services.orchestrator.store.records import clean
from services.records.entry import AuditEntry

log = get_logger(__name__)

BEGIN_DEADLINE_S = 2.0


class StoredCalls:
    """Implements call.CallStore over the database."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._ending: set[asyncio.Task[None]] = set()

    async def begin(self, handle: CallHandle) -> None:
        """Durable when it returns. Raises TrunklineError when the database does not take it in time."""
        audit = self._store.audit.log.pending_row(self._started(handle))
        try:
            async with deadline(self._clock, BEGIN_DEADLINE_S):
                await self._store.calls.create_call(
                    handle.call_id,
                    transport=handle.info.transport,
                    caller=handle.info.caller,
                    callee=handle.info.callee,
                    agent_digest=handle.agent_digest,
                    locale=handle.locale,
                    started_at=handle.started_at,
                    audit=audit,
                )
        except TimeoutError:
            raise DeadlineError(f"The database did not take the call within {BEGIN_DEADLINE_S:.0f} s.") from None
        self._store.audit.log.nudge()
        seq = itertools.count()

        def put(event: Event) -> None:
            self._store.writer.put(handle.call_id, next(seq), event)
            if isinstance(event, CallEnded):
                task = asyncio.get_running_loop().create_task(self._finish(handle.call_id, event))
                self._ending.add(task)
                task.add_done_callback(self._ending.discard)

        for event in handle.events.snapshot():
            put(event)
        handle.events.watch(put)

    async def drain(self) -> None:
        """Wait until the ends of all calls are written (each has its own deadline)."""
        await asyncio.gather(*self._ending, return_exceptions=True)

    def _started(self, handle: CallHandle) -> AuditEntry:
        info = handle.info
        return AuditEntry(
            actor="system",
            action="call.started",
            at=handle.started_at,
            subject=handle.call_id,
            call_id=handle.call_id,
            bundle_digest=handle.agent_digest,
            detail={"transport": info.transport, "locale": handle.locale},
            personal={"caller": _clean(info.caller), "callee": _clean(info.callee)},
        )

    async def _finish(self, call_id: str, event: CallEnded) -> None:
        await self._store.writer.flush_call(call_id)
        try:
            await self._store.calls.finish_call(
                call_id, ended_at=self._clock.wall(), cause=event.cause, detail=event.detail
            )
        except TrunklineError as error:
            log.error("call end not stored", call_id=call_id, error=type(error).__name__)
        self._store.audit.log.nudge()


def _clean(value: Personal[str]) -> Personal[str]:
    """What a device sent, as PostgreSQL and JSON can hold it."""
    return Personal(str(clean(value.reveal())), "uri")
