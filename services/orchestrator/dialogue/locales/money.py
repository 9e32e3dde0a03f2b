"""Amounts of money in words and figures, as minor units and a currency. What could be two amounts names both."""

from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal

from babel.numbers import get_currency_precision

from services.orchestrator.dialogue.locales.language import Language, Money
from services.orchestrator.dialogue.locales.numbers import Number, number_at
from services.orchestrator.dialogue.locales.settle import SURE, Asked, Found
from services.orchestrator.dialogue.locales.tokens import Token, starts

# A number without a unit; "twelve fifty", which may be 1250; a wrong decimal mark; "about fifty" is no amount yet.
BARE = 0.94
PAIR = 0.78
ODD_MARK = 0.8
ABOUT = 0.5
# A word is missing in it; a currency in words before its number ("Euro dreizehn"), where a number seems lost.
TORN = 0.6
MOST_MINOR = 10**13


def read_money(tokens: Sequence[Token], asked: Asked) -> list[Found]:
    """All amounts, in order."""
    found: list[Found] = []
    at = 0
    while at < len(tokens):
        one = _amount(tokens, at, asked)
        if one is None:
            at += 1
        else:
            found.append(_whole(tokens, one, asked.language))
            at = one.end
    # Beside an amount with a unit, a number that counts something ("two payments") is no amount.
    united = [one for one in found if _has_unit(tokens, one, asked)]
    return [one for one in found if one in united or not _counts(tokens, one, asked.language)] if united else found


def _whole(tokens: Sequence[Token], one: Found, language: Language) -> Found:
    """Less sure where a word of the amount seems lost: "one and ninety-six pounds", "eighty pounds and pence"."""
    before, behind = one.start - 1, one.end
    if before > 0 and tokens[before].text in language.joins:
        before -= 1
    dangling = before >= 0 and not tokens[before + 1].parted and not tokens[one.start].parted
    lost = dangling and tokens[before].text in language.digits and tokens[before].text in language.weak_numbers
    if behind + 1 < len(tokens) and tokens[behind].text in language.joins:
        lost = lost or tokens[behind + 1].text in language.money
    return replace(one, sure=min(one.sure, TORN)) if lost else one


def _counts(tokens: Sequence[Token], one: Found, language: Language) -> bool:
    if one.end >= len(tokens) or tokens[one.end].parted:
        return False
    following = tokens[one.end].text
    goes_on = language.alternatives | language.joins | language.negations
    number_follows = number_at(tokens, one.end, language) is not None
    return following not in goes_on and not number_follows and not starts(tokens, one.end, language.repairs)


def _has_unit(tokens: Sequence[Token], one: Found, asked: Asked) -> bool:
    return any(token.text in asked.language.money for token in tokens[one.start : one.end])


def _amount(tokens: Sequence[Token], start: int, asked: Asked) -> Found | None:
    language = asked.language
    sign = language.money.get(tokens[start].text)
    if sign is not None and sign.worth:
        return Found(_data(Decimal(sign.worth), sign.currency, asked), start, start + 1)
    lead = 1 if sign is not None and not sign.minor else 0
    number = number_at(tokens, start + lead, language)
    if number is None or (lead == 0 and start and _is_ordinal_part(tokens, start, language)):
        return None
    value, at, odd = _with_fraction(tokens, number, language)
    unit = language.money.get(tokens[at].text) if at < len(tokens) else None
    if unit is not None and lead == 0:
        return _with_unit(tokens, start, at + 1, value, unit, asked, odd)
    if lead and sign is not None:
        end = at + 1 if unit is not None and unit.currency == sign.currency else at
        written = not tokens[start].raw.isalpha() or tokens[start].raw.isupper()
        sure = _sure(tokens, start, SURE if written else ODD_MARK, language)
        return Found(_data(value, sign.currency, asked), start, end, sure)
    return _bare(tokens, start, at, value, number, asked, odd)


def _with_unit(
    tokens: Sequence[Token], start: int, at: int, value: Decimal, unit: Money, asked: Asked, odd: bool
) -> Found:
    language = asked.language
    sure = _sure(tokens, start, ODD_MARK if odd else SURE, language)
    if unit.minor:
        return Found(_data(value / 100, "", asked), start, at, sure)
    after = at
    joined = after < len(tokens) and tokens[after].text in language.joins
    part = number_at(tokens, after + joined, language)
    if part is not None and part.value == int(part.value) and 0 < part.value < 100 and value == int(value):
        closing = language.money.get(tokens[part.end].text) if part.end < len(tokens) else None
        if (closing is not None and closing.minor) or (closing is None and not joined and not part.weak):
            end = part.end + (closing is not None)
            return Found(_data(value + part.value / 100, unit.currency, asked), start, end, sure)
    half = starts(tokens, after, language.half)
    if half:
        return Found(_data(value + Decimal("0.5"), unit.currency, asked), start, after + half, sure)
    return Found(_data(value, unit.currency, asked), start, at, sure)


