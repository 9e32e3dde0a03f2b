"""Reading sentences as a listener would: figures, spelled-out letters, names. Shares no code with what made them.

The claim guard of the runtime decides what may be said; this decides, by other means, what was. Number words are read
by text2num, everything else by looking for it.
"""

import itertools
import re
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal, InvalidOperation

from text_to_num import alpha2digit

from services.cli.evals.noise import FILLERS

# 1,250.50 and 1.250,50; a time; digits; letters and digits of a reference.
_FIGURE = re.compile(r"\d+(?:[.,:]\d+)*")
# Three single letters or digits in a row, or digits in pairs.
_SPELLED = re.compile(r"(?<![\w.])(?:(?:\d\d|[^\W_])(?:,? |-)){2,}(?:\d\d|[^\W_])(?![^\W_]|[.,]\d)")
# Pounds and pence, in figures already.
_AMOUNT = re.compile(
    r"(\d+) (?:pounds?|euros?|dollars?|rupees?) (?:and |und )?(\d{1,2})(?: (?:pence|penny|cents?|paise))?(?![\w.])",
    re.IGNORECASE,
)
YEAR = 4
_MONTHS: Mapping[str, Sequence[str]] = {
    "en": [
        "january",
        "february",
        "march",
        "april",
        "may",
        "june",
        "july",
        "august",
        "september",
        "october",
        "november",
        "december",
    ],
    "de": [
        "januar",
        "februar",
        "märz",
        "april",
        "mai",
        "juni",
        "juli",
        "august",
        "september",
        "oktober",
        "november",
        "dezember",
    ],
}


def digits_of_words(text: str, locale: str) -> str:
    """`twelve pounds fifty` as `12 pounds 50`. What text2num cannot read stays as it is."""
    try:
        read: str = alpha2digit(text, locale[:2])
    except (ValueError, NotImplementedError, KeyError):
        return text
    return read


def figured(text: str, locale: str) -> str:
    """A sentence as a listener writes it down: `ten pounds and fifty pence` is `10.50`, spelled digits are digits."""
    read = digits_of_words(text.replace("\u00a0", " "), locale)
    return _AMOUNT.sub(lambda found: f"{found[1]}.{int(found[2]):02}", read)


def squeezed(text: str) -> str:
    """Letters and digits only, case folded: `L S 1 4 A P` is `ls14ap`."""
    return "".join(char for char in text.casefold() if char.isalnum())


def sounding(tight: str) -> str:
    """The letter O and the digit nought are one sound, and one word: a postcode may be read back by either."""
    return tight.replace("o", "0")


def number(token: str) -> Decimal | None:
    """The value of a figure as written in either locale; None for a time and the like."""
    if ":" in token:
        return None
    plain = token
    cut = max(token.rfind("."), token.rfind(","))
    if cut >= 0:
        head, tail = token[:cut].replace(".", "").replace(",", ""), token[cut + 1 :]
        plain = f"{head}{tail}" if len(tail) == 3 else f"{head}.{tail}"
    try:
        return Decimal(plain).normalize()
    except InvalidOperation:
        return None


def names(text: str, words: Iterable[str], locale: str) -> bool:
    """Whether the text says one of `words`: as words, as a figure of the same value, or spelled out."""
    text = f"{figured(text, locale)} \n {text}"
    figures = {number(token) for token in _FIGURE.findall(text)}
    tight = squeezed(text)
    for word in words:
        if _FIGURE.fullmatch(word) and len(squeezed(word)) < 4:
            if number(word) in figures:
                return True
        elif squeezed(word) in tight or (_FIGURE.fullmatch(word) and number(word) in figures):
            return True
    return False


class Grounds:
    """Everything that a sentence of this call may name, and a judge of whether it named anything else."""

    def __init__(self, locale: str) -> None:
        self._locale = locale
        # Put between letters that are spelled, they are no part of what was spelled.
        self._fillers = frozenset(FILLERS.get(locale[:2], ()))
        self._numbers: set[Decimal] = set()
        self._tight: list[str] = []
        self._tokens: set[str] = set()

    def add_value(self, value: str) -> None:
        """A value of the books: minor units are also their amount; a date is its day, month and year."""
        self._tight.append(sounding(squeezed(value)))
        for token in _FIGURE.findall(value):
            self._tokens.add(token)
            for part in (token, *re.split(r"[.,:]", token)):
                if (found := number(part)) is not None:
                    self._numbers.add(found)
            if len(token) == YEAR and token.isdigit():
                # "twenty twenty-six".
                self._numbers |= {Decimal(int(token[:2])).normalize(), Decimal(int(token[2:])).normalize()}
        if value.lstrip("-").isdigit():
            self._numbers.add((Decimal(value) / 100).normalize())
            self._numbers.add(Decimal(int(value) // 100).normalize())

    def add_words(self, text: str) -> None:
        """Words that were said to the agent, or stand in its own sentences without any place."""
        text = " ".join(word for word in text.split() if word.casefold() not in self._fillers)
        for one in (text, digits_of_words(text, self._locale)):
            self.add_value(one)
            # "12 pounds 50" is one amount.
            figures = [int(token) for token in _FIGURE.findall(one) if token.isdigit() and len(token) < 8]
            self._numbers |= {(a + Decimal(b) / 100).normalize() for a, b in itertools.pairwise(figures) if b < 100}
            for run in _SPELLED.findall(one):
                self._tight.append(sounding(squeezed(run)))

    def strange(self, text: str) -> list[str]:
        """Figures and spelled-out strings of a sentence that are grounded in nothing."""
        found: list[str] = []
        rest = text = figured(text, self._locale)
        for run in sorted(_SPELLED.findall(text), key=len, reverse=True):
            tight = squeezed(run)
            if any(char.isdigit() for char in tight):
                rest = rest.replace(run, " ")
                if not self._spelled(tight):
                    found.append(run)
        for token in _FIGURE.findall(rest):
            value = number(token)
            known = value in self._numbers if value is not None else False
            if not known and not self._spelled(squeezed(token), least=3):
                found.append(token)
        return found

    def _spelled(self, tight: str, least: int = 1) -> bool:
        tight = sounding(tight)
        if len(tight) >= least and any(tight in known for known in self._tight):
            return True
        # Two that are said after each other: a house number and a postcode.
        cuts = range(1, len(tight)) if least == 1 and len(tight) > YEAR else ()
        return any(self._whole(tight[:cut]) and self._whole(tight[cut:]) for cut in cuts)

    def _whole(self, tight: str) -> bool:
        return tight in self._tokens or tight in self._tight


def claims(text: str, phrases: Iterable[str]) -> bool:
    """Whether the text says one of these."""
    folded = " ".join(text.casefold().split())
    return any(phrase.casefold() in folded for phrase in phrases)


def without_dates(text: str, locale: str) -> str:
    """A figured text without its days: "on the 20th of November 20 26"."""
    names_of = "|".join(months(locale))
    return re.sub(rf"(?:\d+(?:st|nd|rd|th|\.)?|\w+ten)(?: of)? (?:{names_of})(?: \d\d ?\d\d)?", " ", text, flags=re.I)


def months(locale: str) -> Sequence[str]:
    """Names of months, January first."""
    return _MONTHS.get(locale[:2], _MONTHS["en"])
