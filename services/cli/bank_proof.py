"""What a call left behind, from where it counts: the bank's books by SQL, the audit log exported and verified."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import asyncpg

from services.cli.bank_stack import CUSTOMER, BankHouse
from services.common.clock import Clock, sleep_s
from services.common.errors import UnavailableError
from services.orchestrator.store.audit import open_audit_pool
from services.orchestrator.store.visit import visit_database
from services.records.checkpointer import Checkpointer
from services.records.export import export_log
from services.records.findings import Report
from services.records.keys import load_log_key, load_verifier, load_witnesses, log_key_file
from services.records.verify import verify

# The stack's own signer may be at it: it takes milliseconds.
_SIGN_TRIES, _SIGN_AGAIN_S = 10, 0.3


@dataclass(frozen=True, slots=True)
class Fact:
    """Something that must be so, what is, and whether they agree."""

    what: str
    expected: str
    found: str

    @property
    def holds(self) -> bool:
        """They are the same."""
        return self.expected == self.found


@dataclass(frozen=True, slots=True)
class Posting:
    """One row of the books: an act that happened."""

    kind: str
    object: str
    amount_minor: int | None

    def __str__(self) -> str:
        amount = f" {self.amount_minor / 100:.2f}" if self.amount_minor else ""
        return f"{self.kind} {self.object}{amount}"


@dataclass(frozen=True, slots=True)
class Expected:
    """How the customer's books must look after the call: exactly these acts, these cards blocked, this balance."""

    postings: tuple[Posting, ...]
    blocked: tuple[str, ...]
    available_minor: int


DEMO: Final = Expected(
    postings=(Posting("block", "card-1", None), Posting("refund", "txn-3", 1000)),
    blocked=("4417",),
    available_minor=126050,
)


async def book_facts(house: BankHouse, expected: Expected, subject: str = CUSTOMER) -> list[Fact]:
    """The customer's books against what is expected. Raises UnavailableError, StoreError."""
    rows = await house.books(
        "SELECT kind, object, amount_minor FROM bank.postings WHERE subject = $1 ORDER BY posting", subject
    )
    cards = await house.books("SELECT last4 FROM bank.cards WHERE subject = $1 AND blocked ORDER BY last4", subject)
    balance = await house.books("SELECT available_minor FROM bank.accounts WHERE subject = $1", subject)
    return [
        Fact("acts, each once and no other", _list(expected.postings), _list([_posting(row) for row in rows])),
        Fact("blocked cards", _list(expected.blocked), _list([row["last4"] for row in cards])),
        Fact("balance", _pounds(expected.available_minor), _pounds(balance[0]["available_minor"])),
    ]


async def audit_report(house: BankHouse, clock: Clock, out: Path) -> Report:
    """Sign the log as it is now, export it to `out`, and verify that file with the public key alone.

    Raises UnavailableError, StoreError, InconsistentLogError (the log is not what was signed before).
    """
    settings = house.launch.settings
    async with visit_database(settings, clock) as (dsn, connection):
        pool = await open_audit_pool(settings, dsn)
        try:
            signer = Checkpointer(pool, load_log_key(settings), load_witnesses(settings), clock)
            for _ in range(_SIGN_TRIES):
                if await signer.make() is not None:
                    break
                await sleep_s(clock, _SIGN_AGAIN_S)
            else:
                raise UnavailableError("The audit log could not be signed: it is empty, or another process signs.")
        finally:
            pool.terminate()
        lines = [line async for line in export_log(connection)]
    await asyncio.to_thread(out.write_text, "".join(f"{line}\n" for line in lines), encoding="utf-8")
    exported = await asyncio.to_thread(out.read_text, encoding="utf-8")
    return verify(exported.splitlines(), load_verifier(str(log_key_file(settings).with_suffix(".pub"))))


def _posting(row: asyncpg.Record) -> Posting:
    return Posting(row["kind"], row["object"], row["amount_minor"])


def _list(things: Sequence[object]) -> str:
    return ", ".join(str(one) for one in things) or "none"


def _pounds(minor: int) -> str:
    return f"{minor / 100:.2f} GBP"
