"""What the agent's last words ask the caller for: a name, a number of known length, yes or no, a story."""

from dataclasses import dataclass
from typing import Literal

Kind = Literal["open", "story", "yes_no", "choice", "date", "digits", "spelling", "amount"]


@dataclass(frozen=True, slots=True)
class KeypadRule:
    """How keys are collected: up to `max_keys`, ended by `terminator` or by `inter_digit_ms` without a key.

    `masked`: the keys are secret (a card number, a PIN); they reach nobody but the tool that asked for them.
    """

    max_keys: int = 20
    terminator: str = "#"
    inter_digit_ms: int = 4_000
    masked: bool = False


@dataclass(frozen=True, slots=True)
class Expectation:
    """`length`: how many digits or letters a complete answer has, when that is known (0: it is not).

    `options`: what a choice offers, in lower-case words, as far as known.
    """

    kind: Kind = "open"
    length: int = 0
    keypad: KeypadRule | None = None
    options: tuple[str, ...] = ()


OPEN = Expectation()
