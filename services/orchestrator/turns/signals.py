"""What goes into the turn-taker: frozen facts, each with the time it was known (`at_ns`, CLOCK_MONOTONIC)."""

from dataclasses import dataclass
from typing import Literal

AgentPhase = Literal["idle", "pending", "speaking"]


@dataclass(frozen=True, slots=True)
class VadFrame:
    """One 32 ms frame: when its audio ended, how likely it is speech, and the level of its parts in dBFS.

    `levels_db` are the RMS levels of equal parts of the frame, oldest first; empty when unknown.
    """

    at_ns: int
    end_ns: int
    probability: float
    levels_db: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class TurnPrediction:
    """The turn model's p(complete) for the utterance, asked at a dip."""

    at_ns: int
    utterance: int
    probability: float


@dataclass(frozen=True, slots=True)
class PartialText:
    """Words so far."""

    at_ns: int
    utterance: int
    text: str


@dataclass(frozen=True, slots=True)
class FinalText:
    """The text up to the dip (provisional) or to the end; empty when the recogniser rejected it."""

    at_ns: int
    utterance: int
    text: str
    provisional: bool


@dataclass(frozen=True, slots=True)
class FinalFailed:
    """The recogniser could not decode the utterance (overload, deadline)."""

    at_ns: int
    utterance: int


@dataclass(frozen=True, slots=True)
class AgentChanged:
    """The agent has nothing to say (`idle`), prepares a reply (`pending`) or is heard (`speaking`)."""

    at_ns: int
    phase: AgentPhase


@dataclass(frozen=True, slots=True)
class KeyPressed:
    """DTMF: the caller is there."""

    at_ns: int


@dataclass(frozen=True, slots=True)
class HoldChanged:
    """The far end put us on hold, or took us back."""

    at_ns: int
    held: bool


@dataclass(frozen=True, slots=True)
class Tick:
    """It is now `at_ns`: what is due is decided."""

    at_ns: int


Signal = (
    VadFrame | TurnPrediction | PartialText | FinalText | FinalFailed | AgentChanged | KeyPressed | HoldChanged | Tick
)
