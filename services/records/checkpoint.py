"""The three lines a log signs: origin, size, root (c2sp.org/tlog-checkpoint). Pure."""

import base64
import re
from collections.abc import Iterable
from dataclasses import dataclass

from services.common.errors import InvalidInputError
from services.records.merkle import HASH_BYTES
from services.records.notes import COSIGNATURE_V1, Note, Signer, Verifier, signed_at

_SIZE = re.compile(r"0|[1-9][0-9]{0,18}")


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """What the log was: its first `size` entries have this root."""

    origin: str
    size: int
    root: bytes

    def text(self) -> str:
        """The note's text."""
        return f"{self.origin}\n{self.size}\n{base64.b64encode(self.root).decode()}\n"

    def sign(self, signer: Signer) -> Note:
        """A note with the log's signature."""
        return Note.parse(self.text() + "\n" + signer.line(self.text()))

    @classmethod
    def parse(cls, text: str) -> "Checkpoint":
        """Raises InvalidInputError. Extension lines are allowed and not read."""
        lines = text.split("\n")
        if len(lines) < 4 or lines[-1] or "" in lines[:-1] or not _SIZE.fullmatch(lines[1]):
            raise InvalidInputError("checkpoint", expected="origin, size and root, a line each", got="something else")
        try:
            root = base64.b64decode(lines[2], validate=True)
        except ValueError:
            root = b""
        if len(root) != HASH_BYTES or base64.b64encode(root).decode() != lines[2]:
            raise InvalidInputError("checkpoint", expected="a root of 32 bytes in base64", got="something else")
        return cls(lines[0], int(lines[1]), root)


@dataclass(frozen=True, slots=True)
class Cosignature:
    """A witness's word for a checkpoint, and when it gave it (POSIX seconds)."""

    witness: str
    unix_s: int


def cosignatures(note: Note, witnesses: Iterable[Verifier]) -> list[Cosignature]:
    """The valid ones of known witnesses."""
    found = [(witness, note.signed_by(witness)) for witness in witnesses if witness.kind == COSIGNATURE_V1]
    return [Cosignature(witness.name, signed_at(line.signature)) for witness, line in found if line is not None]
