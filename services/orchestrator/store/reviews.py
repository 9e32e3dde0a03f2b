"""What people decide: acts put before a reviewer, decided once, by another, for exactly these arguments.

    asked ──approve (hash, in time, other person)──► approved ──► the act is done once, or the rules refuse it now
      ├────refuse──────────────────────────────────► refused ──┐
      └────deadline────────────────────────────────► expired ──┴──► not done; a callback says so

Two reviewers at once: the row is taken by one statement, the other is told who was first.
"""

import uuid
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

import asyncpg

from services.common.errors import InvalidInputError
from services.common.personal import Personal
from services.common.postgres import StoreError, typed_errors
from services.orchestrator.store.effect_audit import Told, plain_row
from services.orchestrator.store.effects import EffectRow
from services.records.entry import AuditEntry

Decision = Literal["approved", "refused", "expired"]


@dataclass(frozen=True, slots=True)
class Review:
    """One question to a person. `rule` empty: nobody can say what became of the act, and a person finds out."""

    review_id: str
    effect_id: str
    rule: str
    request_hash: str
    author: str
    deadline: datetime
    asked_at: datetime
    decision: Decision | None
    reviewer: str | None
    decided_at: datetime | None
    note: str
    call_id: str
    agent_digest: str
    tool: str
    state: str


class ReviewError(InvalidInputError):
    """The decision does not count: says why, and what to do."""


_SELECT = (
    "SELECT r.review_id, r.effect_id, r.rule, r.request_hash, r.author, r.deadline, e.changed_at AS asked_at, "
    "r.decision, r.reviewer, r.decided_at, r.note, e.call_id, e.agent_digest, e.tool, e.state "
    "FROM reviews r JOIN effects e USING (effect_id) "
)


