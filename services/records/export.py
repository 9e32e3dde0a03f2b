"""The audit log as a file: JSON lines that `verify` checks without the database, and that other tools can read.

    {"type": "header", "format": "trunkline-audit/1", "origin": …, "excerpt": false}
    {"type": "entry", "index": 0, "entry": "<canonical JSON, exactly the bytes hashed>", "leaf": "<hex>",
     "personal": {"caller": {"salt": "<hex>", "value": "sip:…"}}}          # only with openings, only what is left
    {"type": "checkpoint", "note": "<C2SP signed note>"}
    {"type": "end", "entries": 1, "checkpoints": 1}

An excerpt (`"excerpt": true`) holds some entries, each with `"proof"`: the inclusion path (hex) into the checkpoint
that follows; it proves these entries without showing the others. `"newer"` counts those of the call that no checkpoint
covers yet: they are left out.
"""

import json
from collections.abc import AsyncIterator
from typing import Any

from services.common.errors import InvalidInputError
from services.common.postgres import typed_errors
from services.records.checkpoint import Checkpoint
from services.records.export_reader import FORMAT
from services.records.merkle import Tree
from services.records.notes import Note
from services.records.personal_store import PersonalStore, StoredOpening


async def export_log(connection: Any, personal: PersonalStore | None = None) -> AsyncIterator[str]:
    """Every line of the log as it is now (one snapshot); with `personal`, what opens its commitments too.

    Raises UnavailableError, StoreError.
    """
    with typed_errors("reading the audit log"):
        async with connection.transaction(isolation="repeatable_read", readonly=True):
            notes = [
                row["note"] for row in await connection.fetch("SELECT note FROM audit_checkpoints ORDER BY size, id")
            ]
            yield _line("header", format=FORMAT, origin=_origin(notes), excerpt=False)
            entries = 0
            query = "SELECT index, entry, leaf_hash FROM audit_entries ORDER BY index"
            openings = await _openings(connection, personal)
            async for row in connection.cursor(query, prefetch=2_000):
                entries += 1
                yield _entry(row, openings.get(row["index"], {}))
            for note in notes:
                yield _line("checkpoint", note=note)
            yield _line("end", entries=entries, checkpoints=len(notes))


async def export_call(connection: Any, call_id: str, personal: PersonalStore | None = None) -> AsyncIterator[str]:
    """The entries of one call that the last checkpoint covers, each with its proof into it, and that checkpoint.

    Raises InvalidInputError when it covers none; UnavailableError, StoreError.
    """
    with typed_errors("reading the audit log"):
        async with connection.transaction(isolation="repeatable_read", readonly=True):
            note = await connection.fetchval("SELECT note FROM audit_checkpoints ORDER BY size DESC, id DESC LIMIT 1")
            rows = await connection.fetch(
                "SELECT index, entry, leaf_hash FROM audit_entries WHERE entry::jsonb ->> 'call' <> '' "
                "AND entry::jsonb ->> 'call' = $1 ORDER BY index",
                call_id,
            )
            size = Checkpoint.parse(Note.parse(note).text).size if note else 0
            if not rows:
                raise InvalidInputError("--call", expected="a call with audit entries", got=repr(call_id))
            covered = [row for row in rows if row["index"] < size]
            if not covered:
                raise InvalidInputError(
                    "--call",
                    expected="entries under a checkpoint",
                    got="newer ones only",
                    remedy="Run `trunkline audit checkpoint` first.",
                )
            tree = Tree()
            query = "SELECT leaf_hash FROM audit_entries WHERE index < $1 ORDER BY index"
            async for leaf in connection.cursor(query, size, prefetch=10_000):
                tree.append(leaf["leaf_hash"])
            openings = await _openings(connection, personal, [row["index"] for row in covered])
            newer = len(rows) - len(covered)
            yield _line("header", format=FORMAT, origin=_origin([note]), excerpt=True, newer=newer)
            for row in covered:
                proof = [step.hex() for step in tree.inclusion(row["index"], size)]
                yield _entry(row, openings.get(row["index"], {}), proof=proof)
            yield _line("checkpoint", note=note)
            yield _line("end", entries=len(covered), checkpoints=1)


async def _openings(
    connection: Any, personal: PersonalStore | None, indexes: list[int] | None = None
) -> dict[int, dict[str, Any]]:
    if personal is None:
        return {}
    rows = await connection.fetch(
        "SELECT index, field, salt, value, sealed FROM audit_personal WHERE $1::bigint[] IS NULL OR index = ANY($1)",
        indexes,
    )
    found: dict[int, dict[str, Any]] = {}
    for row in rows:
        opened = personal.open(StoredOpening(row["field"], row["salt"], row["value"], row["sealed"]))
        if opened is not None:
            fields = found.setdefault(row["index"], {})
            fields[opened.field] = {"salt": opened.salt.hex(), "value": opened.value}
    return found


def _entry(row: Any, openings: dict[str, Any], **more: Any) -> str:
    shown = {"personal": openings} if openings else {}
    return _line("entry", index=row["index"], entry=row["entry"], leaf=row["leaf_hash"].hex(), **shown, **more)


def _origin(notes: list[str]) -> str:
    return notes[-1].partition("\n")[0] if notes else ""


def _line(kind: str, **fields: Any) -> str:
    return json.dumps({"type": kind, **fields}, ensure_ascii=False)
