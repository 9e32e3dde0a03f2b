"""What passes between understanding, dialogue and control: readings, acts, events in, decisions out. Only data."""

from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass, field
from typing import Literal

from services.common.personal import Personal
from services.orchestrator.control.model import Allowed, Denied, Outcome, Proposal, Rejected, Scalar

# One value, or several named ones: money is {"minor", "currency"}, a reference is the record it resolved to.
SlotData = Scalar | Mapping[str, Scalar]
# The name of a "deny" that is a goodbye: nothing is wanted, or nothing more.
FAREWELL = "farewell"
ActKind = Literal["start", "fill", "select", "affirm", "deny", "cancel", "person", "repeat", "chat"]


# ---- what was understood


@dataclass(frozen=True, slots=True)
class Reading:
    """What words say, as a grammar reads them. `rivals`: what they may be instead (fifteen for fifty), best first."""

    data: Personal[SlotData]
    # The words, or keys, that say it: the evidence.
    text: Personal[str]
    confidence: float
    rivals: tuple[Personal[SlotData], ...] = ()
    keyed: bool = False


@dataclass(frozen=True, slots=True)
class Act:
    """One thing the caller does. `name`: a goal (start, cancel), a slot (fill, select), an `always` signal (person),
    FAREWELL (deny).
    """

    kind: ActKind
    name: str = ""
    reading: Reading | None = None
    # Said to repair an earlier value: "no, fifty".
    corrects: bool = False
    # select: which of the records that were offered, from 0; -1 is the last; None: the one in focus ("that one").
    which: int | None = None
    confidence: float = 1.0


@dataclass(frozen=True, slots=True)
class Understood:
    """All that one turn says. `rivals`: two goals between which the opinions did not agree, to be named and asked."""

    turn: int
    words: Personal[str]
    acts: tuple[Act, ...]
    rivals: tuple[str, ...] = ()
    # What the model would say when nothing is to be done, its first sentence; passes the claim guard before anybody
    # hears it. `rest`: further sentences, while the model writes them. Who takes it closes it.
    free: str = ""
    rest: AsyncGenerator[str, None] | None = field(default=None, compare=False, repr=False)
    # How sure the recogniser was of the words, 0 to 1.
    heard: float = 1.0


@dataclass(frozen=True, slots=True)
class Legal:
    """What the caller may mean now: understanding proposes nothing else. Made by the dialogue for each turn."""

    goals: tuple[str, ...]
    slots: tuple[str, ...]
    # What was asked last: "yes_no", a slot's name, "goal" (which of `rivals`), "change" (what of the values given is to
    # be different), or "" (open).
    asked: str = ""
    # What a reference may point to: the records offered, in the order they were said, by the fields that name them.
    offered: tuple[Mapping[str, Scalar], ...] = ()
    rivals: tuple[str, ...] = ()
    active_goal: str = ""
    # Goals of which an act waits for its back end since this call.
    waiting: tuple[str, ...] = ()
    filled: tuple[str, ...] = ()


# ---- events into the dialogue


@dataclass(frozen=True, slots=True)
class CallerSaid:
    """A turn of the caller's is committed and understood."""

    understood: Understood


@dataclass(frozen=True, slots=True)
class CallerKeyed:
    """Keys for the slot that was asked for by keys."""

    turn: int
    slot: str
    keys: Personal[str]


@dataclass(frozen=True, slots=True)
class ModelSaid:
    """One more sentence of what the model says in a turn; empty: that was all."""

    turn: int
    text: str = ""


@dataclass(frozen=True, slots=True)
class ReadDone:
    """A read answered; `records` None: it could not (`reason`: down, refused, denied)."""

    request: int
    tool: str
    records: tuple[Mapping[str, Scalar], ...] | None
    reason: str = ""
    # Of a rule that refused it.
    denied: Denied | None = None


@dataclass(frozen=True, slots=True)
class Judged:
    """The control layer's verdict on a proposal, before anything is done. `confirm`: the caller has to be asked."""

    request: int
    verdict: Allowed | Denied | Rejected
    confirm: bool = False


@dataclass(frozen=True, slots=True)
class EffectDone:
    """What became of an act. `mismatch`: the same act was asked for before with other arguments."""

    request: int
    tool: str
    outcome: Outcome | None
    mismatch: bool = False


