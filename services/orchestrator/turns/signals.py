"""What goes into the turn-taker: frozen facts, each with the time it was known (`at_ns`, CLOCK_MONOTONIC)."""

from dataclasses import dataclass
from typing import Literal

from services.common.personal import Personal
from services.orchestrator.turns.expectation import Expectation

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
    """Words so far. `asked`: the answer to AskWords, the only one that comes with the recogniser's own doubts."""

    at_ns: int
    utterance: int
    text: str
    asked: bool = False
    avg_logprob: float = 0.0
    no_speech_prob: float = 0.0


@dataclass(frozen=True, slots=True)
class FinalText:
    """The text up to the dip (provisional) or to the end; empty when the recogniser rejected it."""

    at_ns: int
    utterance: int
    text: str
    provisional: bool
    # The recogniser's own doubts: mean log-probability of the tokens, p(no speech), what language it heard.
    avg_logprob: float = 0.0
    no_speech_prob: float = 0.0
    language: str = ""
    language_probability: float = 1.0
    # Its log-odds that an utterance of these words is whole; None: no opinion.
    ending: float | None = None


@dataclass(frozen=True, slots=True)
class FinalFailed:
    """The recogniser could not decode the utterance (overload, deadline)."""

    at_ns: int
    utterance: int


@dataclass(frozen=True, slots=True)
class AgentChanged:
    """The agent has nothing to say (`idle`), prepares a reply (`pending`) or is heard (`speaking`).

    `protected`: what is being said must be finished (legal text). `saying`: its text as far as known, so that its own
    echo is recognised.
    """

    at_ns: int
    phase: AgentPhase
    protected: bool = False
    saying: str = ""


@dataclass(frozen=True, slots=True)
class Asked:
    """What the agent's latest words ask for; stands until the next one. `locale`: of the conversation from here on."""

    at_ns: int
    expectation: Expectation
    locale: str = ""


@dataclass(frozen=True, slots=True)
class KeyPressed:
    """DTMF: the caller is there. `key` is one of 0-9 * # A-D; None when it is of no interest."""

    at_ns: int
    key: Personal[str] | None = None


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
    VadFrame
    | TurnPrediction
    | PartialText
    | FinalText
    | FinalFailed
    | AgentChanged
    | Asked
    | KeyPressed
    | HoldChanged
    | Tick
)
