"""What one audit entry says, how it is sealed against change, and where personal data goes instead. Pure.

An entry is the canonical JSON of its fields, its index, the leaf hash of the entry before it (`prev`) and, for every
personal field, a commitment HMAC-SHA-256(salt, canonical([field, value])). Salt and value lie in another table:
without the salt a commitment says nothing about the value, not even by trying all telephone numbers, so deleting that
row erases the data while every hash and proof stays as it is. Each field of each entry has its own 32-byte salt.
"""

import hashlib
import hmac
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from services.common.errors import InvalidInputError
from services.common.personal import Personal
from services.records.canonical import canonical
from services.records.merkle import HASH_BYTES, leaf_hash

VERSION = 1
SALT_BYTES = 32
MAX_ENTRY_BYTES = 65_536
NO_PREVIOUS = bytes(HASH_BYTES)
FIELDS = frozenset(("v", "index", "prev", "at", "actor", "action", "subject", "call", "bundle", "detail", "personal"))
PENDING_FIELDS = FIELDS - {"index", "prev"}
_ACTION = re.compile(r"[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)+")


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditEntry:
    """Who did what to what. Personal data goes into `personal` and nowhere else.

    `actor`: "system", "operator", "agent" or an account's id. `action`: dotted, e.g. "call.ended". `subject`: the id of
    what was acted on. `detail`: JSON without floating-point numbers. Raises InvalidInputError for anything else.
    """

    actor: str
    action: str
    at: datetime
    subject: str = ""
    call_id: str = ""
    bundle_digest: str = ""
    detail: Mapping[str, Any] = field(default_factory=dict)
    personal: Mapping[str, Personal[str]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not _ACTION.fullmatch(self.action):
            raise InvalidInputError("action", expected="a dotted name like call.ended", got=repr(self.action))
        if not self.actor:
            raise InvalidInputError("actor", expected="who did it", got="nothing")
        if self.at.tzinfo is None:
            raise InvalidInputError("at", expected="a time with its zone", got="a naive one")
        for name, value in self.personal.items():
            if not isinstance(value, Personal) or not isinstance(value.reveal(), str):
                raise InvalidInputError(f"personal.{name}", expected="Personal text", got=type(value).__name__)
            canonical([name, value.reveal()], f"personal.{name}")
        # Fails here, where the caller is, and not when it is written.
        body = canonical(self.body({}), "entry")
        if len(body) > MAX_ENTRY_BYTES:
            raise InvalidInputError("entry", expected=f"at most {MAX_ENTRY_BYTES} bytes", got=str(len(body)))

    def body(self, commitments: Mapping[str, str]) -> dict[str, Any]:
        """The fields that do not depend on the place in the log."""
        return {
            "v": VERSION,
            "at": utc_text(self.at),
            "actor": self.actor,
            "action": self.action,
            "subject": self.subject,
            "call": self.call_id,
            "bundle": self.bundle_digest,
            "detail": dict(self.detail),
            "personal": dict(commitments),
        }


@dataclass(frozen=True, slots=True)
class Opening:
    """What opens one commitment: the field's salt and its value."""

    field: str
    salt: bytes
    value: str

    def commitment(self) -> str:
        """As it stands in the entry, hex."""
        return commit(self.salt, self.field, self.value)


@dataclass(frozen=True, slots=True)
class Prepared:
    """An entry without its place: the body and what opens its commitments."""

    body: dict[str, Any]
    openings: tuple[Opening, ...]


def prepare(entry: AuditEntry) -> Prepared:
    """Draw the salts and commit."""
    openings = tuple(
        Opening(name, secrets.token_bytes(SALT_BYTES), value.reveal()) for name, value in entry.personal.items()
    )
    return Prepared(entry.body({opening.field: opening.commitment() for opening in openings}), openings)


def unreadable(sha256: str) -> dict[str, Any]:
    """The body that stands for something found among pending rows that is no entry; `at` is unknown."""
    epoch = datetime(1970, 1, 1, tzinfo=UTC)
    return AuditEntry(actor="system", action="audit.unreadable", at=epoch, detail={"sha256": sha256}).body({})


def place(body: Mapping[str, Any], index: int, previous: bytes) -> bytes:
    """The entry as it is stored and hashed: its body at `index`, after the entry whose leaf hash is `previous`."""
    return canonical({**body, "index": index, "prev": previous.hex()}, "entry")


def commit(salt: bytes, name: str, value: str) -> str:
    """HMAC-SHA-256 keyed by the salt over the canonical JSON of [field, value], hex."""
    return hmac.new(salt, canonical([name, value]), hashlib.sha256).hexdigest()


def chain(bodies: list[dict[str, Any]], index: int, previous: bytes) -> list[tuple[int, bytes, bytes]]:
    """(index, entry, leaf hash) of entries one after the other."""
    placed: list[tuple[int, bytes, bytes]] = []
    for body in bodies:
        text = place(body, index, previous)
        previous = leaf_hash(text)
        placed.append((index, text, previous))
        index += 1
    return placed


def utc_text(at: datetime) -> str:
    """RFC 3339 in UTC with microseconds: one way to write a time."""
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
