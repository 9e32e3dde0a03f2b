"""What was said in one conversation, as a listener on the line would have it: the only account the gates believe."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

# Sentences that ask back what was not sure: they name what may have been meant.
CLARIFIES = frozenset({"talk.which", "talk.which_goal", "talk.is_it", "talk.not_heard"})
Who = Literal["agent", "caller"]


@dataclass(frozen=True, slots=True)
class Spoken:
    """One utterance. Of the agent's: which sentence it was, and whether it was heard to its end.

    Of the caller's: what they meant to say (`text`), what a recogniser made of it (`heard`) and how sure it was, or the
    keys they pressed.
    """

    turn: int
    who: Who
    text: str
    prompt: str = ""
    # None while it is being said.
    complete: bool | None = None
    speech: int = 0
    heard: str = ""
    confidence: float = 1.0
    keys: str = ""
    # Books at that moment: how many acts of each kind were done. Read when a sentence claims that one was.
    done: Mapping[str, int] | None = None
    notes: tuple[str, ...] = ()

    def ended(self, *, complete: bool) -> "Spoken":
        """The same, once it is over."""
        return replace(self, complete=complete)

    def to_json(self) -> dict[str, Any]:
        """For the report; defaults are left out."""
        row: dict[str, Any] = {"turn": self.turn, "who": self.who, "text": self.text}
        if self.prompt:
            row["prompt"] = self.prompt
        if self.complete is False:
            row["cut"] = True
        if self.heard and self.heard != self.text:
            row["heard"], row["confidence"] = self.heard, self.confidence
        if self.keys:
            row["keys"] = self.keys
        if self.notes:
            row["notes"] = list(self.notes)
        return row


@dataclass(frozen=True, slots=True)
class Asked:
    """What the agent has just said and now waits for; all a caller can go by."""

    turn: int
    sentences: tuple[Spoken, ...]
    slot: str = ""
    yes_no: bool = False
    # Keys: of the caller's code (`code`), or for the slot.
    keys: bool = False
    code: bool = False
    goal: bool = False

    @property
    def prompts(self) -> tuple[str, ...]:
        """In the order in which they were said."""
        return tuple(sentence.prompt for sentence in self.sentences)


@dataclass(frozen=True, slots=True)
class Given:
    """What the caller does now. All empty: says nothing."""

    say: str = ""
    keys: str = ""
    # Speaks over the agent's last sentence, which is cut.
    over: bool = False
    hang_up: bool = False


@dataclass(frozen=True, slots=True)
class Over:
    """How a conversation ended."""

    how: Literal["hung_up", "handed_over", "stuck", "broken"]
    reason: str = ""
    route: str = ""
    turns: int = 0


@dataclass(slots=True)
class Transcript:
    """All of one conversation."""

    subject: str
    locale: str
    spoken: list[Spoken] = field(default_factory=list)
    over: Over = field(default_factory=lambda: Over("hung_up"))
    # What the scripted proposer put in that nobody said, by name: the gates' tests, not the caller's words.
    planted: list[str] = field(default_factory=list)
    # The caller's turns in which it did.
    planted_turns: set[int] = field(default_factory=set)

    def plant(self, name: str) -> None:
        """Something was put into the caller's last turn."""
        self.planted.append(name)
        self.planted_turns.add(next((one.turn for one in reversed(self.spoken) if one.who == "caller"), 0))

    def agent(self) -> list[Spoken]:
        """What the agent said."""
        return [one for one in self.spoken if one.who == "agent"]

    def caller(self) -> list[Spoken]:
        """What the caller said or keyed."""
        return [one for one in self.spoken if one.who == "caller"]

    def says(self, prompt: str) -> bool:
        """Whether that sentence was said at all."""
        return any(one.prompt == prompt for one in self.agent())