def _bare(
    tokens: Sequence[Token], start: int, at: int, value: Decimal, number: Number, asked: Asked, odd: bool
) -> Found | None:
    language = asked.language
    if number.weak and len(tokens) > 1:
        return None
    pair, end = _pair(tokens, at, language)
    unit_follows = end < len(tokens) and tokens[end].text in language.money
    if pair is not None and not unit_follows and value == int(value) and 0 < value < 1000:
        whole = value * 100 + pair
        return Found(_data(value + pair / 100, "", asked), start, end, _sure(tokens, start, PAIR, language),
                     (_data(whole, "", asked),))  # fmt: skip
    others: tuple[dict[str, str | int], ...] = ()
    sure = ODD_MARK if odd else BARE
    said = tokens[start].text
    if number.figures and said.isdigit() and 3 <= len(said) <= 4 and int(said) % 100:
        # Recognisers write "twelve fifty" as 1250 too.
        others, sure = (_data(value / 100, "", asked),), PAIR
    if number.figures and len(said) > 6 and said.isdigit():
        return None
    return Found(_data(value, "", asked), start, at, _sure(tokens, start, sure, language), others)


def _with_fraction(tokens: Sequence[Token], number: Number, language: Language) -> tuple[Decimal, int, bool]:
    """ "twelve point five oh", "twelve and a half": the value, where it ends, whether its decimal mark is odd."""
    said = tokens[number.start].text
    odd = number.figures and number.end == number.start + 1 and language.group_mark in said and number.value % 1 != 0
    at = number.end
    if at < len(tokens) and tokens[at].text in language.point:
        fraction, end = _fraction(tokens, at + 1, language)
        if fraction:
            return number.value + Decimal(f"0.{fraction}"), end, False
    half = starts(tokens, at, language.half)
    if half:
        scale = language.scales.get(tokens[at + half].text) if at + half < len(tokens) else None
        return (number.value + Decimal("0.5")) * (scale or 1), at + half + (scale is not None), False
    return number.value, at, odd


def _fraction(tokens: Sequence[Token], at: int, language: Language) -> tuple[str, int]:
    """Digits behind the point: one by one ("five oh"), or as one number ("fünfzig")."""
    number = number_at(tokens, at, language)
    if number is not None and 10 <= number.value < 100 and number.value == int(number.value):
        return str(number.value), number.end
    digits = ""
    while at < len(tokens) and len(digits) < 2:
        word = tokens[at].text
        digit = language.digits.get(word, "") or ("0" if language.near_digits.get(word) == "0" else "")
        digit = digit or (word if tokens[at].numeral and len(word) == 1 else "")
        if not digit:
            break
        digits, at = digits + digit, at + 1
    return digits, at


def _pair(tokens: Sequence[Token], at: int, language: Language) -> tuple[Decimal | None, int]:
    """The hundredths of "twelve fifty", "nineteen oh five"."""
    if at >= len(tokens) or tokens[at].parted:
        return None, at
    zero = tokens[at].text in language.near_digits and language.near_digits[tokens[at].text] == "0"
    zero = zero or language.digits.get(tokens[at].text) == "0"
    number = number_at(tokens, at + zero, language)
    if number is None or number.value != int(number.value):
        return None, at
    fits = 0 < number.value < 10 if zero else 10 <= number.value < 100
    return (number.value, number.end) if fits else (None, at)


def _is_ordinal_part(tokens: Sequence[Token], at: int, language: Language) -> bool:
    """The digits of "3rd" and the day of "3 May" are no amounts."""
    following = tokens[at + 1].text if at + 1 < len(tokens) else ""
    return language.months.get(following) is not None or tokens[at - 1].text in ("minus",)


def _sure(tokens: Sequence[Token], start: int, sure: float, language: Language) -> float:
    return ABOUT if start and tokens[start - 1].text in language.approximate else sure


def _data(value: Decimal, currency: str, asked: Asked) -> dict[str, str | int]:
    code = currency or asked.currency
    return {"minor": round(value * 10 ** get_currency_precision(code)), "currency": code}
