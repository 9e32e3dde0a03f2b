"""Values as words that a voice speaks well: the filters of templates, per language.

German days stand in the dative, for "am", "vom" and "zum" before them. A time is said as it stands in the value:
whoever fetched it settles the time zone.
"""

from collections.abc import Mapping
from datetime import date, datetime, time
from typing import Literal

from babel import Locale
from babel.numbers import get_currency_name, get_currency_precision

from services.orchestrator.control.model import Scalar
from services.orchestrator.dialogue.locales.spoken_numbers import cardinal, english_year, german, ordinal

# Unit (one, many), hundredth part (one, many), as spoken.
_Coins = tuple[str, str, str, str]
_COINS: Mapping[str, Mapping[str, _Coins]] = {
    "en": {
        "GBP": ("pound", "pounds", "penny", "pence"),
        "EUR": ("euro", "euros", "cent", "cents"),
        "USD": ("dollar", "dollars", "cent", "cents"),
        "INR": ("rupee", "rupees", "paisa", "paise"),
    },
    "de": {
        "EUR": ("Euro", "Euro", "Cent", "Cent"),
        "USD": ("Dollar", "Dollar", "Cent", "Cent"),
        "GBP": ("Pfund", "Pfund", "Pence", "Pence"),
        "CHF": ("Franken", "Franken", "Rappen", "Rappen"),
    },
    "hi": {"INR": ("रुपया", "रुपये", "पैसा", "पैसे")},
}
_AND = {"en": " and ", "de": " und ", "hi": " "}
_MINUS = {"en": "minus ", "de": "minus ", "hi": "ऋण "}
_POINT = {"en": "point", "de": "Komma", "hi": "दशमलव"}
_MARKS: Mapping[str, Mapping[str, str]] = {
    "en": {"-": "hyphen", ".": "dot", "_": "underscore", "/": "slash"},
    "de": {"-": "Bindestrich", ".": "Punkt", "_": "Unterstrich", "/": "Schrägstrich"},
    "hi": {"-": "hyphen", ".": "dot", "_": "underscore", "/": "slash"},
}
# Rows of digits get a short pause after so many, because people take them in so.
GROUP = 4


class UnsayableError(ValueError):
    """A value that its filter cannot say. Names the filter and what it takes, never the value."""

    def __init__(self, filter_: str, expected: str) -> None:
        super().__init__(f"the filter {filter_!r} takes {expected}: give it such a field, or another filter")


def say(value: Scalar, filter_: str, language: str, currency: str, digits: Literal["single", "pairs"]) -> str:
    """`value` in words. Raises UnsayableError where it is not of the filter's kind."""
    if filter_ == "":
        return str(value)
    if filter_ == "money":
        return money(_whole(value, filter_, "an amount in minor units"), currency, language)
    if filter_ == "number":
        return number(value, language)
    if filter_ in ("date", "time"):
        return _moment(value, filter_, language)
    text = str(value)
    if filter_ == "last4":
        return row("".join(char for char in text if char.isdigit())[-4:], language, digits)
    if filter_ == "digits":
        return row("".join(char for char in text if char.isdigit()), language, digits)
    if filter_ == "spell":
        return spell(text, language)
    raise UnsayableError(filter_, "nothing, because there is no such filter")


def money(minor: int, currency: str, language: str) -> str:
    """ "fifty pounds and twenty pence", "fünfzig Euro zwanzig"."""
    if minor < 0:
        return _MINUS[language] + money(-minor, currency, language)
    coins = _COINS[language].get(currency)
    scale = 10 ** get_currency_precision(currency)
    whole, part = divmod(minor, scale)
    if coins is None:
        name = get_currency_name(currency, count=whole, locale=Locale(language))
        return f"{cardinal(whole, language)} {name}" + (f" {cardinal(part, language)}" if part else "")
    said_part = f"{_counted(part, language)} {coins[2] if part == 1 else coins[3]}"
    if not whole and part:
        return said_part
    said_whole = f"{_counted(whole, language)} {coins[0] if whole == 1 else coins[1]}"
    if not part:
        return said_whole
    if language == "de" and part >= 10:
        return f"{said_whole} {german(part)}"
    return said_whole + _AND[language] + said_part


