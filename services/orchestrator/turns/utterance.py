"""What the turn-taker remembers between signals: the utterance in progress, and the silence between utterances."""

from dataclasses import dataclass

from services.common.settings import TurnSettings
from services.orchestrator.turns.completeness import Reading
from services.orchestrator.turns.decisions import GiveUp, Reprompt

MS = 1_000_000


@dataclass(slots=True)
class Utterance:
    """What is known of the utterance in progress."""

    number: int
    onset_ns: int
    dipped: bool = False
    forced: bool = False
    probability: float | None = None
    probability_ns: int = 0
    # How often the turn model was asked again in this dip.
    asks: int = 0
    text_ns: int = 0
    partial: str = ""
    text: str | None = None
    # Of the text, or of the partial while there is none.
    reading: Reading | None = None
    late: bool = False
    asked_again: bool = False
    speculated: str | None = None
    # Contest with the agent: only an utterance that began while the agent had the floor.
    contested: bool = False
    paused: bool = False
    resumed: bool = False
    stopped: bool = False


@dataclass(slots=True)
class Silence:
    """Since when nobody speaks, and how often we asked."""

    since_ns: int | None = None
    asked: int = 0
    gave_up: bool = False

    def deadline_ns(self, settings: TurnSettings) -> int | None:
        """When it has lasted too long; None: it does not count now."""
        if self.since_ns is None or self.gave_up:
            return None
        return self.since_ns + settings.silence_reprompt_ms * MS

    def ask(self, settings: TurnSettings, at_ns: int) -> Reprompt | GiveUp:
        """It has: ask whether somebody is there, and in the end give up."""
        self.since_ns = at_ns
        if self.asked >= settings.max_reprompts:
            self.gave_up = True
            return GiveUp()
        self.asked += 1
        return Reprompt(self.asked)
