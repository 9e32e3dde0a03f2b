"""Confusions as a recogniser makes them, seeded: words that sound alike, words lost, fillers put in, less confidence.

Rates are per word unless said otherwise (defaults below; docs/evals.md gives them with the results). `yes`, `no` and
their kin are never swapped or lost: a recogniser that turns a no into a yes cannot be caught by any dialogue, and is
measured where the audio is. Every confusion lowers what the recogniser says of its own words, as real ones do.
"""

import random
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache

from rapidfuzz.distance import Levenshtein

from services.orchestrator.bundles.bundle import Bundle

KEPT = frozenset(["yes", "no", "yeah", "nope", "not", "don't", "never", "ja", "nein", "doch", "nicht", "kein", "keine"])
FILLERS: Mapping[str, tuple[str, ...]] = {"en": ("um", "uh", "er"), "de": ("äh", "ähm", "öh")}
# Words of numbers: what is most often confused in a bank, and what matters most.
NUMBERS: Mapping[str, str] = {
    "en": "two three four five six seven eight nine ten twelve thirteen thirty fourteen forty fifteen fifty sixteen"
    " sixty seventeen seventy eighteen eighty nineteen ninety twenty hundred",
    "de": "zwei drei vier fünf sechs sieben acht neun zehn zwölf dreizehn dreißig vierzehn vierzig fünfzehn fünfzig"
    " sechzehn sechzig siebzehn siebzig achtzehn achtzig neunzehn neunzig zwanzig hundert",
}
_WORD = re.compile(r"[^\W_]+(?:['’][^\W_]+)*")
# Consonant classes after Soundex (Russell 1918), joined where the telephone band cannot tell them apart.
_CLASSES = str.maketrans(
    "bpfvwcgkqsxzßdtlmnrjhyaeiouäöü", "1111122222222334556" + "00" + "".join("_" for _ in range(9))
)


@dataclass(frozen=True, slots=True)
class Rates:
    """How often. `pair`: of each word of the bundle's confusable pairs. `filler`: per utterance."""

    swap: float = 0.03
    pair: float = 0.12
    lose: float = 0.02
    filler: float = 0.15
    # Confidence of clean words, and what each confusion takes from it.
    heard: tuple[float, float] = (0.93, 0.99)
    doubt: tuple[float, float] = (0.12, 0.35)


CLEAN = Rates(0, 0, 0, 0, (0.98, 0.98))


@dataclass(frozen=True, slots=True)
class Heard:
    """What the recogniser gives for an utterance, and what was done to it (for the report)."""

    text: str
    confidence: float
    confusions: tuple[str, ...] = ()


@dataclass(slots=True)
class Recogniser:
    """A scripted recogniser, one per conversation: the same seed mishears the same words."""

    chance: random.Random
    locale: str
    rates: Rates
    sounds_like: Mapping[str, tuple[str, ...]]
    _made: list[str] = field(default_factory=list)

    @classmethod
    def of(cls, bundle: Bundle, locale: str, chance: random.Random, rates: Rates) -> "Recogniser":
        """For a bundle: its confusable pairs, and its own words that sound alike."""
        return cls(chance, locale, rates, _alike(bundle, locale))

    def hear(self, said: str) -> Heard:
        """One utterance."""
        self._made = []
        words = [kept for word in said.split() if (kept := self._word(word)) is not None]
        if words and self.chance.random() < self.rates.filler:
            filler = self.chance.choice(FILLERS.get(self.locale[:2], FILLERS["en"]))
            words.insert(self.chance.randrange(len(words)), filler)
        confidence = self.chance.uniform(*self.rates.heard)
        for _ in self._made:
            confidence -= self.chance.uniform(*self.rates.doubt)
        return Heard(" ".join(words), max(0.1, round(confidence, 3)), tuple(self._made))

    def _word(self, word: str) -> str | None:
        match = _WORD.search(word)
        bare = match.group().casefold() if match else ""
        if not bare or bare in KEPT:
            return word
        pairs = self.sounds_like.get(f"pair {bare}", ())
        draw = self.chance.random()
        if pairs and draw < self.rates.pair:
            return self._swapped(word, bare, self.chance.choice(pairs))
        alike = self.sounds_like.get(bare, ())
        if alike and draw < self.rates.swap:
            return self._swapped(word, bare, self.chance.choice(alike))
        if self.chance.random() < self.rates.lose:
            self._made.append(f"{bare} lost")
            return None
        return word

    def _swapped(self, word: str, bare: str, other: str) -> str:
        self._made.append(f"{bare} heard as {other}")
        return re.sub(re.escape(bare), other, word, flags=re.IGNORECASE)


def skeleton(word: str) -> str:
    """Consonants by class, neighbours of one class once, vowels only as a place: `fifteen` and `fifty` are near."""
    classes = word.casefold().translate(_CLASSES)
    return re.sub(r"(.)\1+", r"\1", "".join(c for c in classes if c in "_123456")).strip("_")


def alike(one: str, other: str) -> bool:
    """Whether a recogniser may take one for the other: their sounds differ by little and so do their letters."""
    if one == other or min(len(one), len(other)) < 3:
        return False
    near: bool = Levenshtein.normalized_similarity(skeleton(one), skeleton(other)) >= 0.75
    return near and bool(Levenshtein.normalized_similarity(one, other) >= 0.5)


def _alike(bundle: Bundle, locale: str) -> Mapping[str, tuple[str, ...]]:
    words = tuple(sorted({word for text in _texts(bundle, locale) for word in _words(text)} - KEPT))
    numbers = frozenset(_words(NUMBERS.get(locale[:2], "")))
    return _pairs(words, numbers, bundle.agent.lexicon.confusable)


@lru_cache(maxsize=16)
def _pairs(
    words: tuple[str, ...], numbers: frozenset[str], confusable: tuple[tuple[str, ...], ...]
) -> Mapping[str, tuple[str, ...]]:
    """Comparing all words with all is slow (some 100 ms), and every conversation asks."""
    found = {word: tuple(other for other in words if alike(word, other)) for word in words}
    for pair in confusable:
        # A pair of another language's words does not sound in this one.
        if {one.casefold() for one in pair} & (set(words) | numbers):
            for word in pair:
                found[f"pair {word.casefold()}"] = tuple(one for one in pair if one != word)
    return found


def _texts(bundle: Bundle, locale: str) -> Iterable[str]:
    yield NUMBERS.get(locale[:2], "")
    for goal in bundle.goals.values():
        yield from goal.entry.get(locale, ())
    for slot in bundle.slots.values():
        for by_locale in slot.values.values():
            yield from by_locale.get(locale, ())


def _words(text: str) -> list[str]:
    return [word.casefold() for word in _WORD.findall(text)]
