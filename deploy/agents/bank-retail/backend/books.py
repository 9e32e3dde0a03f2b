"""What the bank does: reads, and acts that happen once per key (Idempotency-Key, with the payload's hash)."""

import hashlib
import hmac
import json
from typing import Any

import asyncpg

PIN_ROUNDS = 20_000
# Wrong PINs in a row, over all calls; then only a person helps.
MAX_WRONG_PINS = 5


class RefusedError(Exception):
    """The bank says no: `status` and a reason for people."""

    def __init__(self, status: int, reason: str) -> None:
        self.status = status
        super().__init__(reason)


class Books:
    """Over a pool; every act is one transaction."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool = pool

    async def customer(self, subject: str) -> dict[str, Any]:
        """What rules ask about a customer; the sum of refunds counts what was cancelled again as not refunded."""
        row = await self._pool.fetchrow(
            "SELECT vulnerable, (SELECT coalesce(sum(amount_minor), 0)::bigint FROM bank.postings "
            "WHERE subject = $1 AND kind IN ('refund', 'cancel') AND at > now() - interval '30 days') "
            "AS refunded_30d_minor FROM bank.customers WHERE subject = $1",
            subject,
        )
        if row is None:
            raise RefusedError(404, "no such customer")
        return {"subject": subject, **dict(row)}

    async def by_number(self, number: str) -> dict[str, Any]:
        """Whose telephone number this is; a number of two customers is nobody's."""
        rows = await self._pool.fetch("SELECT subject FROM bank.customers WHERE number = $1 AND number <> ''", number)
        if len(rows) != 1:
            raise RefusedError(404, "no one customer with this number")
        return dict(rows[0])

    async def check_pin(self, subject: str, pin: str) -> dict[str, Any]:
        """Whether it is the customer's PIN; too many wrong ones in a row lock it, right or not."""
        digest = hashlib.pbkdf2_hmac("sha256", pin.encode(), subject.encode(), PIN_ROUNDS).hex()
        async with self._pool.acquire() as connection, connection.transaction():
            row = await connection.fetchrow(
                "SELECT pin_hash, wrong_pins FROM bank.customers WHERE subject = $1 FOR UPDATE", subject
            )
            if row is None:
                raise RefusedError(404, "no such customer")
            locked = row["wrong_pins"] >= MAX_WRONG_PINS
            right = not locked and hmac.compare_digest(row["pin_hash"], digest)
            wrong = 0 if right else row["wrong_pins"] + 1
            await connection.execute("UPDATE bank.customers SET wrong_pins = $2 WHERE subject = $1", subject, wrong)
        return {"verified": right, "locked": locked}

    async def cards(self, subject: str) -> list[dict[str, Any]]:
        """The customer's cards."""
        rows = await self._pool.fetch(
            "SELECT card_id, last4, kind, blocked FROM bank.cards WHERE subject = $1 ORDER BY card_id", subject
        )
        return [dict(row) for row in rows]

    async def transactions(self, subject: str) -> list[dict[str, Any]]:
        """The customer's payments, newest first."""
        rows = await self._pool.fetch(
            "SELECT txn_id, merchant, date, amount_minor, currency, refundable FROM bank.transactions "
            "WHERE subject = $1 ORDER BY date DESC, txn_id",
            subject,
        )
        return [{**dict(row), "date": row["date"].isoformat()} for row in rows]

    async def balance(self, subject: str) -> dict[str, Any]:
        """What can be spent now."""
        row = await self._pool.fetchrow(
            "SELECT available_minor, currency, now() AS as_of FROM bank.accounts WHERE subject = $1", subject
        )
        if row is None:
            raise RefusedError(404, "no such customer")
        return {**dict(row), "as_of": row["as_of"].isoformat()}

    async def act(self, kind: str, key: str, payload: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        """Do it once: 201 and the answer; the same key again gives the same answer, with another payload 409."""
        digest = hashlib.sha256(json.dumps([kind, payload], sort_keys=True).encode()).hexdigest()
        async with self._pool.acquire() as connection, connection.transaction():
            await connection.execute("SELECT pg_advisory_xact_lock(hashtext($1))", key)
            known = await connection.fetchrow(
                "UPDATE bank.acts SET deliveries = deliveries + 1 WHERE key = $1 RETURNING payload_hash, answer", key
            )
            if known is not None:
                if known["payload_hash"] != digest:
                    raise RefusedError(409, "this key was used with another payload")
                return 201, json.loads(known["answer"])
            number = await connection.fetchval("SELECT nextval('bank.reference')")
            reference = f"{kind[:2].upper()}{number}"
            answer = {"reference": reference, **await getattr(self, f"_{kind}")(connection, key, payload)}
            await connection.execute(
                "INSERT INTO bank.acts (key, kind, payload_hash, reference, answer) VALUES ($1, $2, $3, $4, $5)",
                key,
                kind,
                digest,
                reference,
                json.dumps(answer),
            )
            return 201, answer

    async def by_key(self, kind: str, key: str) -> dict[str, Any]:
        """What became of it."""
        row = await self._pool.fetchrow("SELECT answer FROM bank.acts WHERE key = $1 AND kind = $2", key, kind)
        if row is None:
            raise RefusedError(404, "nothing was done under this key")
        answer: dict[str, Any] = json.loads(row["answer"])
        return answer

    async def _block(self, connection: asyncpg.Connection, key: str, payload: dict[str, Any]) -> dict[str, Any]:
        row = await connection.fetchrow(
            "UPDATE bank.cards SET blocked = true WHERE card_id = $1 AND subject = $2 RETURNING card_id, last4",
            payload["card_id"],
            payload["subject"],
        )
        if row is None:
            raise RefusedError(422, "no such card of this customer")
        await _post(connection, "block", payload["subject"], payload["card_id"], None, key)
        return dict(row)

    async def _refund(self, connection: asyncpg.Connection, key: str, payload: dict[str, Any]) -> dict[str, Any]:
        txn = await connection.fetchrow(
            "SELECT amount_minor, currency, refundable FROM bank.transactions "
            "WHERE txn_id = $1 AND subject = $2 FOR UPDATE",
            payload["txn_id"],
            payload["subject"],
        )
        if txn is None or not txn["refundable"]:
            raise RefusedError(422, "this payment cannot be refunded")
        given_back = await connection.fetchval(
            "SELECT coalesce(sum(amount_minor), 0) FROM bank.postings WHERE object = $1", payload["txn_id"]
        )
        left = txn["amount_minor"] - given_back
        if payload["currency"] != txn["currency"] or not 0 < payload["amount_minor"] <= left:
            raise RefusedError(422, "this amount cannot be refunded")
        await connection.execute(
            "UPDATE bank.accounts SET available_minor = available_minor + $2 WHERE subject = $1",
            payload["subject"],
            payload["amount_minor"],
        )
        await _post(connection, "refund", payload["subject"], payload["txn_id"], payload["amount_minor"], key)
        return {name: payload[name] for name in ("txn_id", "amount_minor", "currency")}

    async def _cancel(self, connection: asyncpg.Connection, key: str, payload: dict[str, Any]) -> dict[str, Any]:
        done = await connection.fetchrow(
            "SELECT answer FROM bank.acts WHERE key = $1 AND kind = 'refund'", payload["key"]
        )
        if done is None:
            raise RefusedError(404, "nothing was done under this key")
        refund = json.loads(done["answer"])
        txn = await connection.fetchrow("SELECT subject FROM bank.transactions WHERE txn_id = $1", refund["txn_id"])
        assert txn is not None
        await connection.execute(
            "UPDATE bank.accounts SET available_minor = available_minor - $2 WHERE subject = $1",
            txn["subject"],
            refund["amount_minor"],
        )
        await _post(connection, "cancel", txn["subject"], refund["txn_id"], -refund["amount_minor"], key)
        return {**{name: refund[name] for name in ("txn_id", "amount_minor", "currency")}, "cancelled": True}

    async def _address(self, connection: asyncpg.Connection, key: str, payload: dict[str, Any]) -> dict[str, Any]:
        row = await connection.fetchrow(
            "UPDATE bank.customers SET street = $2, postcode = $3 WHERE subject = $1 RETURNING street, postcode",
            payload["subject"],
            payload["street"],
            payload["postcode"],
        )
        if row is None:
            raise RefusedError(422, "no such customer")
        await _post(connection, "address", payload["subject"], payload["postcode"], None, key)
        return dict(row)


async def _post(
    connection: asyncpg.Connection, kind: str, subject: str, thing: str, amount_minor: int | None, key: str
) -> None:
    await connection.execute(
        "INSERT INTO bank.postings (kind, subject, object, amount_minor, key) VALUES ($1, $2, $3, $4, $5)",
        kind,
        subject,
        thing,
        amount_minor,
        key,
    )
