"""How likely the proposed goal is what the caller wants (Platt), and from where on it is acted upon, or asked about.

The weights are fitted on the tuning half of benchmarks/data/understanding and judged on the held-out half:
`python -m benchmarks.understanding` (docs/understanding.md has the curve). There is a set for English, one for other
languages (the embedder was trained on English: its meaning says less there), one for wording alone.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

from services.orchestrator.dialogue.understanding.examples import NO_GOAL, Opinion

# From here on a goal is started; from CLARIFY on, the two likeliest are named and the caller is asked.
ACCEPT: Final = 0.8
CLARIFY: Final = 0.35
# By how much a goal leads the next by meaning where both are meant alike (fitted on the tuning half).
LEVEL: Final = 0.04
# Words of which the recogniser was less sure (0.5: mean log-probability -0.7) were wrong more often than not: ask.
LEAST_HEARD: Final = 0.5

# What the model said: the same goal, another one, none of the goals, or nothing in time.
Vote = Literal["same", "other", "nothing", "absent"]
Kind = Literal["en", "other", "wording"]


@dataclass(frozen=True, slots=True)
class Weights:
    """Of a logistic regression over the second opinion's score, its margin, and the model's vote."""

    bias: float
    score: float
    margin: float
    same: float
    other: float

    def __call__(self, score: float, margin: float, vote: Vote) -> float:
        """Probability that the goal is meant, 0 to 1."""
        votes = {"same": self.same, "other": self.other}.get(vote, 0.0)
        odds = self.bias + self.score * score + self.margin * margin + votes
        return 1 / (1 + math.exp(-max(-30.0, min(30.0, odds))))


WEIGHTS: Final[dict[Kind, Weights]] = {
    "en": Weights(bias=-2.06, score=1.81, margin=6.69, same=1.81, other=-1.27),
    "other": Weights(bias=-0.98, score=3.93, margin=6.91, same=2.17, other=-1.3),
    "wording": Weights(bias=-1.46, score=4.03, margin=6.94, same=2.74, other=-1.57),
}


def kind_of(locale: str, opinion: Opinion) -> Kind:
    """Which weights judge."""
    if not opinion.by_meaning:
        return "wording"
    return "en" if locale.startswith("en") else "other"


def evidence(opinion: Opinion, goal: str) -> tuple[float, float]:
    """Score of the goal, and its margin over the likeliest other one (or nothing)."""
    score = opinion.of[goal].score
    rest = max((like.score for other, like in opinion.of.items() if other != goal), default=0.0)
    return score, score - rest


def over_nothing(opinion: Opinion, goal: str) -> tuple[float, float]:
    """The same, but only against nothing: for a second goal in the same words."""
    score = opinion.of[goal].score
    nothing = opinion.of.get(NO_GOAL)
    return score, score - (nothing.score if nothing is not None else 0.0)


def level(locale: str, opinion: Opinion, goal: str, goals: Sequence[str]) -> bool:
    """Another goal is as near by meaning, and only the wording speaks for this one: it may be either.

    Of English alone; in other languages all goals lie near one another by meaning.
    """
    if kind_of(locale, opinion) != "en":
        return False
    others = (opinion.of[other].meaning for other in goals if other != goal and other in opinion.of)
    return opinion.of[goal].meaning - max(others, default=-math.inf) < LEVEL


def confidence(locale: str, opinion: Opinion, goal: str, vote: Vote) -> float:
    """Calibrated: of all goals said to be 0.8 sure, 8 of 10 are meant."""
    return WEIGHTS[kind_of(locale, opinion)](*evidence(opinion, goal), vote)
