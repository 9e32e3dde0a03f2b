"""The second opinion: how alike words are to the bundle's own phrases for each goal, by meaning and by wording. Pure.

Meaning: cosine to the centre and to the nearest of a goal's phrases (half each), less the mean over all goals, because
an English-trained model puts all German sentences near one another. Wording: cosine of character 3- and 4-grams,
weighted by how rare they are among the phrases: it needs no language, and forgives a recogniser's slips.
"""

import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from services.orchestrator.bundles.bundle import Bundle
from services.orchestrator.dialogue.understanding.nothing import nothing

Floats = NDArray[np.float32]
# Not a goal's name: phrases that want nothing of any goal.
NO_GOAL: Final = ""
_SIZES: Final = (3, 4)
_NO_WORD = re.compile(r"[^\w\s]|_")


@dataclass(frozen=True, slots=True)
class Likeness:
    """Of the words to one goal. `meaning` around 0 (as near as any other goal), `wording` 0 to 1."""

    meaning: float
    wording: float

    @property
    def score(self) -> float:
        """Which goal is the likeliest; not how likely (bands.py)."""
        return self.meaning + self.wording


@dataclass(frozen=True)
class Opinion:
    """Likeness of every goal, and of nothing (`NO_GOAL`). `by_meaning`: the embedder was heard."""

    of: Mapping[str, Likeness]
    by_meaning: bool

    def ranked(self, legal: Sequence[str]) -> list[str]:
        """Legal goals, likeliest first."""
        return sorted((goal for goal in legal if goal in self.of), key=lambda goal: -self.of[goal].score)


def phrases(bundle: Bundle, locale: str) -> list[tuple[str, str]]:
    """(goal, phrase): every phrase that is compared with, those of no goal last."""
    found = [(name, phrase) for name, goal in bundle.goals.items() for phrase in goal.entry[locale]]
    found += [("person", phrase) for phrase in bundle.agent.escalation.explicit.get(locale, ()) if len(phrase) > 12
              and "person" in bundle.goals]  # fmt: skip
    return [*found, *((NO_GOAL, phrase) for phrase in nothing(locale))]


class Examples:
    """The phrases of one bundle in one locale. `vectors`: [len(phrases), D], of unit length; None: no embedder."""

    def __init__(self, known: Sequence[tuple[str, str]], vectors: Floats | None) -> None:
        self._goals = list(dict.fromkeys(goal for goal, _ in known))
        self._owners = [goal for goal, _ in known]
        self._exact = {plain(phrase): goal for goal, phrase in known if goal != NO_GOAL}
        grams = [_grams(phrase) for _, phrase in known]
        seen = Counter(gram for counted in grams for gram in counted)
        self._rarity = {gram: math.log((1 + len(known)) / (0.5 + count)) for gram, count in seen.items()}
        self._unseen = math.log((1 + len(known)) / 0.5)
        self._grams = [self._weighted(counted) for counted in grams]
        self._vectors = vectors
        self._centres: dict[str, Floats] = {}
        if vectors is not None:
            for goal in self._goals:
                centre = vectors[[i for i, owner in enumerate(self._owners) if owner == goal]].mean(axis=0)
                self._centres[goal] = centre / max(float(np.linalg.norm(centre)), 1e-12)

    def exact(self, words: str) -> str | None:
        """The goal one of whose phrases the words are, but for case and marks."""
        return self._exact.get(plain(words))

    def opinion(self, words: str, vector: Floats | None) -> Opinion:
        """`vector`: of the words, of unit length; None: judged by wording alone."""
        wording = self._wording(words)
        meaning = self._meaning(vector)
        return Opinion({g: Likeness(meaning.get(g, 0.0), wording[g]) for g in self._goals}, bool(meaning))

    def _wording(self, words: str) -> dict[str, float]:
        mine = self._weighted(_grams(words))
        found = dict.fromkeys(self._goals, 0.0)
        for owner, theirs in zip(self._owners, self._grams, strict=True):
            found[owner] = max(found[owner], _cosine(mine, theirs))
        return found

    def _meaning(self, vector: Floats | None) -> dict[str, float]:
        if vector is None or self._vectors is None:
            return {}
        near = self._vectors @ vector
        raw = {
            goal: (float(self._centres[goal] @ vector)
                   + max(float(near[i]) for i, owner in enumerate(self._owners) if owner == goal)) / 2
            for goal in self._goals
        }  # fmt: skip
        mean = sum(raw.values()) / len(raw)
        return {goal: value - mean for goal, value in raw.items()}

    def _weighted(self, counted: Mapping[str, int]) -> dict[str, float]:
        return {gram: count * self._rarity.get(gram, self._unseen) for gram, count in counted.items()}


def plain(text: str) -> str:
    """Case-folded, without marks, single spaces."""
    return " ".join(_NO_WORD.sub(" ", text.casefold()).split())


def without_fillers(text: str, fillers: frozenset[str]) -> str:
    """The words without "um": it parts words that are compared as they follow one another."""
    return " ".join(word for word in text.split() if plain(word) not in fillers) or text


def _grams(text: str) -> Counter[str]:
    padded = f" {plain(text)} "
    return Counter(padded[at : at + size] for size in _SIZES for at in range(len(padded) - size + 1))


def _cosine(a: Mapping[str, float], b: Mapping[str, float]) -> float:
    small, large = (a, b) if len(a) < len(b) else (b, a)
    shared = sum(weight * large[gram] for gram, weight in small.items() if gram in large)
    sizes = math.sqrt(sum(w * w for w in a.values()) * sum(w * w for w in b.values()))
    return shared / sizes if sizes else 0.0
