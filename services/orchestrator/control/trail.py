"""What control writes into the audit log: refusals, confirmations, identifications. Names and hashes, no personal data.

Changes of an effect's state are written with the state itself (store.effects), in one statement. What is here tells of
things that were not done or do not stand alone; it is queued, so that no turn waits for a disk, and awaited at the end.
"""

import asyncio
from collections.abc import Mapping

from services.common.clock import Clock
from services.common.errors import TrunklineError
from services.common.log import get_logger
from services.common.personal import Personal
from services.records.audit_log import AuditSink
from services.records.entry import AuditEntry

log = get_logger(__name__)


class Trail:
    """Of one call."""

    def __init__(self, sink: AuditSink, clock: Clock, call_id: str, digest: str) -> None:
        self._sink, self._clock = sink, clock
        self._call_id, self._digest = call_id, digest
        self._writing: set[asyncio.Task[None]] = set()

    def note(self, action: str, detail: Mapping[str, str | int | bool], caller: str = "") -> None:
        """Queue one entry; `caller`: the customer, committed to with a salt and never written."""
        entry = AuditEntry(
            actor="agent",
            action=action,
            at=self._clock.wall(),
            call_id=self._call_id,
            bundle_digest=self._digest,
            detail=dict(detail),
            personal={"subject": Personal(caller, "subject")} if caller else {},
        )
        task = asyncio.get_running_loop().create_task(self._write(entry), name="control audit")
        self._writing.add(task)
        task.add_done_callback(self._writing.discard)

    async def close(self) -> None:
        """Everything noted is in the log, or its loss is said."""
        await asyncio.gather(*self._writing)

    async def _write(self, entry: AuditEntry) -> None:
        try:
            await self._sink.append(entry)
        except TrunklineError as error:
            log.error("control audit entry lost", action=entry.action, call=entry.call_id, error=type(error).__name__)
