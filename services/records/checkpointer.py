"""Signing what the log is, again and again, and asking witnesses to sign it too.

The tree is kept in memory and grows by what was appended since, so what was once signed is not read again from the
database: rewriting an old row does not change the next root. At the first reading after a start the last signed
checkpoint must be met exactly; a log that does not meet it is not signed any more.
"""

from collections.abc import Sequence
from typing import Any, Final

import asyncpg
from prometheus_client import Gauge

from services.common.clock import Clock, sleep_s
from services.common.errors import TrunklineError
from services.common.log import get_logger
from services.common.postgres import typed_errors
from services.records.checkpoint import Checkpoint, cosignatures
from services.records.merkle import Tree
from services.records.notes import Note, Signer, Verifier
from services.records.witness_client import WitnessClient, WitnessRefusedError

log = get_logger(__name__)

# "TrunkChk" in ASCII.
CHECKPOINT_LOCK: Final = int.from_bytes(b"TrunkChk", "big")
SIGNED: Final = Gauge("trunkline_audit_signed_size", "Entries under the last checkpoint of this process.")
WITNESSED: Final = Gauge("trunkline_audit_witnessed_size", "Entries under the last checkpoint all witnesses signed.")


class InconsistentLogError(TrunklineError):
    """The entries are not those that were signed before: somebody changed them."""


class Checkpointer:
    """`make` signs once; `run` does it for ever."""

    def __init__(self, pool: asyncpg.Pool, signer: Signer, witnesses: Sequence[WitnessClient], clock: Clock) -> None:
        self._pool = pool
        self._signer = signer
        self._witnesses = tuple(witnesses)
        self._clock = clock
        self._tree = Tree()
        self._last: Note | None = None
        self._broken = ""

    async def run(self, every_s: float) -> None:
        """Until cancelled; faults are said once and tried again."""
        said = ""
        while True:
            await sleep_s(self._clock, every_s)
            try:
                await self.make()
                said = ""
            except TrunklineError as error:
                if error.message != said:
                    log.error("audit checkpoint failed", error=error.message)
                said = error.message

    async def make(self) -> Note | None:
        """Sign the log as it is now, unless nothing is new; the last checkpoint (None: the log is empty, or another
        process is at it).

        Raises InconsistentLogError, UnavailableError, StoreError.
        """
        if self._broken:
            raise InconsistentLogError(self._broken, remedy=_REMEDY)
        with typed_errors("making an audit checkpoint"):
            async with self._pool.acquire() as connection, connection.transaction():
                if not await connection.fetchval("SELECT pg_try_advisory_xact_lock($1)", CHECKPOINT_LOCK):
                    return None
                await self._read_signed(connection)
                await self._read_new(connection)
                return await self._sign(connection) if self._tree.size else None

    async def _read_signed(self, connection: Any) -> None:
        """The newest checkpoint of all processes; the entries must still give its root."""
        row = await connection.fetchrow("SELECT note FROM audit_checkpoints ORDER BY size DESC, id DESC LIMIT 1")
        if row is None or (self._last is not None and row["note"] == str(self._last)):
            return
        note = Note.parse(row["note"])
        signed = Checkpoint.parse(note.text)
        if note.signed_by(self._signer.verifier) is None or signed.origin != self._signer.name:
            self._break("The last checkpoint in the database is not signed by this log's key.")
        await self._read_new(connection)
        if signed.size > self._tree.size:
            self._break(f"{signed.size} entries were signed, {self._tree.size} are there: the end is missing.")
        if self._tree.root(signed.size) != signed.root:
            self._break(f"The first {signed.size} entries are not those that were signed.")
        self._last = note

    async def _read_new(self, connection: Any) -> None:
        query = "SELECT index, leaf_hash FROM audit_entries WHERE index >= $1 ORDER BY index"
        async for row in connection.cursor(query, self._tree.size, prefetch=10_000):
            if row["index"] != self._tree.size:
                self._break(f"Entry {self._tree.size} is missing.")
            self._tree.append(row["leaf_hash"])

    async def _sign(self, connection: Any) -> Note:
        checkpoint = Checkpoint(self._signer.name, self._tree.size, self._tree.root())
        text = checkpoint.text()
        known = self._last if self._last is not None and self._last.text == text else None
        note = known or checkpoint.sign(self._signer)
        for witness in self._witnesses:
            if note.signed_by(witness.verifier) is None:
                note = await self._ask(witness, note)
        if known is None or note != known:
            await connection.execute(
                "INSERT INTO audit_checkpoints (size, note) VALUES ($1, $2)", checkpoint.size, str(note)
            )
        self._last = note
        SIGNED.set(checkpoint.size)
        if self._witnesses and len(cosignatures(note, _keys(self._witnesses))) == len(self._witnesses):
            WITNESSED.set(checkpoint.size)
        return note

    async def _ask(self, witness: WitnessClient, note: Note) -> Note:
        """With the witness's signature, or as it was: a witness that is away is asked again next time."""
        try:
            return note.with_lines(await witness.cosign(note, self._tree))
        except WitnessRefusedError as error:
            log.error("witness refused the audit log", witness=witness.verifier.name, reason=error.message)
        except TrunklineError as error:
            log.warning("witness away", witness=witness.verifier.name, reason=error.message)
        return note

    def _break(self, reason: str) -> None:
        self._broken = reason
        raise InconsistentLogError(reason, remedy=_REMEDY)


_REMEDY = "Run `trunkline audit verify`; nothing is signed until this is explained."


def _keys(witnesses: Sequence[WitnessClient]) -> list[Verifier]:
    return [witness.verifier for witness in witnesses]
