"""What a dialogue knows at one moment: goals, values, the open question, what is under way, what was done. Only data.

Written after every event (store/dialogue.py), so that another worker goes on with it: nothing that matters lives
anywhere else. Personal values stay `Personal`; codec.py sets them apart when the state is stored.
"""

from dataclasses import dataclass, field
from typing import Literal

from services.common.personal import Personal
from services.orchestrator.control.model import Proposal, Scalar, State
from services.orchestrator.dialogue.model import SlotData

# Raised when a stored state of an older shape can no longer be read as it is.
SCHEMA = 1

FrameStatus = Literal["active", "suspended", "done", "abandoned"]
# slot: its value; which, is_it: among candidates; which_goal: among goals; confirm: the readback; change: what is to be
# different after a no to it; identify: keys; take_back: an act that waits; open: anything.
QuestionKind = Literal["open", "slot", "which", "is_it", "which_goal", "confirm", "change", "identify", "take_back"]
RequestKind = Literal["resolve", "step", "judge", "perform", "waiting", "take_back"]
Record = dict[str, Personal[Scalar]]


@dataclass(slots=True)
class Frame:
    """One thing the caller wants. The active one is the last in `DialogueState.frames` that is not over."""

    goal: str
    status: FrameStatus
    turn: int
    # Tools of the goal that are done, in order.
    steps: list[str] = field(default_factory=list)
    # Why it was abandoned: a rule's id, "failed", "unknown", "review", "cancelled".
    reason: str = ""

    @property
    def is_open(self) -> bool:
        """Still to be worked on."""
        return self.status in ("active", "suspended")


@dataclass(slots=True)
class Given:
    """A slot's value and why it is believed. `settled`: it may be used; for a reference only with its one record."""

    data: Personal[SlotData]
    text: Personal[str]
    turn: int
    confidence: float
    keyed: bool = False
    rivals: tuple[Personal[SlotData], ...] = ()
    record: Record | None = None
    settled: bool = False
    confirmed: bool = False
    # Slots it was derived from ("the same account"): undone with them.
    depends_on: tuple[str, ...] = ()


@dataclass(slots=True)
class Candidate:
    """What a clarification names: a value, and the record it is when the slot refers to one."""

    data: Personal[SlotData]
    record: Record | None = None


@dataclass(slots=True)
class Question:
    """What the caller was asked last: exactly one is open. Only a yes to this one, heard to its end, counts."""

    kind: QuestionKind
    slot: str = ""
    candidates: tuple[Candidate, ...] = ()
    goals: tuple[str, ...] = ()
    # confirm: what a yes sets off, and the hash of its tool and arguments. take_back: `digest` is the act's id.
    proposal: Proposal | None = None
    digest: str = ""
    # identify: the level that is wanted.
    level: int = 0
    # The speech that asked, and whether it was heard to its end (None: it is being said).
    speech: int = 0
    heard: bool | None = None


@dataclass(slots=True)
class Request:
    """Something asked of the control layer and not answered yet."""

    kind: RequestKind
    tool: str
    goal: str
    slot: str = ""
    args: dict[str, Personal[Scalar]] = field(default_factory=dict)
    proposal: Proposal | None = None
    digest: str = ""
    confirmed: bool = False
    # Slots whose values went into it: an answer that comes after one was corrected is void.
    slots: tuple[str, ...] = ()


@dataclass(slots=True)
class Answered:
    """What a tool answered in this call: the facts. `committed`: of a write."""

    fields: Record
    committed: bool = False
    slots: tuple[str, ...] = ()


@dataclass(slots=True)
class Done:
    """An act that was performed, by the hash of its tool and arguments, and what became of it."""

    tool: str
    digest: str
    state: State
    effect_id: str = ""


@dataclass(slots=True)
class Telling:
    """A sentence that tells something and was not heard yet; said again after the call was taken over, and to who
    speaks over it without meaning anything, when it tells of something that was done.
    """

    prompt: str
    facts: dict[str, Personal[Scalar]] = field(default_factory=dict)
    options: tuple[str, ...] = ()


@dataclass(slots=True)
class Counts:
    """What escalation looks at."""

    # Per slot: how often its value had to be asked for again.
    clarify_fails: dict[str, int] = field(default_factory=dict)
    # In a row.
    no_match: int = 0
    # The caller said again what they want, or took back what was understood.
    reformulations: int = 0
    not_identified: int = 0


@dataclass(slots=True)
class DialogueState:
    """Everything. One per call; `version` grows with every stored write (store/dialogue.py)."""

    frames: list[Frame] = field(default_factory=list)
    slots: dict[str, Given] = field(default_factory=dict)
    question: Question | None = None
    requests: dict[int, Request] = field(default_factory=dict)
    answers: dict[str, Answered] = field(default_factory=dict)
    # Records named to the caller last, of which slot: "the second", "the last one".
    offered: tuple[Candidate, ...] = ()
    offered_for: str = ""
    # Per tool that lists records: the one that was used last ("the same account"), and by which slot.
    in_focus: dict[str, Candidate] = field(default_factory=dict)
    in_focus_by: dict[str, str] = field(default_factory=dict)
    done: list[Done] = field(default_factory=list)
    tellings: dict[int, Telling] = field(default_factory=dict)
    # What the last words of the agent were, for "say that again".
    last_said: list[Telling] = field(default_factory=list)
    counts: Counts = field(default_factory=Counts)
    level: int = 0
    caller: dict[str, Personal[Scalar]] = field(default_factory=dict)
    turn: int = 0
    # The turn in which the model is still saying something; the open question is asked again when it has ended.
    saying: int = 0
    # The goal whose waiting act is taken back once it is known who calls.
    taking_back: str = ""
    next_request: int = 1
    next_speech: int = 1
    # Handed over: the route, and why.
    route: str = ""
    handed_over: str = ""
    schema: int = SCHEMA

    @property
    def active(self) -> Frame | None:
        """The goal that is worked on."""
        return next((frame for frame in reversed(self.frames) if frame.is_open), None)

    def request(self, kind: RequestKind) -> Request | None:
        """The first of that kind that is under way."""
        return next((request for request in self.requests.values() if request.kind == kind), None)