class ReviewStore:
    """Raises UnavailableError, StoreError."""

    def __init__(self, pool: asyncpg.Pool, told: Told = plain_row) -> None:
        self._pool, self._told = pool, told

    async def ask(self, effect: EffectRow, author: str, within_s: float) -> Review:
        """Put an effect in state `review` before people; one that lies there already stays as it is."""
        rule = effect.reason.removeprefix("rule ") if effect.reason.startswith("rule ") else ""
        with typed_errors("asking for a review"):
            async with self._pool.acquire() as connection, connection.transaction():
                new = await connection.fetchrow(
                    "INSERT INTO reviews (review_id, effect_id, rule, request_hash, author, deadline) "
                    "VALUES ($1, $2, $3, $4, $5, now() + make_interval(secs => $6)) "
                    "ON CONFLICT (effect_id) WHERE decision IS NULL DO NOTHING RETURNING review_id, now() AS at",
                    uuid.uuid4().hex[:12],
                    effect.effect_id,
                    rule,
                    effect.request_hash,
                    author,
                    within_s,
                )
                if new is not None:
                    detail = {"review": new["review_id"], "rule": rule, "request_hash": effect.request_hash}
                    await self._tell(
                        connection, "review.asked", "agent", new["at"], effect.effect_id, effect.call_id, detail
                    )
                row = await connection.fetchrow(
                    _SELECT + "WHERE r.effect_id = $1 AND r.decision IS NULL", effect.effect_id
                )
        if row is None:
            raise StoreError("The review was decided in the same moment.")
        return Review(**row)

    async def approved_for(self, effect_id: str) -> Review | None:
        """The newest decision on an effect, when it was an approval."""
        with typed_errors("reading reviews"):
            row = await self._pool.fetchrow(
                _SELECT + "WHERE r.effect_id = $1 AND r.decision IS NOT NULL ORDER BY r.decided_at DESC LIMIT 1",
                effect_id,
            )
        return Review(**row) if row is not None and row["decision"] == "approved" else None

    async def get(self, review_id: str) -> Review:
        """By id, or the beginning of one. Raises InvalidInputError for none or several."""
        with typed_errors("reading reviews"):
            rows = await self._pool.fetch(_SELECT + "WHERE starts_with(r.review_id, $1) LIMIT 2", review_id)
        if len(rows) != 1:
            raise InvalidInputError(
                "review", expected="one review", got="none" if not rows else "several that begin so",
                remedy="`trunkline review list --all` shows them.",
            )  # fmt: skip
        return Review(**rows[0])

    async def all(self, *, open_only: bool = True, limit: int = 200) -> list[Review]:
        """Those to decide, the most urgent first; or all, the newest first."""
        order = "WHERE r.decision IS NULL ORDER BY r.deadline" if open_only else "ORDER BY r.deadline DESC"
        with typed_errors("reading reviews"):
            rows = await self._pool.fetch(f"{_SELECT}{order} LIMIT $1", limit)
        return [Review(**row) for row in rows]

    async def decide(
        self, review: Review, decision: Literal["approved", "refused"], reviewer: str, request_hash: str, note: str
    ) -> Review:
        """Once, in time, by somebody else than the author, of these arguments. Raises ReviewError."""
        if not reviewer.strip():
            raise ReviewError("reviewer", expected="who decides", got="nobody", remedy="Give --by.")
        if reviewer == review.author:
            raise ReviewError("reviewer", expected="somebody else than who asked", got="the same")
        with typed_errors("deciding a review"):
            async with self._pool.acquire() as connection, connection.transaction():
                taken = await connection.fetchrow(
                    "UPDATE reviews SET decision = $2, reviewer = $3, decided_at = now(), note = $4 "
                    "WHERE review_id = $1 AND decision IS NULL AND deadline > now() AND request_hash = $5 "
                    "RETURNING decided_at",
                    review.review_id,
                    decision,
                    reviewer,
                    note,
                    request_hash,
                )
                if taken is not None:
                    detail = {"review": review.review_id, "rule": review.rule, "request_hash": request_hash}
                    about = (review.effect_id, review.call_id, detail, note)
                    await self._tell(connection, f"review.{decision}", reviewer, taken["decided_at"], *about)
        now = await self.get(review.review_id)
        if taken is None:
            raise _why_not(now, request_hash)
        return now

    async def expire(self, limit: int = 100) -> list[Review]:
        """Those whose deadline has passed are decided by that; each is returned once, to whoever took it."""
        with typed_errors("expiring reviews"):
            async with self._pool.acquire() as connection, connection.transaction():
                taken = await connection.fetch(
                    "UPDATE reviews SET decision = 'expired', decided_at = now() WHERE review_id IN (SELECT review_id "
                    "FROM reviews WHERE decision IS NULL AND deadline <= now() ORDER BY deadline LIMIT $1 "
                    "FOR UPDATE SKIP LOCKED) RETURNING review_id, decided_at",
                    limit,
                )
                ids = [row["review_id"] for row in taken]
                rows = await connection.fetch(_SELECT + "WHERE r.review_id = ANY($1)", ids)
                for row in rows:
                    detail = {"review": row["review_id"], "rule": row["rule"], "request_hash": row["request_hash"]}
                    await self._tell(
                        connection,
                        "review.expired",
                        "system",
                        row["decided_at"],
                        row["effect_id"],
                        row["call_id"],
                        detail,
                    )
        return [Review(**row) for row in rows]

    async def unfinished(self, older_than_s: float, limit: int = 100) -> list[Review]:
        """Decided, but what follows was not done: whoever decided died. Their effect is still in review."""
        with typed_errors("reading reviews"):
            rows = await self._pool.fetch(
                _SELECT + "WHERE r.decision IS NOT NULL AND e.state = 'review' AND r.decided_at >= e.changed_at "
                "AND r.decided_at <= now() - make_interval(secs => $1) "
                "AND NOT EXISTS (SELECT FROM reviews o WHERE o.effect_id = r.effect_id AND o.decision IS NULL) "
                "ORDER BY r.decided_at LIMIT $2",
                older_than_s,
                limit,
            )
        return [Review(**row) for row in rows]

    async def _tell(
        self,
        connection: Any,
        action: str,
        by: str,
        at: datetime,
        effect: str,
        call: str,
        detail: dict[str, str],
        note: str = "",
    ) -> None:
        personal = {"note": Personal(note, "note")} if note else {}
        entry = AuditEntry(
            actor=by, action=action, at=at, subject=effect, call_id=call, detail=detail, personal=personal
        )
        body, openings = self._told(entry)
        await connection.execute("INSERT INTO audit_pending (body, openings) VALUES ($1, $2)", body, openings)


def _why_not(now: Review, request_hash: str) -> ReviewError:
    if now.decision is not None:
        by = f" by {now.reviewer}" if now.reviewer else ""
        return ReviewError("review", expected="one that is open", got=f"{now.decision}{by} already")
    if now.request_hash != request_hash:
        return ReviewError(
            "request hash", expected=now.request_hash[:12], got=request_hash[:12],
            remedy="Look at it again: `trunkline review show`.",
        )  # fmt: skip
    return ReviewError("review", expected="a decision before its deadline", got="one after it")
