"""The audit log for parts that start before the database is open, and for tools that keep none."""

from services.common.errors import UnavailableError
from services.records.audit_log import AuditSink
from services.records.entry import AuditEntry


class NoAudit:
    """Keeps nothing (tests, tools)."""

    async def append(self, entry: AuditEntry) -> int:
        """Nothing to do."""
        return 0


class AuditDoor:
    """Refuses until `open`: an admin action that cannot be audited is not done."""

    def __init__(self) -> None:
        self._sink: AuditSink | None = None

    def open(self, sink: AuditSink) -> None:
        """The log is there."""
        self._sink = sink

    async def append(self, entry: AuditEntry) -> int:
        """Durable when it returns. Raises UnavailableError before the database is open, and what the log raises."""
        if self._sink is None:
            raise UnavailableError("The audit log is not open yet.", remedy="See /readyz.")
        return await self._sink.append(entry)
