"""Words that call for a person at once (escalation.signals), and for a person by name: by wording alone. Pure.

A phrase is heard when its words follow one another in what was said, fillers left out, and are not denied where they
stand ("it is not a fraud"). Long words may be a recogniser's slip away; short ones must be the same, for "died" and
"tried" are one letter apart.
"""

from collections.abc import Iterator, Mapping, Sequence

from rapidfuzz import fuzz

from services.orchestrator.dialogue.locales.denial import denied
from services.orchestrator.dialogue.locales.language import Language
from services.orchestrator.dialogue.locales.tokens import Token, tokens_of

# Letters from which a word may differ a little, and by how little (rapidfuzz ratio, 0 to 100).
LONG = 6
ALIKE = 85.0


def signal(said: str, signals: Mapping[str, Sequence[str]], language: Language) -> str | None:
    """The first of `signals` (name → phrases of the locale) that the words have; None: none."""
    tokens = tokens_of(said, language.fillers)
    for name, phrases in signals.items():
        if any(
            not denied(tokens, *place, language) for phrase in phrases for place in _places(phrase, tokens, language)
        ):
            return name
    return None


def wanted(said: str, phrases: Sequence[str], language: Language) -> bool | None:
    """Whether a person is asked for: True; False: expressly not; None: nothing is said of it."""
    tokens = tokens_of(said, language.fillers)
    found = [place for phrase in phrases for place in _places(phrase, tokens, language, exact=True)]
    if not found:
        return None
    return any(not denied(tokens, *place, language) for place in found)


def _places(
    phrase: str, tokens: Sequence[Token], language: Language, *, exact: bool = False
) -> Iterator[tuple[int, int]]:
    words = [token.text for token in tokens_of(phrase, language.fillers)]
    for at in range(len(tokens) - len(words) + 1 if words else 0):
        pairs = zip(words, tokens[at:], strict=False)
        if all(mine == theirs.text or (not exact and _alike(mine, theirs.text)) for mine, theirs in pairs):
            yield at, at + len(words)


def _alike(mine: str, theirs: str) -> bool:
    return min(len(mine), len(theirs)) >= LONG and fuzz.ratio(mine, theirs) >= ALIKE
