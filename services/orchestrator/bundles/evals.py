"""The format of a bundle's evals as types: scenarios (who calls, what they say, what must be true at the end) and the
world they happen in (the back end, its customers, how its books are read).

Everything a gate judges is stated here and read from the back end's books, never from the runtime's own words. One file
is either `world:` or `scenarios:`; docs/evals.md explains both.
"""

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from services.orchestrator.bundles.model import Locale, Name, Part, PromptId

ScenarioId = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9-]{1,63}$")]
FaultMode = Literal["latency", "error", "drop", "duplicate", "stale", "down"]
Plain = str | int | float | bool
# How an argument of an act may be known: said as such, keyed, or one of the back end's own records.
EvidenceKind = Literal["money", "enum", "words", "spelled", "date", "record", "caller"]


class Fault(Part):
    """The back end misbehaves: `count` requests of `operation` (-1: until the end), from the caller's `turn` on."""

    mode: FaultMode
    operation: str = "*"
    count: Annotated[int, Field(ge=-1, le=1000)] = 1
    ms: Annotated[int, Field(ge=0, le=5000)] = 0
    turn: Annotated[int, Field(ge=0, le=100)] = 0


class Moment(Part):
    """What the caller does when something is asked. `on`: a prompt, a slot, `yes_no`, `goal`, `open`, `keys`, or empty:
    the next time anything is asked. Moments of one `on` are used in their order, each once.

    `over`: the agent is cut off by it. `keys` are pressed, `hang_up` ends the call, `silent` says nothing.
    """

    on: str = ""
    say: str = ""
    keys: str = ""
    over: bool = False
    silent: bool = False
    hang_up: bool = False


class Handover(Part):
    """To a person: why, where to, and after how many turns of the caller's at the latest."""

    reason: str = ""
    route: Name = "default"
    within_turns: Annotated[int, Field(ge=1, le=50)] = 50


class Expected(Part):
    """What must be true at the end. `done`: exactly these rows in the books, each by the fields given here."""

    done: tuple[dict[str, Plain], ...] = ()
    # Columns of the world's `state` query.
    state: dict[str, Plain] = Field(default_factory=dict)
    never: tuple[Name, ...] = ()
    says: tuple[PromptId, ...] = ()
    never_says: tuple[PromptId, ...] = ()
    # Words that must (not) be in what the agent said.
    words: tuple[str, ...] = ()
    never_words: tuple[str, ...] = ()
    handover: Handover | None = None
    # The agent may have to hand over, but need not.
    may_hand_over: bool = False
    # Acts that a person has to decide on.
    reviews: Annotated[int, Field(ge=0, le=10)] = 0


class Scenario(Part):
    """One call. What it says comes from `moments`, then from what the caller knows (`knows`, by slot), then from what
    still is wanted (`wants`)."""

    id: ScenarioId
    about: str
    locale: Locale
    customer: Name
    wants: tuple[Name, ...] = ()
    opens: str = ""
    knows: dict[Name, str] = Field(default_factory=dict)
    moments: tuple[Moment, ...] = ()
    # The call shows no number: who calls is not known from it.
    withheld: bool = False
    # Other content of the back end for this call: extra statements, as in the world's `seed`.
    seed: str = ""
    faults: tuple[Fault, ...] = ()
    # Confusions as of a recogniser are put into what is said; the outcome must be the same.
    noisy: bool = False
    expect: Expected


class Customer(Part):
    """A person in the world's books. What the number of the call alone shows, and what the right PIN shows."""

    locale: Locale
    pin: str = ""
    number_level: Annotated[int, Field(ge=0, le=9)] = 1
    pin_level: Annotated[int, Field(ge=0, le=9)] = 2


class Act(Part):
    """How an act of `tool` appears in the books, what it needs, and how each of its arguments may be known."""

    kind: str
    object: str = ""
    level: Annotated[int, Field(ge=0, le=9)] = 0
    asked_first: bool = False
    evidence: dict[str, EvidenceKind] = Field(default_factory=dict)
    # Words that tell that it was done, per locale: said before it was, they are a lie.
    claims: dict[Locale, tuple[str, ...]] = Field(default_factory=dict)


class Books(Part):
    """How the back end's books are read; `$1` is the subject. Plain SQL on its own schema."""

    # kind, object, amount_minor, key: one row an act that was done.
    done: str
    # One row: what the scenarios' `state` compares.
    state: str = ""
    # Rows that no caller may bring about, whatever is said.
    forbidden: tuple[str, ...] = ()
    # One column: values that the agent may say because the books hold them (numbers, dates, references, amounts).
    known: str = ""
    # One column: record ids that belong to the subject.
    records: str = ""


class Variety(Part):
    """What seeded-random callers may want: a scenario's parts, with alternatives to draw from."""

    id: ScenarioId
    locale: Locale
    customer: Name
    goal: Name
    opens: tuple[str, ...]
    # Per slot: what is meant (as the books say it) and the ways to say it; one is drawn.
    knows: dict[Name, tuple["Meant", ...]] = Field(default_factory=dict)
    # What the books hold if it is done: fields, with `{slot.part}` places for what was meant.
    done: dict[str, Plain] = Field(default_factory=dict)
    tool: Name | None = None
    # The caller may first say another value than they mean: only where it is always read back.
    slips: bool = False


class Meant(Part):
    """One thing a caller may mean: ways to say it, and what the books call it. `plain`: fields for `done`."""

    say: Annotated[tuple[str, ...], Field(min_length=1)]
    plain: dict[str, Plain] = Field(default_factory=dict)
    # Words of which a read-back of it must name at least one.
    named: tuple[str, ...] = ()


class World(Part):
    """The back end as a process, its customers and its books.

    Places in `seed`: `{subject}` and `{number}` of the one call, `{pin_hash}` (PBKDF2-HMAC-SHA256 of the PIN in hex,
    the subject its salt, `pin_rounds` rounds).
    """

    back_end: str
    schema_: Annotated[str, Field(alias="schema")]
    pin_rounds: Annotated[int, Field(ge=1, le=1_000_000)] = 20_000
    seed: dict[Name, str]
    customers: dict[Name, Customer]
    acts: dict[Name, Act]
    books: Books
    varieties: tuple[Variety, ...] = ()


class EvalFile(Part):
    """evals/*.yaml."""

    world: World | None = None
    scenarios: tuple[Scenario, ...] = ()
