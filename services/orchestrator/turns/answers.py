"""Does what the caller said answer what was asked? From the text alone, per language.

Only for deciding how long to wait: what the answer means is understood elsewhere, from the same words.
"""

import re
from dataclasses import dataclass
from typing import Literal

from services.orchestrator.turns.expectation import Expectation
from services.orchestrator.turns.lexicon.words import Lexicon, words_of

# "whole": nothing can follow that belongs to it; "answered": it may be all; "part": more must come; "none": no answer.
Extent = Literal["whole", "answered", "part", "none"]

_YEAR_DIGITS = 4
_MONEY = re.compile(r"[$€£¥]\s?\d|\d\s?[$€£¥%]")
_NUMERIC_DATE = re.compile(r"\b\d{1,4}[./-]\d{1,2}[./-]\d{2,4}\b")
_DAY = re.compile(r"^\d{1,2}(st|nd|rd|th)?$")


@dataclass(frozen=True, slots=True)
class Spoken:
    """The digits a text spells out in all, and in the unbroken run it ends with."""

    digits: int
    ends_with: int


def spoken_digits(text: str, lexicon: Lexicon) -> Spoken:
    """Count digits: "double four", "forty-seven" and "47" are two each, "eight hundred" is three."""
    total, run, repeat, tens = 0, 0, 1, False
    for token in words_of(text):
        number = lexicon.numbers.get(token)
        if token in lexicon.repeats:
            repeat = lexicon.repeats[token]
            continue
        if token.isdigit():
            found = len(token)
        elif token in lexicon.magnitudes and run:
            found = lexicon.magnitudes[token]
        elif number is not None:
            # "forty seven" is 47: the unit takes the place of the zero.
            found = 0 if tens and len(number) == 1 and number != "0" else len(number) * repeat
        else:
            run, repeat, tens = 0, 1, False
            continue
        tens = number is not None and len(number) == 2 and number.endswith("0") and number != "10"
        total, run, repeat = total + found, run + found, 1
    return Spoken(total, run)


def spelled_letters(text: str) -> int:
    """Letters and digits said one by one: "J-O-N", "S M I T H"."""
    return sum(1 for token in words_of(text) if len(token) == 1)


def extent(text: str, expected: Expectation, lexicon: Lexicon) -> Extent:
    """How much of the expected answer `text` holds."""
    match expected.kind:
        case "digits":
            return _counted(spoken_digits(text, lexicon).digits, expected.length)
        case "spelling":
            return _counted(spelled_letters(text), expected.length)
        case "yes_no":
            return _yes_no(text, lexicon)
        case "choice":
            return _choice(text, expected)
        case "date":
            return _date(text, lexicon)
        case "amount":
            return _amount(text, lexicon)
        case "open" | "story":
            return "none"


def _counted(count: int, wanted: int) -> Extent:
    if count == 0:
        return "none"
    if wanted == 0:
        # Nobody knows how long it is: every group may be the last.
        return "answered"
    return "whole" if count >= wanted else "part"


def _yes_no(text: str, lexicon: Lexicon) -> Extent:
    words = words_of(text)
    decisive = [word for word in words if word in lexicon.yes or word in lexicon.no]
    if not decisive:
        return "none"
    rest = [word for word in words if word not in lexicon.yes and word not in lexicon.no and word not in lexicon.polite]
    return "answered" if rest else "whole"


def _choice(text: str, expected: Expectation) -> Extent:
    said = " ".join(words_of(text))
    if not said:
        return "none"
    named = [option for option in expected.options if option and option in said]
    return "whole" if named and len(said.split()) <= len(named[0].split()) + 2 else "answered"


def _date(text: str, lexicon: Lexicon) -> Extent:
    if _NUMERIC_DATE.search(text):
        return "whole"
    words = words_of(text)
    month = any(word in lexicon.months for word in words)
    day = any(word in lexicon.ordinals or _DAY.match(word) or len(lexicon.numbers.get(word, "")) > 0 for word in words)
    year = any(word.isdigit() and len(word) == _YEAR_DIGITS for word in words) or (
        month and spoken_digits(text, lexicon).ends_with >= _YEAR_DIGITS
    )
    if month and day and year:
        return "whole"
    if month and not day:
        return "part"
    if month or any(word in lexicon.weekdays or word in lexicon.relative_days for word in words):
        return "answered"
    return "part" if day else "none"


def _amount(text: str, lexicon: Lexicon) -> Extent:
    words = words_of(text)
    if _MONEY.search(text) or (words and words[-1] in lexicon.currencies and spoken_digits(text, lexicon).digits):
        return "whole"
    return "answered" if spoken_digits(text, lexicon).digits else "none"
