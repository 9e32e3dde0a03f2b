"""Entries, and a witness asked in memory instead of over HTTP."""

from datetime import UTC, datetime

from services.common.personal import Personal
from services.records.checkpoint import Checkpoint
from services.records.entry import AuditEntry
from services.records.witness import AddCheckpoint
from services.records.witness_client import WitnessRefusedError

AT = datetime(2026, 11, 27, 10, 0, tzinfo=UTC)


class DirectWitness:
    """The real witness behind the client's interface, without the wire (that one is in test_witness)."""

    def __init__(self, witness, verifier):
        self.witness, self.verifier = witness, verifier

    async def cosign(self, note, tree):
        size = Checkpoint.parse(note.text).size
        last = self.witness.latest(note.text.partition("\n")[0])
        old = Checkpoint.parse(last.partition("\n\n")[0] + "\n").size if last else 0
        proof = tree.consistency(old, size) if old <= size else []
        verdict, line = await self.witness.add_checkpoint(AddCheckpoint(old, tuple(proof), note).body())
        if verdict.status != 200:
            raise WitnessRefusedError(f"{verdict.status}: {verdict.reason}")
        return line

    def latest(self, origin="example.com/audit"):
        return self.witness.latest(origin)


def entry(n=0, **fields):
    return AuditEntry(**{"actor": "system", "action": "test.done", "at": AT, "detail": {"n": n}, **fields})


def call_entry(n, caller="sip:jane@example.com"):
    return entry(n, call_id=f"call{n}", personal={"caller": Personal(caller, "uri")})
