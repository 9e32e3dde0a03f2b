"""What a caller can do when the agent has finished speaking, and who decides it. Pure."""

from dataclasses import dataclass
from typing import Protocol

from services.common.personal import Personal


@dataclass(frozen=True, slots=True)
class Say:
    """Speak a line. After the `last` one nothing need be answered."""

    text: str
    last: bool = False


@dataclass(frozen=True, slots=True)
class Key:
    """Press keys."""

    keys: Personal[str]


@dataclass(frozen=True, slots=True)
class Listen:
    """Nothing yet: the agent has not finished ("One moment, please.")."""


@dataclass(frozen=True, slots=True)
class HangUp:
    """The caller has no more to say; `why` is empty when it got what it called for."""

    why: str = ""


Act = Say | Key | Listen | HangUp


class Caller(Protocol):
    """Decides by what was heard."""

    def next(self, heard: str) -> Act:
        """`heard`: all that the agent said since the caller's last words; empty: nothing came, or nothing readable."""
        ...
