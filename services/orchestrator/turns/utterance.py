"""What the turn-taker remembers between signals: the utterance in progress, and the silence between utterances."""

from dataclasses import dataclass


@dataclass(slots=True)
class Utterance:
    """What is known of the utterance in progress."""

    number: int
    onset_ns: int
    dipped: bool = False
    forced: bool = False
    probability: float | None = None
    probability_ns: int = 0
    text_ns: int = 0
    partial: str = ""
    text: str | None = None
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
