"""Appending to the audit log: one writer per process, one at a time over all processes, many entries a transaction.

Two ways in, both durable before anybody is told:
- `append` waits until the entry is in the chain and gives its index (about one fsync).
- A statement of the caller's own transaction puts a row into `audit_pending` (see `pending_row`); it commits with what
  it tells or not at all and costs no round trip of its own. The writer moves it into the chain soon after, and after
  a crash the next process does.
An advisory lock serialises writers; each reads the head under it, so the chain has no forks and no gaps.
"""

import asyncio
import hashlib
import json
from collections import deque
from collections.abc import Sequence
from typing import Any, Final, Protocol

import asyncpg
from prometheus_client import Counter, Gauge

from services.common.clock import Clock, sleep_s
from services.common.deadline import deadline
from services.common.errors import InvalidInputError, OverloadedError, TrunklineError, UnavailableError
from services.common.log import get_logger
from services.common.postgres import typed_errors
from services.records.entry import (
    NO_PREVIOUS,
    PENDING_FIELDS,
    AuditEntry,
    Prepared,
    chain,
    place,
    prepare,
    unreadable,
)
from services.records.personal_store import PersonalStore, StoredOpening

log = get_logger(__name__)

# "TrunkAud" in ASCII.
APPEND_LOCK: Final = int.from_bytes(b"TrunkAud", "big")
WRITER_ROLE: Final = "trunkline_audit_writer"
BATCH: Final = 256
MAX_WAITING: Final = 2_000
POLL_S: Final = 1.0
BACKOFF_S: Final = (0.2, 2.0)
APPEND_DEADLINE_S: Final = 5.0

APPENDED: Final = Counter("trunkline_audit_entries", "Entries appended to the audit log by this process.")
PENDING: Final = Gauge("trunkline_audit_pending", "Entries in the database that wait for their place in the chain.")
WAITING: Final = Gauge("trunkline_audit_waiting", "Appends of this process that wait for the database.")

Head = tuple[int, bytes]


class AuditSink(Protocol):
    """What the rest of the process sees of the log."""

    async def append(self, entry: AuditEntry) -> int:
        """Durable when it returns; the entry's index. Raises UnavailableError, OverloadedError, StoreError."""
        ...


