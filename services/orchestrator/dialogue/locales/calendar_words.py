"""Names of months and weekdays from CLDR, as a recogniser writes them."""

from babel import Locale


def months_of(locale: str) -> dict[str, int]:
    """Name or abbreviation → 1 to 12."""
    return _names(locale, "months", ("wide", "abbreviated"))


def weekdays_of(locale: str) -> dict[str, int]:
    """Name → 0 (Monday) to 6. Abbreviations are words of their own ("so", "do", "sun") and left out."""
    return _names(locale, "days", ("wide",))


def _names(locale: str, kind: str, widths: tuple[str, ...]) -> dict[str, int]:
    contexts = getattr(Locale.parse(locale), kind)
    found: dict[str, int] = {}
    for context in ("format", "stand-alone"):
        for width in widths:
            for number, name in contexts[context].get(width, {}).items():
                found.setdefault(str(name).casefold().rstrip("."), int(number))
    return found
