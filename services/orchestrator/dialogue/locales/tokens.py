"""Words of an utterance with their places in it, as grammars read them: case-folded, without fillers."""

import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from services.orchestrator.dialogue.locales.language import Phrase

# Vowel signs of Devanagari are no letters to Python's \w.
_LETTER = r"(?:[^\W\d_]|[\u0300-\u036f\u0900-\u0963\u0971-\u097f\u200d])"
_TOKEN = re.compile(rf"\d+(?:st|nd|rd|th)\b|\d+(?:[.,:/\-]\d+)*|{_LETTER}+(?:['’]{_LETTER}+)*|[£$€₹+*#]", re.IGNORECASE)

_STOPS = ",;.!?।"


@dataclass(frozen=True, slots=True)
class Token:
    """One word, numeral or sign. `start`, `end`: where it stands in the text as it was heard."""

    text: str
    raw: str
    start: int
    end: int
    # A comma or a stop stands before it.
    parted: bool = False

    @property
    def numeral(self) -> bool:
        """Written in figures."""
        return self.raw[0].isdigit()


def tokens_of(text: str, fillers: frozenset[str] = frozenset()) -> list[Token]:
    """All tokens but fillers, in order. Figures of other scripts become those of ASCII."""
    found: list[Token] = []
    last = 0
    for match in _TOKEN.finditer(text):
        raw = unicodedata.normalize("NFC", match[0])
        folded = "".join(str(unicodedata.digit(c)) if c.isdigit() else c for c in raw.casefold().replace("’", "'"))
        if folded not in fillers:
            parted = any(mark in text[last : match.start()] for mark in _STOPS)
            found.append(Token(folded, raw, match.start(), match.end(), parted))
        last = match.end() if folded not in fillers else last
    return found


def texts(tokens: Iterable[Token]) -> tuple[str, ...]:
    """Only the words."""
    return tuple(token.text for token in tokens)


def starts(tokens: Sequence[Token], at: int, choices: Iterable[Phrase]) -> int:
    """How many tokens from `at` are one of `choices` (longest first); 0: none is."""
    for phrase in choices:
        if texts(tokens[at : at + len(phrase)]) == phrase:
            return len(phrase)
    return 0


def mask(tokens: Sequence[Token], choices: Iterable[Phrase]) -> set[int]:
    """Indices of tokens that belong to any of the phrases; longer phrases win."""
    choices, taken, at = tuple(choices), set[int](), 0
    while at < len(tokens):
        size = starts(tokens, at, choices)
        taken.update(range(at, at + size))
        at += size or 1
    return taken