class AuditLog:
    """`start`, then `append` from anywhere on the loop, `close` at the end. Implements AuditSink."""

    def __init__(self, pool: asyncpg.Pool, personal: PersonalStore, clock: Clock) -> None:
        self._pool = pool
        self._personal = personal
        self._clock = clock
        self._queue: deque[tuple[Prepared, asyncio.Future[int]]] = deque()
        self._wake = asyncio.Event()
        self._closing = False
        self._away = False
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin writing; needs the event loop."""
        self._task = asyncio.get_running_loop().create_task(self._run(), name="audit writer")

    async def append(self, entry: AuditEntry) -> int:
        """Put one entry into the chain; durable when it returns, with its index.

        Raises OverloadedError (too many wait), UnavailableError (no answer within 5 s: the entry may still be written,
        an entry twice is possible, one lost unsaid is not), StoreError (refused).
        """
        return (await self.append_batch([entry]))[0]

    async def append_batch(self, entries: Sequence[AuditEntry]) -> list[int]:
        """Put entries into the chain in this order (others may come between batches, not between these)."""
        if self._closing:
            raise UnavailableError("The audit log is closed.")
        if len(self._queue) + len(entries) > MAX_WAITING:
            raise OverloadedError("The audit log", retry_after_s=1.0)
        loop = asyncio.get_running_loop()
        futures: list[asyncio.Future[int]] = []
        for entry in entries:
            futures.append(loop.create_future())
            self._queue.append((prepare(entry), futures[-1]))
        WAITING.set(len(self._queue))
        self._wake.set()
        try:
            async with deadline(self._clock, APPEND_DEADLINE_S):
                return list(await asyncio.gather(*futures))
        except TimeoutError:
            raise UnavailableError(
                f"The audit log did not take an entry within {APPEND_DEADLINE_S:.0f} s.",
                remedy="Check the database, then do it again.",
            ) from None

    def pending_row(self, entry: AuditEntry) -> tuple[str, str]:
        """(body, openings) as JSON text for `INSERT INTO audit_pending (body, openings)` in a caller's transaction."""
        prepared = prepare(entry)
        rows = [row.to_json() for row in self._personal.store(prepared.openings)]
        return json.dumps(prepared.body, ensure_ascii=False), json.dumps(rows, ensure_ascii=False)

    def nudge(self) -> None:
        """Something was put into `audit_pending`: look now, not in a second."""
        self._wake.set()

    async def close(self, deadline_s: float = 5.0) -> bool:
        """Write what waits, then stop; False when the deadline came first (what is pending stays in the database)."""
        self._closing = True
        if self._task is None:
            return True
        self._wake.set()
        timer = asyncio.ensure_future(sleep_s(self._clock, deadline_s))
        await asyncio.wait({self._task, timer}, return_when=asyncio.FIRST_COMPLETED)
        done = self._task.done()
        self._task.cancel()
        timer.cancel()
        await asyncio.gather(self._task, timer, return_exceptions=True)
        self._fail_all(UnavailableError("The audit log is closed."))
        return done

    async def _run(self) -> None:
        backoff_s = BACKOFF_S[0]
        while True:
            self._wake.clear()
            batch = [self._queue.popleft() for _ in range(min(BATCH, len(self._queue)))]
            batch = [(prepared, future) for prepared, future in batch if not future.done()]
            outcome = await self._attempt([prepared for prepared, _ in batch])
            if not isinstance(outcome, BaseException):
                indexes, more = outcome
                self._written(batch, indexes)
                backoff_s = BACKOFF_S[0]
                if more or self._queue:
                    continue
                if self._closing:
                    return
                await self._until_woken(POLL_S)
            elif isinstance(outcome, UnavailableError) or not batch:
                # Whoever waited too long has been told; the others keep their places.
                self._queue.extendleft(reversed(batch))
                self._say_away(outcome)
                await sleep_s(self._clock, backoff_s)
                backoff_s = min(BACKOFF_S[1], 2 * backoff_s)
            else:
                log.error("audit entries refused", entries=len(batch), error=_reason(outcome))
                for _, future in batch:
                    if not future.done():
                        future.set_exception(outcome)

    async def _attempt(self, prepared: Sequence[Prepared]) -> tuple[list[int], bool] | BaseException:
        """The error of one try, whatever it is: this task outlives every fault of the database and its driver."""
        writing = asyncio.ensure_future(self._write(prepared))
        try:
            await asyncio.wait({writing})
        finally:
            writing.cancel()
        return writing.exception() or writing.result()

    async def _write(self, prepared: Sequence[Prepared]) -> tuple[list[int], bool]:
        """One transaction: pending rows first, then ours. Gives our indexes and whether more is pending."""
        with typed_errors("appending to the audit log"):
            async with self._pool.acquire() as connection, connection.transaction():
                if not prepared and not await connection.fetchval("SELECT EXISTS (SELECT FROM audit_pending)"):
                    PENDING.set(0)
                    return [], False
                return await write_entries(connection, prepared, self._personal)

    async def _until_woken(self, seconds: float) -> None:
        woken = asyncio.ensure_future(self._wake.wait())
        timer = asyncio.ensure_future(sleep_s(self._clock, seconds))
        try:
            await asyncio.wait({woken, timer}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            woken.cancel()
            timer.cancel()

    def _written(self, batch: Sequence[tuple[Prepared, asyncio.Future[int]]], indexes: Sequence[int]) -> None:
        for (_, future), index in zip(batch, indexes, strict=True):
            if not future.done():
                future.set_result(index)
        WAITING.set(len(self._queue))
        if self._away:
            log.warning("audit log is back", waiting=len(self._queue))
        self._away = False

    def _say_away(self, error: BaseException) -> None:
        if not self._away:
            log.error("audit log away, entries wait", waiting=len(self._queue), error=_reason(error))
        self._away = True

    def _fail_all(self, error: TrunklineError) -> None:
        for _, future in self._queue:
            if not future.done():
                future.set_exception(error)
        self._queue.clear()


async def write_entries(
    connection: Any, prepared: Sequence[Prepared], personal: PersonalStore
) -> tuple[list[int], bool]:
    """Inside a transaction: pending rows, then `prepared`. Gives the indexes of these and whether more is pending."""
    await connection.execute("SELECT pg_advisory_xact_lock($1)", APPEND_LOCK)
    index, previous = await read_head(connection)
    pending = await connection.fetch(
        "DELETE FROM audit_pending WHERE id IN (SELECT id FROM audit_pending ORDER BY id LIMIT $1) "
        "RETURNING id, body, openings",
        BATCH,
    )
    pending.sort(key=lambda row: row["id"])
    waited = [_from_pending(row) for row in pending]
    bodies = [body for body, _ in waited] + [one.body for one in prepared]
    openings = [rows for _, rows in waited] + [personal.store(one.openings) for one in prepared]
    await _insert(connection, chain(bodies, index, previous), openings)
    APPENDED.inc(len(bodies))
    PENDING.set(len(pending) - len(pending) % BATCH)
    return list(range(index + len(pending), index + len(bodies))), len(pending) == BATCH


def _from_pending(row: Any) -> tuple[dict[str, Any], list[StoredOpening]]:
    """A pending row as our code wrote it; whatever else somebody put there must not stop the log, and is on record."""
    body, openings = json_of(row["body"]), json_of(row["openings"])
    try:
        if not isinstance(body, dict) or body.keys() != PENDING_FIELDS:
            raise InvalidInputError("audit_pending.body", expected="the fields of an entry", got="others")
        place(body, 0, NO_PREVIOUS)
        return body, [StoredOpening.from_json(raw) for raw in openings]
    except (InvalidInputError, KeyError, TypeError, ValueError):
        log.error("pending audit row is not an entry", row=row["id"])
        digest = hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()
        return unreadable(digest), []


async def read_head(connection: Any) -> Head:
    """(the next index, the leaf hash of the last entry); to be read under the lock."""
    row = await connection.fetchrow("SELECT index, leaf_hash FROM audit_entries ORDER BY index DESC LIMIT 1")
    return (row["index"] + 1, row["leaf_hash"]) if row else (0, NO_PREVIOUS)


def json_of(value: Any) -> Any:
    """A jsonb column, whether the connection decodes it or not."""
    return json.loads(value) if isinstance(value, str) else value


async def _insert(
    connection: Any, placed: Sequence[tuple[int, bytes, bytes]], openings: Sequence[Sequence[StoredOpening]]
) -> None:
    await connection.execute(
        "INSERT INTO audit_entries (index, entry, leaf_hash) "
        "SELECT * FROM unnest($1::bigint[], $2::text[], $3::bytea[])",
        [index for index, _, _ in placed],
        [entry.decode() for _, entry, _ in placed],
        [leaf for _, _, leaf in placed],
    )
    rows = [(index, o) for (index, _, _), of_entry in zip(placed, openings, strict=True) for o in of_entry]
    if rows:
        await connection.execute(
            "INSERT INTO audit_personal (index, field, salt, value, sealed) "
            "SELECT * FROM unnest($1::bigint[], $2::text[], $3::bytea[], $4::bytea[], $5::boolean[])",
            [index for index, _ in rows],
            [o.field for _, o in rows],
            [o.salt for _, o in rows],
            [o.value for _, o in rows],
            [o.sealed for _, o in rows],
        )


def _reason(error: BaseException) -> str:
    return error.message if isinstance(error, TrunklineError) else type(error).__name__
