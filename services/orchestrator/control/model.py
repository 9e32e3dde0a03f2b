"""What passes through the pipeline: values with their evidence, proposals, and the verdict of each step."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from services.common.personal import Personal

Scalar = str | int | float | bool
Origin = Literal["speech", "keys", "record", "caller", "constant"]
State = Literal["pending", "queued", "executing", "committed", "failed", "unknown", "review"]


@dataclass(frozen=True, slots=True)
class Evidence:
    """Where a value comes from: the turn and the words (or keys) that say it, and how sure that is (0 to 1)."""

    origin: Origin
    turn: int = 0
    text: Personal[str] = field(default_factory=lambda: Personal("", "evidence"))
    confidence: float = 1.0


@dataclass(frozen=True, slots=True)
class Value:
    """One argument. `confirmed`: the caller heard it read back and said yes."""

    value: Personal[Scalar]
    evidence: Evidence
    confirmed: bool = False


@dataclass(frozen=True, slots=True)
class Proposal:
    """What is to be done: a tool of the bundle with its arguments. A model proposes; nothing happens by that."""

    tool: str
    args: Mapping[str, Value]
    turn: int

    def plain(self) -> dict[str, Scalar]:
        """The arguments as the contract wants them: for hashing and for the wire only."""
        return {name: value.value.reveal() for name, value in self.args.items()}

    @property
    def confidence(self) -> float:
        """Of the least sure argument."""
        return min((value.evidence.confidence for value in self.args.values()), default=1.0)


@dataclass(frozen=True, slots=True)
class Rejected:
    """The proposal is not one: an argument is missing, of the wrong kind, or without evidence. Names, never values."""

    argument: str
    reason: str


@dataclass(frozen=True, slots=True)
class Denied:
    """A rule does not hold. `prompt`: what the bundle says then."""

    rule: str
    how: Literal["deny", "step_up", "human_review"]
    prompt: str | None


@dataclass(frozen=True, slots=True)
class Allowed:
    """Every rule that names the tool holds."""

    rules: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of an effect. `answer`: the committed fields, empty unless committed."""

    effect_id: str
    state: State
    answer: Mapping[str, Scalar] = field(default_factory=dict)
    reason: str = ""
