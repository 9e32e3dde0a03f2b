"""What the turn-taker decides. The call carries it out; nothing here knows how."""

from dataclasses import dataclass
from typing import Literal

from services.common.personal import Personal


@dataclass(frozen=True, slots=True)
class StartSpeech:
    """The caller began to speak at `onset_ns`: mark it for ASR, warm the LLM's prefix."""

    utterance: int
    onset_ns: int
    during_playout: bool
    # Nothing in particular was asked for: any wish may come.
    open_question: bool = True


@dataclass(frozen=True, slots=True)
class PauseSpeech:
    """First dip: ASR decodes the tail for a provisional final; ask the turn model."""

    utterance: int
    last_voiced_ns: int


@dataclass(frozen=True, slots=True)
class AskTurnModel:
    """The silence has grown and the question is still open: ask the turn model again, with the silence."""

    utterance: int


@dataclass(frozen=True, slots=True)
class AskWords:
    """Speech goes on while the agent is paused: ask the recogniser now what it is, whose turn it is depends on it.

    Answered by a PartialText with `asked`; a dip that comes first voids the question.
    """

    utterance: int


@dataclass(frozen=True, slots=True)
class ResumeSpeech:
    """Speech went on: provisional texts and opinions are void."""

    utterance: int


@dataclass(frozen=True, slots=True)
class Finalize:
    """Nothing came for the dip: ask ASR again, for the final this time."""

    utterance: int


@dataclass(frozen=True, slots=True)
class Discard:
    """There is nothing to answer in this utterance."""

    utterance: int
    reason: str


@dataclass(frozen=True, slots=True)
class Speculate:
    """The turn will probably end with this text: a reply may be prepared, never played."""

    utterance: int
    text: str


@dataclass(frozen=True, slots=True)
class DropSpeculation:
    """It did not: what was prepared is void."""


@dataclass(frozen=True, slots=True)
class EndTurn:
    """The caller's turn is over: answer `text`. `decided_ns`: when the endpoint wait ended (the text may be later)."""

    utterance: int
    text: str
    last_voiced_ns: int
    decided_ns: int
    reason: str


@dataclass(frozen=True, slots=True)
class UnclearTurn:
    """The caller said something that matters and that was not understood: ask again, never guess."""

    utterance: int
    last_voiced_ns: int
    reason: Literal["no text", "low score", "language"] = "no text"


@dataclass(frozen=True, slots=True)
class FinalLate:
    """The text is overdue: tell the caller to wait; it is still awaited."""

    utterance: int


@dataclass(frozen=True, slots=True)
class FailTurn:
    """The text will not come."""

    utterance: int


@dataclass(frozen=True, slots=True)
class PausePlayout:
    """Somebody speaks while the agent does: silence now, decide soon."""

    utterance: int


@dataclass(frozen=True, slots=True)
class ResumePlayout:
    """It was nothing: go on from the start of the interrupted word."""

    reason: str


@dataclass(frozen=True, slots=True)
class StopPlayout:
    """Barge-in: the caller has the floor; cut the agent's turn to what was heard."""

    utterance: int
    onset_ns: int
    reason: Literal["speech", "words", "key"]


@dataclass(frozen=True, slots=True)
class Reprompt:
    """Nobody says anything: ask for the `number`-th time from 1; simpler the second time, then offer help."""

    number: int
    kind: Literal["again", "simpler", "offer"] = "again"


@dataclass(frozen=True, slots=True)
class Filler:
    """The answer takes long: say a short word of patience, the `number`-th of this turn from 1."""

    number: int


@dataclass(frozen=True, slots=True)
class KeysEntered:
    """The caller keyed an answer. `masked`: it goes to the tool that asked, and nowhere else."""

    keys: Personal[str]
    masked: bool
    reason: Literal["complete", "terminator", "timeout"]


@dataclass(frozen=True, slots=True)
class GiveUp:
    """Still nobody: say goodbye and end the call."""


Decision = (
    StartSpeech
    | PauseSpeech
    | AskTurnModel
    | AskWords
    | ResumeSpeech
    | Finalize
    | Discard
    | Speculate
    | DropSpeculation
    | EndTurn
    | UnclearTurn
    | FinalLate
    | FailTurn
    | PausePlayout
    | ResumePlayout
    | StopPlayout
    | Reprompt
    | Filler
    | KeysEntered
    | GiveUp
)
