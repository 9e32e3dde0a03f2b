"""Words that call for a person at once (escalation.signals): found by wording alone, no model is asked. Pure.

A phrase is heard when its words follow one another in what was said, fillers left out. Long words may be a
recogniser's slip away; short ones must be the same, for "died" and "tried" are one letter apart.
"""

from collections.abc import Mapping, Sequence

from rapidfuzz import fuzz

from services.orchestrator.dialogue.understanding.examples import plain

# Letters from which a word may differ a little, and by how little (rapidfuzz ratio, 0 to 100).
LONG = 6
ALIKE = 85.0


def signal(said: str, signals: Mapping[str, Sequence[str]], fillers: frozenset[str]) -> str | None:
    """The first of `signals` (name → phrases of the locale) that the words have; None: none."""
    words = _words(said, fillers)
    for name, phrases in signals.items():
        if any(_follow(_words(phrase, fillers), words) for phrase in phrases):
            return name
    return None


def _words(text: str, fillers: frozenset[str]) -> list[str]:
    return [word for word in plain(text).split() if word not in fillers]


def _follow(phrase: Sequence[str], words: Sequence[str]) -> bool:
    return bool(phrase) and any(
        all(_same(mine, theirs) for mine, theirs in zip(phrase, words[at:], strict=False))
        for at in range(len(words) - len(phrase) + 1)
    )


def _same(mine: str, theirs: str) -> bool:
    return mine == theirs or (min(len(mine), len(theirs)) >= LONG and fuzz.ratio(mine, theirs) >= ALIKE)
