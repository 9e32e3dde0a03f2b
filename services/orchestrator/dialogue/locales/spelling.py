"""Spelled letters and digits: "B for Bravo", "B wie Berta", "bee" for a letter, "double t", marks."""

from collections.abc import Sequence
from dataclasses import dataclass

from services.orchestrator.dialogue.locales.digits import runs
from services.orchestrator.dialogue.locales.language import Language
from services.orchestrator.dialogue.locales.settle import SURE, Asked, Found
from services.orchestrator.dialogue.locales.tokens import Token, starts

# Letters by their names only; a word in capitals that the recogniser put together.
NAMED = 0.92
PUT_TOGETHER = 0.85
MOST_OTHERS = 4


@dataclass(frozen=True, slots=True)
class Spelled:
    """Characters at tokens [start, end). `sure` falls with letters that were only named."""

    text: str
    start: int
    end: int
    sure: float


def spelled(tokens: Sequence[Token], language: Language) -> list[Spelled]:
    """All spelled stretches, each as long as it goes."""
    found: list[Spelled] = []
    at = 0
    while at < len(tokens):
        text, start, sure = "", at, SURE
        while at < len(tokens) and (step := _step(tokens, at, language)):
            text, at, sure = text + step[0], step[1], min(sure, step[2])
        if text.strip(" -.'_"):
            found.append(Spelled(text.upper().strip(), start, at, sure))
        at = max(at, start + 1)
    return found


def read_spelling(tokens: Sequence[Token], asked: Asked) -> list[Found]:
    """The longest stretch (of the asked length, if there is one); a single letter only alone."""
    length, language = asked.slot.length, asked.language
    stretches = [_trimmed(one, tokens, language, length) for one in spelled(tokens, language)]
    kept = [
        one
        for one in stretches
        if (
            (len(one.text) == length if length else len(one.text) > 1 or len(tokens) == 1)
            and one.text.strip("0123456789")
        )
        or (length and len(one.text) == length)
    ]
    longest = max((len(one.text) for one in kept), default=0)
    kept = [_after_word(one, tokens) for one in kept]
    return [
        Found(one.text, one.start, one.end, one.sure, _mistaken(one, language))
        for one in kept
        if length or len(one.text) * 2 > longest
    ]


def _trimmed(one: Spelled, tokens: Sequence[Token], language: Language, length: int | None) -> Spelled:
    """Without a first word that is rather a word than a letter ("I", "are", "es")."""
    first = tokens[one.start].text
    too_long = length is None or len(one.text) > length
    rather = len(first) > 1 or len(one.text) - 1 == length
    if one.end - one.start > 1 and first in language.carriers and too_long and rather:
        return Spelled(one.text[1:], one.start + 1, one.end, one.sure)
    return one


def _after_word(one: Spelled, tokens: Sequence[Token]) -> Spelled:
    """ "Smith, S M I T H": the word says it too."""
    if one.start and tokens[one.start - 1].text.upper() == one.text:
        return Spelled(one.text, one.start - 1, one.end, SURE)
    return one


def _mistaken(one: Spelled, language: Language) -> tuple[str, ...]:
    if one.sure >= SURE:
        return ()
    pairs: dict[str, str] = {}
    for a, b in language.letter_pairs:
        pairs.setdefault(a.upper(), b.upper())
        pairs.setdefault(b.upper(), a.upper())
    swapped = (one.text[:i] + pairs[c] + one.text[i + 1 :] for i, c in enumerate(one.text) if c in pairs)
    return tuple(list(swapped)[:MOST_OTHERS])


def _step(tokens: Sequence[Token], at: int, language: Language) -> tuple[str, int, float] | None:
    """The characters at `at`, where they end, and how sure they are."""
    for size in (2, 1):
        mark = language.marks.get(tuple(token.text for token in tokens[at : at + size]))
        if mark is not None:
            return mark, at + size, SURE
    token = tokens[at]
    if token.text == "double" and at + 1 < len(tokens) and tokens[at + 1].text in ("u", "you"):
        return "w", at + 2, NAMED
    if token.text in language.times and at + 1 < len(tokens):
        inner = _step(tokens, at + 1, language)
        return (inner[0][0] * language.times[token.text] + inner[0][1:], *inner[1:]) if inner else None
    letter = language.letters.get(token.text)
    if letter is not None:
        return _with_example(tokens, at, letter, language)
    if token.text in language.alphabet:
        return language.alphabet[token.text], at + 1, SURE
    if token.numeral or token.text in language.digits:
        run = runs(tokens[at:], language)[:1]
        if run and run[0].start == 0:
            return _digits(tokens, at, language)
    number = runs(tokens[at : at + 1], language)
    if number:
        return number[0].digits, at + 1, SURE
    if token.raw.isupper() and 1 < len(token.raw) <= 20:
        return token.text, at + 1, PUT_TOGETHER
    joined = at + 1 < len(tokens) and tokens[at + 1].numeral and tokens[at + 1].start == token.end
    joined = joined or (at > 0 and tokens[at - 1].numeral and tokens[at - 1].end == token.start)
    if joined and len(token.text) <= 4 and token.text.isalpha():
        return token.text, at + 1, PUT_TOGETHER
    return None


def _digits(tokens: Sequence[Token], at: int, language: Language) -> tuple[str, int, float] | None:
    """One digit or number, so that "oh" and "to" among letters stay letters."""
    for size in (2, 1):
        found = runs(tokens[at : at + size], language)
        if any(token.text in language.letters for token in tokens[at + 1 : at + size]):
            continue
        if len(found) == 1 and found[0].start == 0 and found[0].end == size:
            return found[0].digits, at + size, SURE
    return None


def _with_example(tokens: Sequence[Token], at: int, letter: str, language: Language) -> tuple[str, int, float]:
    """ "B for Bravo": the word decides, because a word is heard better than a letter."""
    size = starts(tokens, at + 1, language.such_as)
    example = at + 1 + size
    if not size or example >= len(tokens) or tokens[example].numeral or len(tokens[example].text) < 3:
        return letter, at + 1, NAMED
    word = tokens[example].text
    if word in language.digits or word in language.letters:
        return letter, at + 1, NAMED
    first = language.alphabet.get(word, word[0])
    return (first, example + 1, SURE) if first == letter else (first, example + 1, PUT_TOGETHER)
