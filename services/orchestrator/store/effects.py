"""Effect rows: begun before anything is sent, moved only along the states that may follow, one at a time per act.

What was asked and answered is sealed under the key of its call (store.call_keys). Every change of state puts its entry
into the audit in the same statement: both are there or neither.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, cast

import asyncpg

from services.common.errors import DeadlineError
from services.common.postgres import StoreError, typed_errors
from services.orchestrator.control.model import Outcome, Scalar, State
from services.orchestrator.store.call_keys import WRAPPED, CallKeys
from services.orchestrator.store.effect_audit import Told, begun_entries, moved_entry, plain_row
from services.orchestrator.store.records import to_jsonb
from services.records.data_keys import DataKey, KeyRing

# From which states each may be reached. Committed and failed are the ends of an attempt.
_BEFORE: dict[State, tuple[State, ...]] = {
    "executing": ("pending", "queued", "unknown"),
    # From review: a person found out that it was done.
    "committed": ("executing", "unknown", "review"),
    "failed": ("pending", "queued", "executing", "unknown", "review"),
    "unknown": ("executing", "unknown"),
    "review": ("pending", "queued", "unknown"),
    "pending": ("review",),
    # From executing: it could not be reached, so nothing was sent.
    "queued": ("pending", "queued", "executing"),
}


@dataclass(frozen=True, slots=True)
class NewEffect:
    """What is begun."""

    effect_id: str
    idempotency_key: str
    window_s: int
    request_hash: str
    call_id: str
    turn: int
    agent_digest: str
    tool: str
    request: Mapping[str, Scalar]
    # Whose act it is, and the call's facts at that time (caller.auth_level …): for whoever settles it later.
    subject: str = ""
    context: Mapping[str, Scalar] = field(default_factory=dict)
    # The caller heard it read back and said yes.
    confirmed: bool = False


@dataclass(frozen=True, slots=True)
class EffectRow:
    """One attempt at an act. `erased`: its personal data are gone, its state and its keys are as they were."""

    effect_id: str
    idempotency_key: str
    attempt: int
    wire_key: str
    request_hash: str
    call_id: str
    agent_digest: str
    tool: str
    request: Mapping[str, Scalar]
    state: State
    answer: Mapping[str, Scalar]
    reason: str
    changed_at: datetime
    turn: int = 0
    subject: str = ""
    context: Mapping[str, Scalar] = field(default_factory=dict)
    erased: bool = False

    def outcome(self) -> Outcome:
        """As the caller of the pipeline sees it."""
        return Outcome(self.effect_id, self.state, self.answer, self.reason)


_PLAIN = (
    "effect_id, idempotency_key, attempt, wire_key, request_hash, call_id, agent_digest, tool, request, state, answer, "
    "reason, changed_at, turn"
)
_COLUMNS = f"{_PLAIN}, {WRAPPED}"
# The time of an audit entry is the database's own, put in by the statement that it tells of.
_TOLD = "INSERT INTO audit_pending (body, openings) SELECT "
_TIMED = (
    "|| jsonb_build_object('at', to_char(now() AT TIME ZONE 'UTC', "
    """'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'))"""
)


class EffectStore:
    """Raises UnavailableError (the database is away), StoreError (it refuses, or a state may not follow)."""

    def __init__(self, pool: asyncpg.Pool, ring: KeyRing | None = None, told: Told = plain_row) -> None:
        """`ring`: seals personal data; None keeps them plain (tests, tools). `told`: how audit entries become rows."""
        self._pool = pool
        self.keys = CallKeys(pool, ring)
        self._told = told

    async def get(self, effect_id: str) -> EffectRow | None:
        """One attempt."""
        with typed_errors("reading an effect"):
            row = await self._pool.fetchrow(f"SELECT {_COLUMNS} FROM effects WHERE effect_id = $1", effect_id)
        return self._row(row) if row else None

    async def last(self, idempotency_key: str) -> EffectRow | None:
        """The last attempt at an act."""
        with typed_errors("reading an effect"):
            row = await self._pool.fetchrow(
                f"SELECT {_COLUMNS} FROM effects WHERE idempotency_key = $1 ORDER BY attempt DESC LIMIT 1",
                idempotency_key,
            )
        return self._row(row) if row else None

    async def of_call(self, call_id: str) -> list[EffectRow]:
        """All of a call, oldest first."""
        with typed_errors("reading effects"):
            rows = await self._pool.fetch(
                f"SELECT {_COLUMNS} FROM effects WHERE call_id = $1 ORDER BY created_at, effect_id", call_id
            )
        return [self._row(row) for row in rows]

    async def in_review_without_one(self, limit: int = 100) -> list[EffectRow]:
        """Attempts that a person has to decide and that lie before nobody: their worker died in between."""
        with typed_errors("reading effects"):
            rows = await self._pool.fetch(
                f"SELECT {_COLUMNS} FROM effects WHERE state = 'review' AND NOT EXISTS (SELECT FROM reviews r "
                "WHERE r.effect_id = effects.effect_id AND (r.decision IS NULL OR r.decided_at >= effects.changed_at)) "
                "ORDER BY changed_at LIMIT $1",
                limit,
            )
        return [self._row(row) for row in rows]

    async def left_open(self, older_than_s: float, limit: int = 100) -> list[EffectRow]:
        """Attempts that somebody began and nobody ended: of a worker that died, or whose answer was lost."""
        with typed_errors("reading effects"):
            rows = await self._pool.fetch(
                f"SELECT {_COLUMNS} FROM effects WHERE state IN ('pending', 'executing', 'unknown') "
                "AND changed_at <= now() - make_interval(secs => $1) ORDER BY changed_at LIMIT $2",
                older_than_s,
                limit,
            )
        return [self._row(row) for row in rows]

    async def queued(self, limit: int = 100) -> list[tuple[EffectRow, float]]:
        """Attempts that wait for their back end and are to be tried now, longest ago first; and their age in seconds.

        Between tries lies a tenth of what it has waited, a minute at most: every try is in the audit.
        """
        with typed_errors("reading effects"):
            rows = await self._pool.fetch(
                f"SELECT {_COLUMNS}, extract(epoch FROM now() - created_at)::float8 AS age_s FROM effects "
                "WHERE state = 'queued' AND "
                "now() - changed_at >= least((changed_at - created_at) / 10, interval '1 minute') "
                "ORDER BY changed_at LIMIT $1",
                limit,
            )
        return [(self._row(row), row["age_s"]) for row in rows]

    async def all_queued(self, limit: int = 1000) -> list[EffectRow]:
        """Attempts that wait for their back end, the newest first: whose they are is sealed, so the reader looks."""
        with typed_errors("reading effects"):
            rows = await self._pool.fetch(
                f"SELECT {_COLUMNS} FROM effects WHERE state = 'queued' ORDER BY created_at DESC LIMIT $1", limit
            )
        return [self._row(row) for row in rows]

    @asynccontextmanager
    async def locked(self, names: Sequence[str], wait_s: float) -> AsyncIterator["HeldEffects"]:
        """Hold all locks, taken in the given order, on one connection: they go when it goes, however we end.

        Everything while they are held is done on that connection, so that waiting acts never starve the one that
        works. Raises DeadlineError when one is held by somebody else for too long.
        """
        with typed_errors("locking"):
            async with self._pool.acquire() as connection:
                try:
                    # OFFSET 0 keeps the order: the locks are taken as the inner rows come, the timeout set before them.
                    await connection.execute(
                        "WITH patience AS MATERIALIZED (SELECT set_config('lock_timeout', $2, false)) "
                        "SELECT pg_advisory_lock(key) FROM (SELECT hashtextextended(name, 0) AS key "
                        "FROM patience, unnest($1::text[]) WITH ORDINALITY AS t(name, place) "
                        "ORDER BY place OFFSET 0) AS names",
                        list(names),
                        f"{int(wait_s * 1000)}ms",
                    )
                    yield HeldEffects(cast("asyncpg.Connection", connection), self)
                except asyncpg.LockNotAvailableError:
                    raise DeadlineError(f"Something else holds what this needs for over {wait_s:.1f} s.") from None
                # Locks and the timeout go with the connection's release: the pool unlocks and resets it.

    def _row(self, row: Any) -> EffectRow:
        """A row opened; where its key is gone, without what was personal."""
        fields = {name: row[name] for name in _NAMES}
        sealed = "sealed" in row["request"]
        key = self.keys.opened(row["call_id"], row["wrapped"]) if sealed else None
        asked: Mapping[str, Any] = row["request"] if not sealed else {}
        answer: Mapping[str, Scalar] = row["answer"] if "sealed" not in row["answer"] else {}
        if key is not None:
            asked = key.open(row["request"], f"{row['effect_id']}/request")
            if "sealed" in row["answer"]:
                answer = key.open(row["answer"], f"{row['effect_id']}/answer")
        return EffectRow(
            **{**fields, "state": cast("State", row["state"]), "request": asked.get("args", {}), "answer": answer},
            subject=asked.get("subject", ""),
            context=asked.get("context", {}),
            erased=sealed and key is None,
        )

    async def _answer(self, connection: Any, row: EffectRow, answer: Mapping[str, Scalar]) -> str:
        key: DataKey | None = await self.keys.of(connection, row.call_id) if answer else None
        return to_jsonb(key.seal(answer, f"{row.effect_id}/answer") if key is not None else dict(answer))


_NAMES = tuple(_PLAIN.split(", "))


class HeldEffects:
    """What may be done to rows while their locks are held; every statement is durable when it returns."""

    def __init__(self, connection: asyncpg.Connection, store: EffectStore) -> None:
        self._connection = connection
        self._of = store

    async def begin(self, new: NewEffect) -> EffectRow:
        """The row of this act, the act's own lock being held: a new one, or the one that is there within its window.

        Only an attempt that failed for certain (nothing was done), or one older than the window, is followed by
        another. The caller compares `request_hash` before it believes an older row. A new row is on the disk with the
        next change of its state, and nothing is sent before that.
        """
        with typed_errors("beginning an effect"):
            row = await self._insert(new, 1)
            if row is None:
                last = await self._connection.fetchrow(
                    f"SELECT {_COLUMNS}, created_at < now() - make_interval(secs => $2) AS over FROM effects "
                    "WHERE idempotency_key = $1 ORDER BY attempt DESC LIMIT 1",
                    new.idempotency_key,
                    new.window_s,
                )
                assert last is not None  # that is why nothing was inserted
                again = last["state"] == "failed" or (last["over"] and last["state"] == "committed")
                row = await self._insert(new, last["attempt"] + 1) if again else last
        return self._of._row(row)

    async def _insert(self, new: NewEffect, attempt: int) -> Any:
        """The row and its audit entries in one statement; None when this attempt, or a later one, is there."""
        key = await self._of.keys.of(self._connection, new.call_id)
        told = [self._of._told(entry) for entry in begun_entries(new, attempt)]
        asked = {"args": dict(new.request), "subject": new.subject, "context": dict(new.context)}
        return await self._connection.fetchrow(
            "WITH later AS MATERIALIZED (SELECT set_config('synchronous_commit', 'off', true)), "
            "made AS (INSERT INTO effects (effect_id, idempotency_key, attempt, wire_key, request_hash, "
            "call_id, turn, agent_digest, tool, request, state) "
            "SELECT $1::text, $2::text, $3::integer, $4::text, $5::text, $6::text, $7::integer, $8::text, $9::text, "
            "$10::jsonb, 'pending' FROM later "
            "WHERE NOT EXISTS (SELECT FROM effects WHERE idempotency_key = $2::text AND attempt >= $3::integer) "
            f"RETURNING {_COLUMNS}), told AS ({_TOLD} body::jsonb {_TIMED}, openings::jsonb "
            "FROM made, unnest($11::text[], $12::text[]) AS t(body, openings)) SELECT * FROM made",
            new.effect_id,
            new.idempotency_key,
            attempt,
            f"{new.idempotency_key[:48]}-{attempt}",
            new.request_hash,
            new.call_id,
            new.turn,
            new.agent_digest,
            new.tool,
            to_jsonb(key.seal(asked, f"{new.effect_id}/request") if key is not None else asked),
            [body for body, _ in told],
            [openings for _, openings in told],
        )

    async def get(self, effect_id: str) -> EffectRow:
        """The attempt as it is now. Raises StoreError when there is none."""
        with typed_errors("reading an effect"):
            row = await self._connection.fetchrow(f"SELECT {_COLUMNS} FROM effects WHERE effect_id = $1", effect_id)
        if row is None:
            raise StoreError("There is no such effect.")
        return self._of._row(row)

    async def move(
        self,
        before: EffectRow,
        state: State,
        *,
        answer: Mapping[str, Scalar] | None = None,
        reason: str = "",
        only: tuple[State, ...] = (),
    ) -> EffectRow:
        """The next state. Raises StoreError when it may not follow the one that is there, or that is none of `only`."""
        with typed_errors("moving an effect"):
            row = await self._connection.fetchrow(
                "WITH moved AS (UPDATE effects SET state = $2, answer = $3, reason = $4, changed_at = now() "
                f"WHERE effect_id = $1 AND state = ANY($5) RETURNING {_COLUMNS}), "
                f"told AS ({_TOLD} $6::jsonb {_TIMED}, $7::jsonb FROM moved WHERE $8) "
                "SELECT * FROM moved",
                before.effect_id,
                state,
                await self._of._answer(self._connection, before, answer or {}),
                reason,
                list(only or _BEFORE[state]),
                *self._of._told(moved_entry(before, state, reason)),
                # Asked again and still unknown is nothing new.
                (before.state, before.reason) != (state, reason),
            )
        if row is None:
            raise StoreError(f"An effect cannot become {state} now.", remedy="Somebody else decided it meanwhile.")
        return self._of._row(row)
