"""A witness's judgement: is this checkpoint a continuation of the one I signed last? (c2sp.org/tlog-witness). Pure."""

import base64
import re
from collections.abc import Sequence
from dataclasses import dataclass

from services.common.errors import InvalidInputError
from services.records.checkpoint import Checkpoint
from services.records.merkle import HASH_BYTES, verify_consistency
from services.records.notes import Note, Verifier

MAX_PROOF = 63
_OLD = re.compile(r"old (0|[1-9][0-9]{0,18})")


@dataclass(frozen=True, slots=True)
class AddCheckpoint:
    """A request: the size the log believes we signed last, the proof from there, the new checkpoint."""

    old: int
    proof: tuple[bytes, ...]
    note: Note

    def body(self) -> str:
        """As sent."""
        lines = "".join(base64.b64encode(step).decode() + "\n" for step in self.proof)
        return f"old {self.old}\n{lines}\n{self.note}"

    @classmethod
    def parse(cls, text: str) -> "AddCheckpoint":
        """Raises InvalidInputError."""
        head, separator, note = text.partition("\n\n")
        first, *steps = head.split("\n")
        match = _OLD.fullmatch(first)
        if match is None or not separator or len(steps) > MAX_PROOF:
            raise InvalidInputError(
                "request", expected="old <size>, proof lines, an empty line, a checkpoint", got="something else"
            )
        return cls(int(match[1]), tuple(_hash(step) for step in steps), Note.parse(note))


@dataclass(frozen=True, slots=True)
class Verdict:
    """`status` as tlog-witness has it: 200 sign it; 404, 403, 400, 409 or 422 do not, and why."""

    status: int
    reason: str
    last_size: int


def judge(request: AddCheckpoint, logs: Sequence[Verifier], last: Checkpoint | None) -> Verdict:
    """Whether to sign, given what was signed last for this origin (None: nothing yet)."""
    size = last.size if last else 0
    try:
        new = Checkpoint.parse(request.note.text)
    except InvalidInputError as error:
        return Verdict(400, error.message, size)
    keys = [key for key in logs if key.name == new.origin]
    if not keys:
        return Verdict(404, f"I do not witness {new.origin!r}.", size)
    if not any(request.note.signed_by(key) for key in keys):
        return Verdict(403, "No signature of a key that I know for this log.", size)
    if request.old > new.size:
        return Verdict(400, f"The old size {request.old} is above the checkpoint's {new.size}.", size)
    if request.old != size:
        truncated = f" A log of {new.size} would have lost entries." if new.size < size else ""
        return Verdict(409, f"I signed {size} entries last, not {request.old}.{truncated}", size)
    if last and new.size == last.size and new.root != last.root:
        return Verdict(409, f"FORK: I signed another root for {size} entries.", size)
    if last is None or new.size == last.size:
        valid = not request.proof
    else:
        valid = verify_consistency(last.size, last.root, new.size, new.root, request.proof)
    if not valid:
        return Verdict(422, f"NOT A CONTINUATION of the {size} entries that I signed.", size)
    return Verdict(200, "", new.size)


def _hash(line: str) -> bytes:
    try:
        raw = base64.b64decode(line, validate=True)
    except ValueError:
        raw = b""
    if len(raw) != HASH_BYTES:
        raise InvalidInputError("proof", expected="32 bytes in base64 a line", got="something else")
    return raw
