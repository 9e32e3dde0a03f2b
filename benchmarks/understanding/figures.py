"""Figures of one half: each way of deciding by outcome, latency, and the reliability of the confidence."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmarks.understanding.cases import WORTHS, worth
from benchmarks.understanding.hearing import Heard
from services.orchestrator.dialogue.model import Act, Legal
from services.orchestrator.dialogue.understanding import bands
from services.orchestrator.dialogue.understanding.agree import agree
from services.orchestrator.dialogue.understanding.examples import NO_GOAL, Opinion

BINS = 5
Way = Callable[[Heard], tuple[Sequence[str], Sequence[str]]]


def votes(one: Heard, likeliest: str) -> bands.Vote:
    """What the model's goals say of the opinion's."""
    if one.model is None:
        return "absent"
    if not one.model:
        return "nothing"
    return "same" if likeliest in one.model else "other"


def likeliest(opinion: Opinion) -> str:
    """Of all goals; never nothing."""
    return opinion.ranked([goal for goal in opinion.of if goal != NO_GOAL])[0]


def sure(one: Heard) -> float:
    """The confidence that the likeliest goal is meant."""
    goal = likeliest(one.opinion)
    return bands.confidence(one.case.locale, one.opinion, goal, votes(one, goal))


def _top(score: Callable[[Heard, str], float]) -> Way:
    def way(one: Heard) -> tuple[Sequence[str], Sequence[str]]:
        best = max(one.meaning, key=lambda goal: score(one, goal))
        return ((best,) if best != NO_GOAL else (), ())

    return way


def decided(one: Heard) -> tuple[Sequence[str], Sequence[str]]:
    """As the understander decides under the weights of now, from what both opinions said when it was heard."""
    return _agreed(one, one.opinion) if one.waited_for_model else (one.started, one.asked)


def _agreed(one: Heard, opinion: Opinion) -> tuple[Sequence[str], Sequence[str]]:
    acts = None if one.model is None else [Act("start", goal) for goal in one.model]
    goals = tuple(goal for goal in one.meaning if goal != NO_GOAL)
    found = agree(acts, opinion, Legal(goals, ()), one.case.locale)
    return [act.name for act in found.started], found.rivals


WAYS: dict[str, Way] = {
    "together (grammars, model and second opinion)": decided,
    "model alone": lambda one: (one.model or (), ()),
    "second opinion alone (meaning and wording)": _top(lambda one, goal: one.meaning[goal] + one.wording[goal]),
    "meaning alone (embeddings)": _top(lambda one, goal: one.meaning[goal]),
    "wording alone (character n-grams)": _top(lambda one, goal: one.wording[goal]),
    "model and wording agree (no embedder)": lambda one: _agreed(one, one.by_wording),
}


def outcomes(heard: Sequence[Heard]) -> list[dict[str, Any]]:
    """A row per way: counts of each worth, and n."""
    rows = []
    for name, way in WAYS.items():
        found = [worth(one.case.want, *way(one)) for one in heard]
        rows.append({"way": name, "n": len(found), **{what: found.count(what) for what in WORTHS}})
    return rows


def latency(heard: Sequence[Heard]) -> dict[str, dict[str, float]]:
    """ms, P50 and P95."""
    groups = {
        "all": [one.ms for one in heard],
        "the model was waited for": [one.ms for one in heard if one.waited_for_model],
        "no model was waited for": [one.ms for one in heard if not one.waited_for_model],
        "model: acts known": [one.model_ms for one in heard if one.model_ms],
    }
    return {
        name: {
            "n": len(ms),
            "p50": round(float(np.percentile(ms, 50)), 1),
            "p95": round(float(np.percentile(ms, 95)), 1),
        }
        for name, ms in groups.items()
        if ms
    }


@dataclass(frozen=True, slots=True)
class Reliability:
    """`bins`: (mean confidence, share right, n). `ece`: expected calibration error over them. `brier`."""

    bins: tuple[tuple[float, float, int], ...]
    ece: float
    brier: float
    n: int


def reliability(heard: Sequence[Heard]) -> Reliability:
    """Of utterances that mean one goal or none: those that may be either have no right answer."""
    judged = [one for one in heard if len(one.case.want) < 2]
    p = np.array([sure(one) for one in judged])
    right = np.array([likeliest(one.opinion) in one.case.want for one in judged], dtype=float)
    places = np.minimum((p * BINS).astype(int), BINS - 1)
    bins = [
        (float(p[places == b].mean()), float(right[places == b].mean()), int((places == b).sum()))
        for b in range(BINS)
        if (places == b).any()
    ]
    ece = sum(n * abs(mean - share) for mean, share, n in bins) / max(1, len(judged))
    return Reliability(tuple(bins), ece, float(np.mean((p - right) ** 2)) if len(judged) else 0.0, len(judged))
