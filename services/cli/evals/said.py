"""Reading sentences as a listener would: figures, spelled-out letters, names. Shares no code with what made them.

The claim guard of the runtime decides what may be said; this decides, by other means, what was. Number words are read
by text2num, everything else by looking for it.
"""

import itertools
import re
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal, InvalidOperation

from text_to_num import alpha2digit

# 1,250.50 and 1.250,50; a time; digits; letters and digits of a reference.
_FIGURE = re.compile(r"\d+(?:[.,:]\d+)*")
# Three single letters or digits in a row, or digits in pairs.
_SPELLED = re.compile(r"(?<![^\W_])(?:(?:\d\d|[^\W_])[ ,.\-]+){2,}(?:\d\d|[^\W_])(?![^\W_])")
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


def squeezed(text: str) -> str:
    """Letters and digits only, case folded: `L S 1 4 A P` is `ls14ap`."""
    return "".join(char for char in text.casefold() if char.isalnum())


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


def names(text: str, words: Iterable[str]) -> bool:
    """Whether the text says one of `words`: as words, as a figure of the same value, or spelled out."""
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
        self._numbers: set[Decimal] = set()
        self._tight: list[str] = []

    def add_value(self, value: str) -> None:
        """A value of the books: minor units are also their amount; a date is its day, month and year."""
        self._tight.append(squeezed(value))
        for token in _FIGURE.findall(value):
            for part in (token, *re.split(r"[.,:]", token)):
                if (found := number(part)) is not None:
                    self._numbers.add(found)
        if value.lstrip("-").isdigit():
            self._numbers.add((Decimal(value) / 100).normalize())
            self._numbers.add(Decimal(int(value) // 100).normalize())

    def add_words(self, text: str) -> None:
        """Words that were said to the agent, or stand in its own sentences without any place."""
        for one in (text, digits_of_words(text, self._locale)):
            self.add_value(one)
            # "12 pounds 50" is one amount.
            figures = [int(token) for token in _FIGURE.findall(one) if token.isdigit() and len(token) < 8]
            self._numbers |= {(a + Decimal(b) / 100).normalize() for a, b in itertools.pairwise(figures) if b < 100}
            for run in _SPELLED.findall(one):
                self._tight.append(squeezed(run))

    def strange(self, text: str) -> list[str]:
        """Figures and spelled-out strings of a sentence that are grounded in nothing."""
        found: list[str] = []
        rest = text
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
        return len(tight) >= least and any(tight in known for known in self._tight)


def claims(text: str, phrases: Iterable[str]) -> bool:
    """Whether the text says one of these."""
    folded = " ".join(text.casefold().split())
    return any(phrase.casefold() in folded for phrase in phrases)


def months(locale: str) -> Sequence[str]:
    """Names of months, January first."""
    return _MONTHS.get(locale[:2], _MONTHS["en"])
