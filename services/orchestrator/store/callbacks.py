"""Promises to callers who are gone: somebody calls back and says how it went. One row for each, until it is done."""

import uuid
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

import asyncpg

from services.common.errors import InvalidInputError
from services.common.personal import Personal
from services.common.postgres import typed_errors
from services.orchestrator.store.effect_audit import Told, plain_row
from services.records.entry import AuditEntry

Why = Literal["approved", "refused", "expired", "settled", "handover"]
_COLUMNS = (
    "c.callback_id, coalesce(c.effect_id, '') AS effect_id, c.call_id, c.agent_digest, c.why, c.state, c.reason, "
    "c.created_at, c.done_at, c.done_by, c.note, "
    "coalesce((SELECT tool FROM effects e WHERE e.effect_id = c.effect_id), '') AS tool"
)


@dataclass(frozen=True, slots=True)
class Callback:
    """One caller to call. Their number is sealed with their call (store.call_keys).

    `effect_id` and `tool` are empty when no act is behind it.
    """

    callback_id: str
    effect_id: str
    call_id: str
    agent_digest: str
    why: Why
    state: str
    reason: str
    created_at: datetime
    done_at: datetime | None
    done_by: str | None
    note: str
    tool: str


class CallbackStore:
    """Raises UnavailableError, StoreError."""

    def __init__(self, pool: asyncpg.Pool, told: Told = plain_row) -> None:
        self._pool, self._told = pool, told

    async def promise(self, effect_id: str, why: Why, state: str, reason: str) -> bool:
        """Once per act and cause; False when it was there."""
        with typed_errors("promising a callback"):
            new = await self._pool.fetchval(
                "INSERT INTO callbacks (callback_id, effect_id, call_id, agent_digest, why, state, reason) "
                "SELECT $2, effect_id, call_id, agent_digest, $3, $4, $5 FROM effects WHERE effect_id = $1 "
                "ON CONFLICT DO NOTHING RETURNING callback_id",
                effect_id,
                uuid.uuid4().hex[:12],
                why,
                state,
                reason,
            )
        return new is not None

    async def ask(self, call_id: str, agent_digest: str, reason: str) -> None:
        """The caller wanted a person, and nobody could be reached. Once per call; durable when it returns."""
        with typed_errors("promising a callback"):
            await self._pool.execute(
                "INSERT INTO callbacks (callback_id, call_id, agent_digest, why, state, reason) "
                "VALUES ($1, $2, $3, 'handover', '', $4) ON CONFLICT (call_id) WHERE why = 'handover' DO NOTHING",
                uuid.uuid4().hex[:12],
                call_id,
                agent_digest,
                reason,
            )

    async def all(self, *, open_only: bool = True, limit: int = 200) -> list[Callback]:
        """Those to make, the oldest first; or all, the newest first."""
        order = "WHERE c.done_at IS NULL ORDER BY c.created_at" if open_only else "ORDER BY c.created_at DESC"
        with typed_errors("reading callbacks"):
            rows = await self._pool.fetch(f"SELECT {_COLUMNS} FROM callbacks c {order} LIMIT $1", limit)
        return [Callback(**row) for row in rows]

    async def done(self, callback_id: str, by: str, note: str) -> Callback:
        """The caller was told. Raises InvalidInputError when there is none, or it was done by somebody else."""
        if not by.strip():
            raise InvalidInputError("by", expected="who called", got="nobody", remedy="Give --by.")
        with typed_errors("closing a callback"):
            async with self._pool.acquire() as connection, connection.transaction():
                row = await connection.fetchrow(
                    "UPDATE callbacks c SET done_at = now(), done_by = $2, note = $3 WHERE callback_id = $1 "
                    f"AND done_at IS NULL RETURNING {_COLUMNS}",
                    callback_id,
                    by,
                    note,
                )
                if row is None:
                    raise InvalidInputError(
                        "callback", expected="one that is open", got="none of this id",
                        remedy="`trunkline callbacks list` shows them.",
                    )  # fmt: skip
                entry = AuditEntry(
                    actor=by,
                    action="callback.done",
                    at=row["done_at"],
                    subject=row["effect_id"],
                    call_id=row["call_id"],
                    detail={"callback": callback_id, "why": row["why"]},
                    personal={"note": Personal(note, "note")} if note else {},
                )
                body, openings = self._told(entry)
                await connection.execute("INSERT INTO audit_pending (body, openings) VALUES ($1, $2)", body, openings)
        return Callback(**row)
