"""Calls and their events as rows: every method is one round trip with a deadline."""

from collections.abc import Sequence
from datetime import datetime

import asyncpg

from services.common.personal import Personal
from services.orchestrator.store.errors import typed_errors
from services.orchestrator.store.records import (
    CallRecord,
    StoredEvent,
    TranscriptPolicy,
    censor,
    clean,
    to_jsonb,
)

_CALL_COLUMNS = "call_id, transport, caller, callee, agent_digest, locale, started_at, ended_at, cause, detail"

# The audit entry of an ended call, in the statement that ends it: it commits with it or not at all.
_AUDIT_ENDED = """
INSERT INTO audit_pending (body)
SELECT jsonb_build_object(
    'v', 1, 'actor', 'system', 'action', 'call.ended', 'subject', call_id, 'call', call_id, 'bundle', agent_digest,
    'at', to_char(ended_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'),
    'detail', jsonb_build_object('cause', coalesce(cause, ''), 'detail', coalesce(detail, '')),
    'personal', jsonb_build_object())
FROM ended
"""
_ENDED = "RETURNING calls.call_id, calls.agent_digest, calls.ended_at, calls.cause, calls.detail"

# The call's own row ends in the statement that stores its CallEnded, so the two never disagree.
_INSERT_EVENTS = f"""
WITH stored AS (
    INSERT INTO events (call_id, seq, at_ns, wall, type, payload)
    SELECT * FROM unnest($1::text[], $2::bigint[], $3::bigint[], $4::timestamptz[], $5::text[], $6::jsonb[])
    ON CONFLICT (call_id, seq) DO NOTHING
    RETURNING call_id, wall, type, payload
), ended AS (
    UPDATE calls SET ended_at = stored.wall, cause = stored.payload->>'cause', detail = stored.payload->>'detail'
    FROM stored
    WHERE calls.call_id = stored.call_id AND stored.type = 'CallEnded' AND calls.ended_at IS NULL
    {_ENDED}
)
{_AUDIT_ENDED}
"""

_FINISH_CALL = f"""
WITH ended AS (
    UPDATE calls SET ended_at = $2, cause = $3, detail = $4 WHERE call_id = $1 AND ended_at IS NULL {_ENDED}
)
{_AUDIT_ENDED}
"""

_CREATE_CALL = """
WITH created AS (
    INSERT INTO calls (call_id, transport, caller, callee, agent_digest, locale, started_at)
    VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (call_id) DO NOTHING
    RETURNING call_id
)
INSERT INTO audit_pending (body, openings) SELECT $8::jsonb, $9::jsonb FROM created WHERE $8 IS NOT NULL
"""


class CallStore:
    """The tables. Raises UnavailableError when the database is away (try later), StoreError when it refuses."""

    def __init__(self, pool: asyncpg.Pool, policy: TranscriptPolicy) -> None:
        self._pool = pool
        self.policy: TranscriptPolicy = policy

    async def create_call(
        self,
        call_id: str,
        *,
        transport: str,
        caller: Personal[str],
        callee: Personal[str],
        agent_digest: str,
        locale: str,
        started_at: datetime,
        audit: tuple[str, str] | None = None,
    ) -> None:
        """Durable when it returns: called before the call is answered. A second time changes nothing.

        `caller` and `callee` are stored under the same policy as words. `audit` (`AuditLog.pending_row`) is stored
        with the call or not at all.
        """
        body, openings = audit or (None, None)
        with typed_errors("creating a call"):
            await self._pool.execute(
                _CREATE_CALL,
                call_id,
                transport,
                clean(censor(caller, self.policy)),
                clean(censor(callee, self.policy)),
                agent_digest,
                locale,
                started_at,
                body,
                openings,
            )

    async def append_events(self, call_id: str, events: Sequence[StoredEvent]) -> None:
        """Add events of one call; those already there, by (call_id, seq), stay as they are.

        A CallEnded among them also ends the call's row, as `finish_call` would.
        """
        await self.append_batch([(call_id, event) for event in events])

    async def append_batch(self, rows: Sequence[tuple[str, StoredEvent]]) -> None:
        """Add events of many calls, all or none."""
        if not rows:
            return
        columns = (
            [call_id for call_id, _ in rows],
            [event.seq for _, event in rows],
            [event.at_ns for _, event in rows],
            [event.wall for _, event in rows],
            [event.type for _, event in rows],
            [to_jsonb(event.payload) for _, event in rows],
        )
        with typed_errors("appending events"):
            await self._pool.execute(_INSERT_EVENTS, *columns)

    async def finish_call(self, call_id: str, *, ended_at: datetime, cause: str, detail: str = "") -> None:
        """The call is over. The first end counts, be it this or a stored CallEnded."""
        with typed_errors("finishing a call"):
            await self._pool.execute(
                _FINISH_CALL,
                call_id,
                ended_at,
                cause,
                clean(detail),
            )

    async def list_calls(self, *, limit: int = 50, before: datetime | None = None) -> list[CallRecord]:
        """The newest calls first; `before` pages by start time."""
        with typed_errors("listing calls"):
            rows = await self._pool.fetch(
                f"SELECT {_CALL_COLUMNS} FROM calls WHERE $1::timestamptz IS NULL OR started_at < $1 "
                "ORDER BY started_at DESC, call_id DESC LIMIT $2",
                before,
                max(1, min(limit, 1000)),
            )
        return [CallRecord(**row) for row in rows]

    async def get_call(self, call_id: str) -> CallRecord | None:
        """One call, or None."""
        with typed_errors("reading a call"):
            row = await self._pool.fetchrow(f"SELECT {_CALL_COLUMNS} FROM calls WHERE call_id = $1", call_id)
        return CallRecord(**row) if row else None

    async def load_events(self, call_id: str, *, after_seq: int = -1, limit: int = 20_000) -> list[StoredEvent]:
        """Events of a call in order; `after_seq` pages."""
        with typed_errors("reading events"):
            rows = await self._pool.fetch(
                "SELECT seq, at_ns, wall, type, payload FROM events WHERE call_id = $1 AND seq > $2 "
                "ORDER BY seq LIMIT $3",
                call_id,
                after_seq,
                limit,
            )
        return [StoredEvent(**row) for row in rows]
