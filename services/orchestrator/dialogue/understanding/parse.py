"""Reads the model's JSON while it is written: acts as each is complete, then the sentence to say, piece by piece. Pure.

Only the shape that schema.py asks for is read; anything else is malformed, and of a malformed answer nothing more is
taken. An escape that is cut waits for its rest.
"""

import json
import re
from dataclasses import dataclass, field
from typing import Final

MAX_CHARS: Final = 4_000
_HEAD: Final = '{"acts":['
_MIDDLE: Final = '],"say":"'
_STRING = re.compile(r'"((?:[^"\\\x00-\x1f]|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*)"')
# The longest beginning of a string's inside that is whole characters.
_INSIDE = re.compile(r'(?:[^"\\\x00-\x1f]|\\(?:["\\/bfnrt]|u(?![dD][89a-bA-B])[0-9a-fA-F]{4}'
                     r"|u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}))*")  # fmt: skip


@dataclass(frozen=True, slots=True)
class Piece:
    """What came to be known: acts, in order; a piece of the sentence; that all acts are known."""

    acts: tuple[str, ...] = ()
    say: str = ""
    acts_done: bool = False


@dataclass(slots=True)
class Reader:
    """`feed` it the text as it comes. `acts`, `say`: so far. `whole`: the answer is complete and well formed."""

    acts: list[str] = field(default_factory=list)
    say: str = ""
    acts_done: bool = False
    whole: bool = False
    malformed: bool = False
    _rest: str = ""
    _part: str = "head"
    _seen: int = 0

    def feed(self, text: str) -> Piece:
        """What is new by this text."""
        acts, say, done = len(self.acts), len(self.say), self.acts_done
        self._rest += text
        self._seen += len(text)
        if self._seen > MAX_CHARS:
            self.malformed = True
        while not self.malformed and not self.whole and self._step():
            pass
        return Piece(tuple(self.acts[acts:]), self.say[say:], self.acts_done and not done)

    def _step(self) -> bool:
        """One thing read; False: more text is needed, or nothing more is."""
        match self._part:
            case "head":
                return self._fixed(_HEAD, "act")
            case "act":
                return self._act()
            case "middle":
                return self._fixed(_MIDDLE, "say")
            case "say":
                return self._say()
            case _:
                return self._end()

    def _fixed(self, wanted: str, then: str) -> bool:
        squeezed = self._rest.lstrip()
        if not squeezed.startswith(wanted[: len(squeezed)]):
            self.malformed = True
            return False
        if len(squeezed) < len(wanted):
            return False
        self._rest, self._part = squeezed[len(wanted) :], then
        return True

    def _act(self) -> bool:
        if not self._rest:
            return False
        if self._rest[0] == "," and self.acts:
            self._rest = self._rest[1:]
            return bool(self._rest)
        if self._rest[0] == "]":
            self._part, self.acts_done = "middle", True
            return True
        found = _STRING.match(self._rest)
        if found is None:
            self.malformed = self._rest[0] != '"' or len(self._rest) > MAX_CHARS // 4
            return False
        self.acts.append(json.loads(found[0]))
        self._rest = self._rest[found.end() :]
        return True

    def _say(self) -> bool:
        inside = _INSIDE.match(self._rest)
        if inside is not None and inside.end():
            self.say += json.loads(f'"{inside[0]}"')
            self._rest = self._rest[inside.end() :]
        if self._rest.startswith('"'):
            self._rest, self._part = self._rest[1:], "end"
            return True
        # A backslash may be the beginning of an escape; a bare control character is none.
        if self._rest and (self._rest[0] != "\\" or len(self._rest) > 12):
            self.malformed = True
        return False

    def _end(self) -> bool:
        if self._rest.strip() == "}":
            self.whole = True
        elif self._rest.strip():
            self.malformed = True
        return False
