"""Dialogues as rows: written by one worker at a time, taken over by another, erased by forgetting one column."""

import hashlib
import json
import secrets
from dataclasses import dataclass
from typing import Any

import asyncpg

from services.common.personal import Personal
from services.common.postgres import typed_errors
from services.orchestrator.dialogue.codec import dump, load
from services.orchestrator.dialogue.ports import TakenOverError
from services.orchestrator.dialogue.state import DialogueState
from services.orchestrator.store.records import clean

_COLUMNS = "call_id, version, agent_digest, locale, state, personal"


@dataclass(frozen=True, slots=True)
class StoredDialogue:
    """One dialogue as it was written last. It goes on with the bundle and the locale it began with."""

    call_id: str
    version: int
    agent_digest: str
    locale: str
    state: DialogueState


class StateWriter:
    """Writes one dialogue's state, for as long as nobody else has taken it over (dialogue.ports.StateStore)."""

    def __init__(self, pool: asyncpg.Pool, call_id: str, writer: str, version: int) -> None:
        self._pool = pool
        self._call_id = call_id
        self._writer = writer
        self._version = version

    async def save(self, state: DialogueState) -> None:
        """Durable when it returns.

        Raises TakenOverError when another worker has the dialogue or it was erased; UnavailableError, StoreError when
        the database is away: then it may or may not be written, and the next save tells.
        """
        self._version += 1
        skeleton, personal = dump(state)
        with typed_errors("storing a dialogue"):
            written = await self._pool.fetchval(
                "UPDATE dialogues SET version = $3, state = $4, personal = $5, changed_at = now() "
                # A write that was given up for lost and comes late must not undo a later one.
                "WHERE call_id = $1 AND writer = $2 AND version < $3 AND personal IS NOT NULL RETURNING version",
                self._call_id,
                self._writer,
                self._version,
                _json(skeleton),
                _json(personal),
            )
        if written is None:
            raise TakenOverError("Another worker goes on with this dialogue.", remedy="Nothing is left to do here.")


class DialogueStore:
    """All dialogues. Raises UnavailableError (the database is away), StoreError (it refuses)."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool = pool

    async def begin(self, call_id: str, agent_digest: str, locale: str, caller: Personal[str]) -> StateWriter:
        """A new dialogue. Raises TakenOverError when the call has one: `take` goes on with it."""
        skeleton, personal = dump(DialogueState())
        writer = secrets.token_hex(8)
        with typed_errors("beginning a dialogue"):
            made = await self._pool.fetchval(
                "INSERT INTO dialogues (call_id, writer, version, agent_digest, locale, caller_hash, state, personal) "
                "VALUES ($1, $2, 0, $3, $4, $5, $6, $7) ON CONFLICT (call_id) DO NOTHING RETURNING call_id",
                call_id,
                writer,
                agent_digest,
                locale,
                _hash(caller),
                _json(skeleton),
                _json(personal),
            )
        if made is None:
            raise TakenOverError("This call has a dialogue already.", remedy="Take it over instead.")
        return StateWriter(self._pool, call_id, writer, 0)

    async def load(self, call_id: str) -> StoredDialogue | None:
        """As it is; None where there is none. Raises StateError for one that was erased or is of another schema."""
        with typed_errors("reading a dialogue"):
            row = await self._pool.fetchrow(f"SELECT {_COLUMNS} FROM dialogues WHERE call_id = $1", call_id)
        return _stored(row) if row else None

    async def take(self, call_id: str) -> tuple[StoredDialogue, StateWriter] | None:
        """Go on with it: from now on whoever wrote before writes nothing more. None where there is none to go on with.

        Raises StateError.
        """
        writer = secrets.token_hex(8)
        with typed_errors("taking over a dialogue"):
            row = await self._pool.fetchrow(
                "UPDATE dialogues SET writer = $2, version = version + 1, changed_at = now() "
                f"WHERE call_id = $1 AND ended_at IS NULL RETURNING {_COLUMNS}",
                call_id,
                writer,
            )
        if row is None:
            return None
        return _stored(row), StateWriter(self._pool, call_id, writer, row["version"])

    async def waiting(self, caller: Personal[str], within_s: float) -> str | None:
        """The call whose dialogue this caller may go on with: the newest that has not ended, written so lately."""
        if not caller.reveal():
            return None
        with typed_errors("looking for a dialogue"):
            found: str | None = await self._pool.fetchval(
                "SELECT call_id FROM dialogues WHERE caller_hash = $1 AND ended_at IS NULL AND personal IS NOT NULL "
                "AND changed_at > now() - make_interval(secs => $2) ORDER BY changed_at DESC LIMIT 1",
                _hash(caller),
                within_s,
            )
        return found

    async def end(self, call_id: str) -> None:
        """The call ended as it should: nobody goes on with it."""
        with typed_errors("ending a dialogue"):
            await self._pool.execute(
                "UPDATE dialogues SET ended_at = now() WHERE call_id = $1 AND ended_at IS NULL", call_id
            )

    async def erase(self, call_id: str) -> bool:
        """Forget everything personal; how the goals went stays. A writer that is still there writes no more."""
        with typed_errors("erasing a dialogue"):
            done = await self._pool.fetchval(
                "UPDATE dialogues SET personal = NULL, caller_hash = '', ended_at = coalesce(ended_at, now()) "
                "WHERE call_id = $1 AND personal IS NOT NULL RETURNING call_id",
                call_id,
            )
        return done is not None


def _stored(row: Any) -> StoredDialogue:
    return StoredDialogue(
        row["call_id"], row["version"], row["agent_digest"], row["locale"], load(row["state"], row["personal"])
    )


def _hash(caller: Personal[str]) -> str:
    plain = caller.reveal()
    return hashlib.sha256(f"trunkline caller v1 {plain}".encode()).hexdigest() if plain else ""


def _json(value: Any) -> str:
    return json.dumps(clean(value), ensure_ascii=False, separators=(",", ":"), allow_nan=False)