@dataclass(frozen=True, slots=True)
class WaitingAct:
    """An act of this caller's that waits for its back end. `level`: what it takes to take it back."""

    effect_id: str
    tool: str
    level: int


@dataclass(frozen=True, slots=True)
class WaitingFound:
    """What waits of the tools that were asked about; `acts` None: it cannot be looked up."""

    request: int
    acts: tuple[WaitingAct, ...] | None


@dataclass(frozen=True, slots=True)
class TakenBack:
    """What became of taking it back. "done": it was executed before; "unknown": nobody can say now."""

    request: int
    how: Literal["taken back", "done", "ended", "unknown"]


@dataclass(frozen=True, slots=True)
class Identified:
    """Who the caller is by now (after keys, or not: `level` unchanged). `caller`: what `caller.*` arguments are now."""

    level: int
    caller: Mapping[str, Personal[Scalar]] = field(default_factory=dict)
    # How it went: identified, unknown, wrong, malformed, down, "no way" (nothing to check against), or locked: no more
    # tries in this call.
    how: str = ""


@dataclass(frozen=True, slots=True)
class Played:
    """A speech ended: to its last word, or cut."""

    speech: int
    complete: bool


Answer = ReadDone | Judged | EffectDone | WaitingFound | TakenBack | Identified
Event = CallerSaid | CallerKeyed | ModelSaid | Answer | Played


# ---- decisions of the dialogue


@dataclass(frozen=True, slots=True)
class Say:
    """Say a sentence of the bundle (`prompt`), its places filled by control.ground from `facts`; or `free` text.

    `facts`: dotted name → value, only of committed answers, offered records and the slots of this call: `TOOL.FIELD`,
    `slot.NAME` (one value), `slot.NAME.FIELD` (a record; money has `minor` and `currency`), `option.first.FIELD` (one
    value is `option.first.value`).
    `options`: what is named at the places {option.first}, {option.second}: templates over `facts`, to be filled first
    and put there, as "{option.first.merchant}, {option.first.amount_minor|money}"; a goal's is its title, no places.
    """

    speech: int
    prompt: str
    facts: Mapping[str, Personal[Scalar]] = field(default_factory=dict)
    options: tuple[str, ...] = ()
    free: str = ""
    protected: bool = False


@dataclass(frozen=True, slots=True)
class Expect:
    """What the caller is asked for now: turn-taking and the keypad are set by it. `slot` empty: open, or yes/no."""

    slot: str = ""
    yes_no: bool = False
    keys: bool = False
    digits: int | None = None
    masked: bool = False


@dataclass(frozen=True, slots=True)
class Read:
    """Ask a back end (a tool that reads). Several at once run side by side."""

    request: int
    tool: str
    args: Mapping[str, Personal[Scalar]]


@dataclass(frozen=True, slots=True)
class Judge:
    """Validate and judge a proposal; nothing is done by that."""

    request: int
    proposal: Proposal


@dataclass(frozen=True, slots=True)
class Perform:
    """Do it, at most once. `confirmed`: the caller heard it read back and said yes."""

    request: int
    proposal: Proposal
    confirmed: bool


@dataclass(frozen=True, slots=True)
class FindWaiting:
    """Which acts of this caller's, of these tools, wait for their back end: of this call and of earlier ones."""

    request: int
    tools: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class TakeBack:
    """The caller was asked and said yes: a waiting act is not done any more, if it was not done meanwhile."""

    request: int
    effect_id: str


@dataclass(frozen=True, slots=True)
class Identify:
    """Find out who the caller is: keys, masked. The answer is `Identified`. What is asked, `Say` has said before."""

    wanted_level: int


@dataclass(frozen=True, slots=True)
class HandOver:
    """To a person, with what is known. `reason` is one of the bundle's signals, or "asked"."""

    route: str
    reason: str


@dataclass(frozen=True, slots=True)
class End:
    """The caller wants nothing more: hang up once the goodbye was heard. Who speaks over it goes on."""


Decision = Say | Expect | Read | Judge | Perform | FindWaiting | TakeBack | Identify | HandOver | End
