"""The bundle format as types: what each file may hold. Nothing else is read, so nothing else is accepted.

`trunkline bundle schema` writes these as JSON Schema for editors. What types cannot say (names that must exist,
rules that must type-check) is checked in checks_*.py.
"""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from services.common.lexicon import Hotwords, Sayings

Name = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,47}$")]
PromptId = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_.]{0,63}$")]
LOCALE = r"^[a-z]{2}-[A-Z]{2}(\+[a-z]{2}-[A-Z]{2})?$"
Locale = Annotated[str, StringConstraints(pattern=LOCALE)]
FactName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)+$")]
FactType = Literal["int", "double", "bool", "string", "timestamp", "list(string)"]
Share = Annotated[float, Field(ge=0, le=1)]
# identify: asks whether a secret is right. Nothing is changed, and nothing of it is kept, said or shown to a model.
Effect = Literal["read", "identify", "write_reversible", "write_money", "write"]


class Part(BaseModel):
    """Base: immutable, no unknown keys."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class LocaleRules(Part):
    """How numbers, names and people are addressed in one locale."""

    voice: str = ""
    currency: Annotated[str, StringConstraints(pattern=r"^[A-Z]{3}$")]
    formality: Literal["neutral", "formal", "informal"] = "neutral"
    digits: Literal["single", "pairs"] = "single"
    asr_hotwords: Hotwords = ()


class Lexicon(Part):
    """Words of this business: how they are said, what they are mistaken for."""

    say: Sayings = {}
    confusable: tuple[tuple[str, ...], ...] = ()


class Route(Part):
    """Where people are reached."""

    target: Annotated[str, StringConstraints(pattern=r"^sips?:[^\s<>\"]{1,200}$")]
    label: str = ""


class Signal(Part):
    """The words that say it, by locale, and to whom it goes; no route: where whoever asks for a person goes."""

    model_config = ConfigDict(
        extra="allow",
        json_schema_extra={
            "additionalProperties": False,
            "patternProperties": {LOCALE: {"type": "array", "items": {"type": "string"}, "minItems": 1}},
        },
    )
    __pydantic_extra__: dict[Locale, Annotated[tuple[str, ...], Field(min_length=1)]] = Field(init=False)

    route: Name | None = None

    def phrases(self, locale: str) -> tuple[str, ...]:
        """In a locale; none where there are none."""
        return self.__pydantic_extra__.get(locale, ())


class Escalation(Part):
    """When a person takes over. An explicit request is never deflected."""

    explicit: dict[Locale, tuple[str, ...]]
    # Signals on which a person takes over at once, and the words that say them, by locale; and a route of its own.
    always: tuple[Name, ...] = ()
    signals: dict[Name, Signal] = {}
    reformulations: int = 2
    clarify_fails_same_slot: int = 2
    no_match: int = 3
    routes: dict[Name, Route]
    no_agent: Literal["callback", "voicemail", "goodbye"] = "callback"


class FactSource(Part):
    """Where a fact comes from: one field of a read tool's answer, asked for by the server and never by the caller."""

    type: FactType
    tool: Name
    field: Name


class IdentifyByNumber(Part):
    """Level 1: whose telephone number this is. Numbers can be forged: nothing that matters may rest on this alone."""

    tool: Name
    # The field of the answer that says who it is.
    subject: Name = "subject"


class IdentifyByKeys(Part):
    """Level 2: a secret, keyed and masked, checked by a tool of effect `identify`."""

    tool: Name
    # The argument that takes the secret, and the field (bool) that says whether it is right.
    argument: Name
    verified: Name = "verified"
    digits: Annotated[int, Field(ge=3, le=12)] = 4
    # Wrong tries in one call; then no more are taken. The back end should count over calls.
    attempts: Annotated[int, Field(ge=1, le=5)] = 3


class IdentifyFile(Part):
    """How callers are identified."""

    number: IdentifyByNumber | None = None
    keys: IdentifyByKeys | None = None


class AgentFile(Part):
    """agent.yaml: who this agent is."""

    api: Literal["trunkline/agent/v1"]
    id: Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9-]{1,47}$")]
    version: Annotated[str, StringConstraints(pattern=r"^\d+\.\d+\.\d+$")]
    owner: str
    default_locale: Locale
    locales: dict[Locale, LocaleRules]
    system: PromptId
    greeting: PromptId
    disclosure: PromptId | None = None
    profile: Literal["default", "elderly", "noisy", "dictation"] = "default"
    # A type alone only declares a fact; one that a rule reads says where it comes from.
    facts: dict[FactName, FactType | FactSource] = {}
    identify: IdentifyFile = IdentifyFile()
    lexicon: Lexicon = Lexicon()
    escalation: Escalation
    evals: tuple[str, ...] = ()

    def fact_types(self) -> dict[str, FactType]:
        """The declared facts and their types."""
        return {name: fact.type if isinstance(fact, FactSource) else fact for name, fact in self.facts.items()}

    def fact_sources(self) -> dict[str, FactSource]:
        """Those that come from somewhere."""
        return {name: fact for name, fact in self.facts.items() if isinstance(fact, FactSource)}

    def identifying(self) -> tuple[str, ...]:
        """The tools that only the runtime asks, to know who calls."""
        found = (self.identify.number, self.identify.keys)
        return tuple(part.tool for part in found if part is not None)


