"""Keys of calls in the database: made once per call, cached, erased for good; and who called, sealed under them."""

from collections import OrderedDict
from dataclasses import dataclass
from typing import Any

import asyncpg

from services.common.errors import InvalidInputError
from services.common.postgres import typed_errors
from services.orchestrator.store.records import to_jsonb
from services.records.data_keys import DataKey, KeyRing
from services.records.entry import AuditEntry, prepare

CACHED = 500
# The wrapped key of a row's call, as a column of any statement over `effects`.
WRAPPED = "(SELECT wrapped FROM control_calls c WHERE c.call_id = effects.call_id) AS wrapped"


@dataclass(frozen=True, slots=True)
class KnownCaller:
    """What is known of a call's caller; empty when it is erased."""

    subject: str = ""
    ani: str = ""
    level: int = 0


class CallKeys:
    """Over a pool; `ring` None seals nothing (tools, tests)."""

    def __init__(self, pool: asyncpg.Pool, ring: KeyRing | None) -> None:
        self._pool, self._ring = pool, ring
        self._cache: OrderedDict[str, DataKey] = OrderedDict()

    @property
    def secret(self) -> bytes:
        """Keys the hashes of acts."""
        return self._ring.hash_key if self._ring is not None else b""

    async def of(self, connection: Any, call_id: str) -> DataKey | None:
        """The call's key, made when there is none. Raises InvalidInputError when it was erased."""
        if self._ring is None:
            return None
        found = self._cache.get(call_id)
        if found is None:
            key, wrapped = self._ring.new(call_id)
            row = await connection.fetchrow(
                "WITH made AS (INSERT INTO control_calls (call_id, wrapped) VALUES ($1, $2) ON CONFLICT DO NOTHING "
                "RETURNING wrapped, true AS new) SELECT wrapped, new FROM made "
                "UNION ALL SELECT wrapped, false FROM control_calls WHERE call_id = $1 LIMIT 1",
                call_id,
                wrapped,
            )
            if row is None:
                # Somebody else's insert is not visible in our snapshot: it is in the next one.
                row = await connection.fetchrow(
                    "SELECT wrapped, false AS new FROM control_calls WHERE call_id = $1", call_id
                )
            if row is None or row["wrapped"] is None:
                raise InvalidInputError("call", expected="one whose data is kept", got="one that was erased")
            found = key if row["new"] else self._ring.unwrap(call_id, bytes(row["wrapped"]))
            self._keep(call_id, found)
        return found

    def opened(self, call_id: str, wrapped: bytes | None) -> DataKey | None:
        """The key of a row that was read with its call's wrapped key; None: erased, or nothing is sealed here."""
        if self._ring is None or wrapped is None:
            return None
        found = self._cache.get(call_id)
        if found is None:
            found = self._ring.unwrap(call_id, bytes(wrapped))
            self._keep(call_id, found)
        return found

    async def remember(self, call_id: str, caller: KnownCaller) -> None:
        """Who calls, for whoever goes on with this call."""
        with typed_errors("keeping who calls"):
            async with self._pool.acquire() as connection, connection.transaction():
                key = await self.of(connection, call_id)
                known = {"subject": caller.subject, "ani": caller.ani}
                await connection.execute(
                    "INSERT INTO control_calls (call_id, wrapped, identity, level) VALUES ($1, ''::bytea, $2, $3) "
                    "ON CONFLICT (call_id) DO UPDATE SET identity = $2, level = $3",
                    call_id,
                    to_jsonb(key.seal(known, f"{call_id}/identity") if key is not None else known),
                    caller.level,
                )

    async def recall(self, call_id: str) -> KnownCaller:
        """Who it was; nobody when it is not known, or erased. Raises SettingsError for another site's key."""
        with typed_errors("reading who calls"):
            row = await self._pool.fetchrow(
                "SELECT wrapped, identity, level FROM control_calls WHERE call_id = $1", call_id
            )
        if row is None or row["wrapped"] is None or not row["identity"]:
            return KnownCaller()
        known = row["identity"]
        if "sealed" in known:
            key = self.opened(call_id, row["wrapped"])
            if key is None:
                return KnownCaller()
            known = key.open(known, f"{call_id}/identity")
        return KnownCaller(known.get("subject", ""), known.get("ani", ""), row["level"])

    async def erase(self, call_id: str, by: str, reason: str) -> bool:
        """Destroy the key: nothing sealed of this call opens again. False when there was none.

        Raises InvalidInputError while an act of the call is open: it could not be settled any more.
        """
        with typed_errors("erasing the key of a call"):
            async with self._pool.acquire() as connection, connection.transaction():
                open_acts = await connection.fetchval(
                    "SELECT count(*) FROM effects WHERE call_id = $1 AND state NOT IN ('committed', 'failed')", call_id
                )
                if open_acts:
                    raise InvalidInputError(
                        "call",
                        expected="one whose acts are settled",
                        got=f"{open_acts} open",
                        remedy="Settle them first: `trunkline review list`.",
                    )
                erased = await connection.fetchval(
                    "UPDATE control_calls SET wrapped = NULL, identity = '{}', erased_at = now() "
                    "WHERE call_id = $1 AND wrapped IS NOT NULL RETURNING call_id",
                    call_id,
                )
                if erased is not None:
                    entry = AuditEntry(
                        actor=by,
                        action="control.erased",
                        at=await connection.fetchval("SELECT now()"),
                        call_id=call_id,
                        detail={"reason": reason},
                    )
                    await connection.execute(
                        "INSERT INTO audit_pending (body) VALUES ($1)", to_jsonb(prepare(entry).body)
                    )
        self._cache.pop(call_id, None)
        return erased is not None

    async def rewrap(self, by: str, batch: int = 500) -> int:
        """Every call's key under the site's key that seals now; how many were under another. Noted in the audit.

        One that is erased meanwhile stays erased. Raises SettingsError for a key that none of the site's opens.
        """
        if self._ring is None:
            return 0
        done, last = 0, ""
        with typed_errors("wrapping keys of calls anew"):
            while rows := await self._pool.fetch(
                "SELECT call_id, wrapped FROM control_calls WHERE call_id > $1 AND length(wrapped) > 0 "
                "ORDER BY call_id LIMIT $2",
                last,
                batch,
            ):
                last = rows[-1]["call_id"]
                for row in rows:
                    anew = self._ring.rewrapped(row["call_id"], bytes(row["wrapped"]))
                    if anew is not None:
                        changed = await self._pool.fetchval(
                            "UPDATE control_calls SET wrapped = $3 WHERE call_id = $1 AND wrapped = $2 RETURNING 1",
                            row["call_id"],
                            row["wrapped"],
                            anew,
                        )
                        done += changed or 0
            if done:
                at = await self._pool.fetchval("SELECT now()")
                entry = AuditEntry(actor=by, action="control.rewrapped", at=at, detail={"calls": str(done)})
                await self._pool.execute("INSERT INTO audit_pending (body) VALUES ($1)", to_jsonb(prepare(entry).body))
        return done

    def _keep(self, call_id: str, key: DataKey) -> None:
        self._cache[call_id] = key
        while len(self._cache) > CACHED:
            self._cache.popitem(last=False)
