"""Numbers in an utterance, in figures or words, at a place: cardinals, ordinals, decimals.

Words of English and German are read by text2num; what Indian languages count by (lakh, crore, one word for each number
under a hundred) is composed here.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache

from text_to_num import alpha2digit, text2num

from services.orchestrator.dialogue.locales.language import Language
from services.orchestrator.dialogue.locales.tokens import Token, texts

LONGEST_NUMBER = 12
_ORDINAL = re.compile(r"(\d{1,2})(?:st|nd|rd|th|\.)")
_UMLAUTS = {"fuenf": "fünf", "zwoelf": "zwölf", "dreißig": "dreissig"}


@dataclass(frozen=True, slots=True)
class Number:
    """A number that stands at tokens [start, end). `weak`: the word is also an article or a pronoun."""

    value: Decimal
    start: int
    end: int
    figures: bool = False
    weak: bool = False


@lru_cache(maxsize=8192)
def english(said: tuple[str, ...]) -> int | None:
    """A cardinal in English words ("a hundred and twenty")."""
    if said[0] in ("a", "an"):
        said = ("one", *said[1:])
        if len(said) == 1:
            return None
    return _text2num(said, "en")


@lru_cache(maxsize=8192)
def german(said: tuple[str, ...]) -> int | None:
    """A cardinal in German words, also where the recogniser splits what is one word."""
    if said[0] in ("eine", "einen", "einer", "einem"):
        said = ("ein", *said[1:])
    joined = " ".join(said)
    for wrong, right in _UMLAUTS.items():
        joined = joined.replace(wrong, right)
    return _text2num(tuple(joined.split()), "de")


def _text2num(said: tuple[str, ...], language: str) -> int | None:
    # text2num reads "null drei" as 3; in a row of digits the nought counts.
    nought = len(said) > 1 and said[0] in ("zero", "null", "nought")
    if nought or said[0] in ("and", "und") or said[-1] in ("and", "und"):
        return None
    try:
        return int(text2num(" ".join(said), language))
    except ValueError:
        return None


@lru_cache(maxsize=4096)
def ordinal_of(said: tuple[str, ...], language: str) -> int | None:
    """An ordinal in words or figures: "twenty first", "3rd", "dritten"."""
    text = " ".join(said)
    match = _ORDINAL.fullmatch(text) or _ORDINAL.fullmatch(alpha2digit(text, language, 0.0))
    return int(match[1]) if match else None


def compose(
    said: Sequence[str], small: Mapping[str, Decimal], scales: Mapping[str, int], joining: Mapping[str, Decimal]
) -> int | None:
    """Numbers under a hundred and scales, in falling order: "do lakh pachas hazaar", "two lakh fifty thousand".

    `joining`: words of `small` that make tens and units together ("twenty one").
    """
    total, part, smallest = Decimal(0), Decimal(-1), 10**12
    for index, word in enumerate(said):
        if word == "and" and 0 < index < len(said) - 1:
            continue
        if word in small:
            value = small[word]
            tens_and_unit = (
                word in joining
                and said[index - 1] in joining
                and 20 <= part % 100 <= 90
                and part % 10 == 0
                and 0 < value < 10
            )
            if part >= 0 and not tens_and_unit and not (part >= 100 and part % 100 == 0):
                return None
            part = max(part, Decimal(0)) + value
        elif scales.get(word) == 100:
            if part >= 100:
                return None
            part = (Decimal(1) if part < 0 else part) * 100
        elif word in scales and scales[word] < smallest:
            smallest = scales[word]
            total, part = total + (Decimal(1) if part < 0 else part) * smallest, Decimal(-1)
        else:
            return None
    whole = total + max(part, Decimal(0))
    return int(whole) if said and whole == whole.to_integral_value() else None


def figures(text: str, language: Language) -> Decimal | None:
    """ "1,250.50" as the locale writes it; a mark that can only be the other one's is taken as what it must be."""
    point, group = language.decimal_mark, language.group_mark
    if re.fullmatch(
        rf"\d{{1,3}}(?:{re.escape(group)}\d{{2,3}})*{re.escape(group)}\d{{3}}(?:{re.escape(point)}\d+)?", text
    ):
        return Decimal(text.replace(group, "").replace(point, "."))
    if re.fullmatch(rf"\d+(?:{re.escape(point)}\d+)?", text):
        return Decimal(text.replace(point, "."))
    if re.fullmatch(rf"\d+{re.escape(group)}\d{{1,2}}", text):
        return Decimal(text.replace(group, "."))
    return None


def number_at(tokens: Sequence[Token], at: int, language: Language) -> Number | None:
    """The longest cardinal that begins at token `at`."""
    if at >= len(tokens):
        return None
    if tokens[at].numeral:
        value = figures(tokens[at].text, language)
        if value is None:
            return None
        if at + 1 < len(tokens) and tokens[at + 1].text in language.scales:
            return Number(value * language.scales[tokens[at + 1].text], at, at + 2, True)
        return Number(value, at, at + 1, True)
    for end in range(min(len(tokens), at + LONGEST_NUMBER), at, -1):
        if any(token.numeral or token.parted for token in tokens[at + 1 : end]):
            continue
        found = language.cardinal(texts(tokens[at:end]))
        if found is not None:
            weak = end == at + 1 and tokens[at].text in language.weak_numbers
            return Number(Decimal(found), at, end, False, weak)
    return None


def ordinal_at(tokens: Sequence[Token], at: int, language: Language) -> Number | None:
    """The longest ordinal that begins at token `at`."""
    for end in (at + 2, at + 1):
        if end <= len(tokens):
            found = language.ordinal(texts(tokens[at:end]))
            if found is not None:
                return Number(Decimal(found), at, end)
    return None