class Idempotency(Part):
    """The same business act is done once within `window_s`, whatever is retried. `scope`: argument names."""

    scope: Annotated[tuple[str, ...], Field(min_length=1)]
    window_s: Annotated[int, Field(ge=60)]


class Confirm(Part):
    """Read back and ask before acting, when the rule says so."""

    when: str
    prompt: PromptId


class Breaker(Part):
    """After `failures` in a row the back end is left alone for `open_s`."""

    group: Name
    failures: Annotated[int, Field(ge=1, le=100)] = 5
    open_s: Annotated[int, Field(ge=1, le=3600)] = 20


class Degrade(Part):
    """What is said and done when the back end is away."""

    say: PromptId
    queue: bool = False
    handoff: Name | None = None


class Tool(Part):
    """One operation of a back end, by its OpenAPI contract (`file#operationId`)."""

    contract: str
    effect: Effect
    # Where each argument of the contract comes from: slot.NAME, slot.NAME.FIELD, caller.NAME, or a constant ="text".
    args: dict[str, str] = {}
    # Fields of the answer that may be said and that rules may read as TOOL.FIELD.
    says: tuple[str, ...] = ()
    timeout_ms: Annotated[int, Field(ge=50, le=30_000)] = 1_000
    cache_s: Annotated[int, Field(ge=0, le=3600)] = 0
    idempotency: Idempotency | None = None
    locks: tuple[str, ...] = ()
    confirm: Confirm | None = None
    breaker: Breaker | None = None
    degrade: Degrade | None = None
    # Asks what became of a write whose answer was lost.
    status: str | None = None
    compensate: str | None = None
    filler: PromptId | None = None

    @property
    def writes(self) -> bool:
        """It changes something."""
        return self.effect not in ("read", "identify")

    @property
    def queues(self) -> bool:
        """While its back end is away it is kept and tried again."""
        return self.writes and self.degrade is not None and self.degrade.queue


class Rule(Part):
    """A condition over facts (CEL). Deny by default: a tool without a rule is refused at publish."""

    id: Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9-]{1,47}$")]
    tools: Annotated[tuple[Name, ...], Field(min_length=1)]
    require: str
    otherwise: Literal["deny", "step_up", "human_review"] = "deny"
    say: PromptId | None = None


class Resolve(Part):
    """A value becomes one record of a tool's answer, by these fields."""

    tool: Name
    match: Annotated[tuple[str, ...], Field(min_length=1)]


class Slot(Part):
    """A value the caller gives. Below `clarify` it is not heard; below `accept` it is asked back."""

    type: Literal["digits", "spelling", "enum", "money", "date", "text", "phone", "iban", "postcode", "ref", "yes_no"]
    length: Annotated[int, Field(ge=1, le=40)] | None = None
    values: dict[str, dict[Locale, tuple[str, ...]]] = {}
    resolve: Resolve | None = None
    source: tuple[Literal["speech", "dtmf"], ...] = ("speech",)
    ask: PromptId
    clarify_ask: PromptId | None = None
    accept: Share = 0.85
    clarify: Share = 0.5
    masked: bool = False
    readback: Literal["never", "below_accept", "always"] = "below_accept"


class Goal(Part):
    """What a caller wants, and what fulfils it."""

    entry: dict[Locale, Annotated[tuple[str, ...], Field(min_length=1)]]
    # How the agent names it when it asks which one is meant, or comes back to it: "a refund".
    title: dict[Locale, str] = {}
    priority: Annotated[int, Field(ge=0, le=1000)] = 100
    needs: tuple[Name, ...] = ()
    do: tuple[Name, ...] = ()
    done_when: str | None = None
    say: PromptId | None = None
    handoff: Name | None = None


class Prompt(Part):
    """A sentence in one locale. `needs`: it may be said only once this is committed ("block_card.committed")."""

    text: Annotated[str, StringConstraints(min_length=1, max_length=2000)]
    needs: str | None = None
    protected: bool = False
    cache: bool = False


ToolsFile = dict[Name, Tool]
RulesFile = tuple[Rule, ...]
SlotsFile = dict[Name, Slot]
GoalsFile = dict[Name, Goal]
PromptsFile = dict[PromptId, Prompt | str]
