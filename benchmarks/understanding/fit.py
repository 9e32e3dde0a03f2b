"""Fits the weights of the confidence (Platt) on the tuning half, and shows what the bands would do there."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from benchmarks.understanding.cases import WORTHS, worth
from benchmarks.understanding.figures import decided, likeliest, votes
from benchmarks.understanding.hearing import Heard
from services.orchestrator.dialogue.understanding import agree as agreeing
from services.orchestrator.dialogue.understanding import bands
from services.orchestrator.dialogue.understanding.examples import Opinion

Floats = NDArray[np.float64]
# Around what a fit of few utterances is held, and how tightly (standard deviations of the weights).
PRIOR = np.array([-2.5, 2.0, 6.0, 1.5, -1.0])
WIDTH = np.array([2.0, 3.0, 4.0, 1.0, 1.0])
BANDS = [(a, c) for a in (0.6, 0.7, 0.75, 0.8, 0.85, 0.9) for c in (0.2, 0.25, 0.3, 0.35, 0.4, 0.5)]


def fitted(heard: Sequence[Heard]) -> dict[bands.Kind, bands.Weights]:
    """Each set on what it judges: English, other languages, and all of them by wording."""
    english = [one for one in heard if one.case.locale.startswith("en")]
    other = [one for one in heard if not one.case.locale.startswith("en")]
    return {
        "en": _fit([(one, one.opinion) for one in english]),
        "other": _fit([(one, one.opinion) for one in other]),
        "wording": _fit([(one, one.by_wording) for one in heard]),
    }


def _fit(rows: Sequence[tuple[Heard, Opinion]]) -> bands.Weights:
    """Maximum a posteriori by Newton's method. Either of two goals is half right: that is what is to be asked."""
    features, targets = [], []
    for one, opinion in rows:
        goal = likeliest(opinion)
        vote = votes(one, goal)
        score, margin = bands.evidence(opinion, goal)
        features.append([1.0, score, margin, float(vote == "same"), float(vote == "other")])
        targets.append(float(goal in one.case.want) / max(1, len(one.case.want)))
    x, y = np.array(features), np.array(targets)
    precision = np.diag(1 / WIDTH**2)
    weights = PRIOR.copy()
    for _ in range(60):
        q = 1 / (1 + np.exp(-x @ weights))
        gradient = x.T @ (y - q) - precision @ (weights - PRIOR)
        hessian = (x * (q * (1 - q))[:, None]).T @ x + precision
        weights = weights + np.linalg.solve(hessian, gradient)
    return bands.Weights(*(round(float(w), 2) for w in weights))


def show(heard: Sequence[Heard]) -> None:
    """The fitted weights, then each pair of bands by outcome, with them."""
    found = fitted(heard)
    for kind, weights in found.items():
        print(f'    "{kind}": {weights},')
    bands.WEIGHTS.update(found)
    for accept, clarify in BANDS:
        agreeing.ACCEPT, agreeing.CLARIFY = accept, clarify  # type: ignore[misc]
        counts = []
        for locale in ("en", "de"):
            chosen = [one for one in heard if one.case.locale.startswith(locale)]
            worths = [worth(one.case.want, *decided(one)) for one in chosen]
            counts.append(" ".join(f"{worths.count(what):3}" for what in WORTHS))
        print(f"accept {accept:.2f} clarify {clarify:.2f}:  en {counts[0]}   de {counts[1]}")
    print("columns:", ", ".join(WORTHS))
    for one in heard:
        goal = likeliest(one.opinion)
        p = bands.confidence(one.case.locale, one.opinion, goal, votes(one, goal))
        said = "right" if goal in one.case.want else "-----"
        print(f"{p:.2f} {said} {goal:15} model {one.model} want {one.case.want} {one.case.words}")