def number(value: Scalar, language: str) -> str:
    """Whole or decimal; digits behind the point one by one."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise UnsayableError("number", "a number")
    try:
        whole, _, part = (f"{value:f}".rstrip("0").rstrip(".") if isinstance(value, float) else str(value)).partition(
            "."
        )
        said = cardinal(abs(int(whole)), language)
        behind = "".join(f" {cardinal(int(digit), language)}" for digit in part)
    except ValueError as wrong:
        raise UnsayableError("number", "a number") from wrong
    sign = _MINUS[language] if whole.startswith("-") else ""
    return sign + said + (f" {_POINT[language]}{behind}" if behind else "")


def row(digits: str, language: str, how: Literal["single", "pairs"]) -> str:
    """Digits singly ("four seven one one") or in pairs ("siebenundvierzig elf"), a pause after each four."""
    if how == "single":
        parts = [cardinal(int(digit), language) for digit in digits]
        size = GROUP
    else:
        head = len(digits) % 2
        pairs = ([digits[0]] if head else []) + [digits[at : at + 2] for at in range(head, len(digits), 2)]
        parts = [_pair(pair, language) for pair in pairs]
        size = GROUP // 2
    groups = [" ".join(parts[at : at + size]) for at in range(0, len(parts), size)]
    return ", ".join(groups)


def spell(text: str, language: str) -> str:
    """Letters and digits one by one, with a pause after each."""
    said = []
    for char in text:
        if char.isdigit():
            said.append(cardinal(int(char), language))
        elif char.isalpha():
            said.append(char if char == "ß" else char.upper())
        elif char in _MARKS[language]:
            said.append(_MARKS[language][char])
    return ", ".join(said)


def _pair(pair: str, language: str) -> str:
    if len(pair) == 2 and pair[0] != "0":
        return cardinal(int(pair), language)
    return " ".join(cardinal(int(digit), language) for digit in pair)


def _counted(count: int, language: str) -> str:
    # "Einhundertein Euro", not "einhunderteins Euro".
    return german(count, last=False) if language == "de" else cardinal(count, language)


def _moment(value: Scalar, filter_: str, language: str) -> str:
    try:
        if filter_ == "date":
            return _day(date.fromisoformat(str(value)[:10]), language)
        text = str(value)
        clock = datetime.fromisoformat(text).time() if "T" in text or " " in text else time.fromisoformat(text)
        return _clock(clock, language)
    except ValueError:
        raise UnsayableError(filter_, "an ISO 8601 date or time") from None


def _day(day: date, language: str) -> str:
    month = Locale(language).months["stand-alone"]["wide"][day.month]
    if language == "en":
        return f"the {ordinal(day.day, language)} of {month} {english_year(day.year)}"
    return f"{ordinal(day.day, language)} {month} {_year(day.year, language)}"


def _year(year: int, language: str) -> str:
    century, rest = divmod(year, 100)
    if language == "de" and 1100 <= year < 2000:
        return f"{german(century)}hundert{german(rest) if rest else ''}"
    said = cardinal(year, language)
    return said.removeprefix("ein") if language == "de" and said.startswith("eintausend") else said


def _clock(clock: time, language: str) -> str:
    if language == "de":
        return f"{german(clock.hour, last=False)} Uhr" + (f" {german(clock.minute)}" if clock.minute else "")
    if language == "hi":
        hour = cardinal(clock.hour % 12 or 12, "hi")
        return f"{hour} बजकर {cardinal(clock.minute, 'hi')} मिनट" if clock.minute else f"{hour} बजे"
    if (clock.hour, clock.minute) in ((0, 0), (12, 0)):
        return "midnight" if clock.hour == 0 else "noon"
    hour = cardinal(clock.hour % 12 or 12, "en")
    minute = "" if not clock.minute else f" {'oh ' if clock.minute < 10 else ''}{cardinal(clock.minute, 'en')}"
    part = "in the morning" if clock.hour < 12 else "in the afternoon" if clock.hour < 18 else "in the evening"
    return f"{hour}{minute} {part}" if minute else f"{hour} o'clock {part}"


def _whole(value: Scalar, filter_: str, expected: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise UnsayableError(filter_, expected)
    return value
