"""What pressed keys mean for each type of slot: an evidence of its own, without misheard words."""

import re
from datetime import date

import phonenumbers

from services.orchestrator.dialogue.locales.settle import Asked
from services.orchestrator.dialogue.model import SlotData

KEYED = 1.0
# A date without its year, an amount without its pence.
SHORT = 0.9
_DATE = re.compile(r"(\d\d)(\d\d)(\d{4}|\d\d)?")


def keyed_value(keys: str, asked: Asked) -> tuple[SlotData, float] | None:
    """The value and how sure; None where the keys are none of the type. Letters have no keys here."""
    kind, length = asked.slot.type, asked.slot.length
    stars, digits = keys.strip("#").strip("*"), "".join(char for char in keys if char.isdigit())
    if not digits:
        return None
    if kind == "digits":
        return (digits, KEYED) if not length or len(digits) == length else None
    if kind == "yes_no":
        return {"1": (True, KEYED), "2": (False, KEYED)}.get(digits)
    if kind == "enum":
        names = tuple(asked.slot.values)
        return (names[int(digits) - 1], KEYED) if 0 < int(digits) <= len(names) else None
    if kind == "money":
        whole, _, part = stars.partition("*")
        minor = (
            int(whole or 0) * 100 + int(part.ljust(2, "0") or 0)
            if len(part) <= 2 and (whole + part).isdigit()
            else None
        )
        return None if minor is None else ({"minor": minor, "currency": asked.currency}, KEYED if part else SHORT)
    if kind == "date":
        return _date(digits, asked)
    if kind == "postcode":
        size = {"DE": 5, "IN": 6}.get(asked.language.region)
        return (digits, KEYED) if len(digits) == size else None
    if kind == "phone":
        return _phone(digits, asked)
    last4 = (
        next((name for name in asked.slot.resolve.match if name.endswith("last4")), "") if asked.slot.resolve else ""
    )
    return ({last4: digits}, KEYED) if kind == "ref" and last4 and len(digits) == 4 else None


def _date(digits: str, asked: Asked) -> tuple[SlotData, float] | None:
    match = _DATE.fullmatch(digits)
    if match is None:
        return None
    year = int(match[3]) if match[3] else asked.today.year
    if match[3] and len(match[3]) == 2:
        year += 2000 if year <= asked.today.year % 100 + 10 else 1900
    try:
        return date(year, int(match[2]), int(match[1])).isoformat(), KEYED if match[3] else SHORT
    except ValueError:
        return None


def _phone(digits: str, asked: Asked) -> tuple[SlotData, float] | None:
    try:
        number = phonenumbers.parse(digits, asked.language.region)
    except phonenumbers.NumberParseException:
        return None
    if not phonenumbers.is_valid_number(number):
        return None
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164), KEYED
