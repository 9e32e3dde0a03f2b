"""Days: month and day in words or figures, weekdays, "three days ago", as ISO 8601.

A day without a year is the nearest one; the same day of the other year is its rival. What has two meanings ("kal" in
Hindi) is not read.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import date, timedelta

from services.orchestrator.dialogue.locales.language import Language
from services.orchestrator.dialogue.locales.numbers import number_at, ordinal_at
from services.orchestrator.dialogue.locales.settle import SURE, Asked, Found
from services.orchestrator.dialogue.locales.tokens import Token, starts

NO_YEAR = 0.93
SHORT_YEAR = 0.9
WEEKDAY = 0.7
ONLY_DAY = 0.65
MOST_UNITS = 1000


def read_date(tokens: Sequence[Token], asked: Asked) -> list[Found]:
    """All days that are named, in order."""
    found: list[Found] = []
    at = 0
    while at < len(tokens):
        one = next(_at(tokens, at, asked), None)
        if one is None:
            at += 1
        else:
            found.append(_with_weekday(tokens, one, asked.language))
            at = one.end
    return found


def _with_weekday(tokens: Sequence[Token], one: Found, language: Language) -> Found:
    """A weekday before the day ("Tuesday the 24th of November") belongs to it, and settles the year."""
    at = one.start - 1
    while at > 0 and tokens[at].text in language.day_marks:
        at -= 1
    if at < 0 or tokens[at].text not in language.weekdays:
        return one
    weekday = language.weekdays[tokens[at].text]
    days = [str(day) for day in (one.data, *one.others)]
    fitting = [day for day in days if date.fromisoformat(day).weekday() == weekday]
    if not fitting:
        return replace(one, start=at, sure=min(one.sure, WEEKDAY))
    return replace(one, data=fitting[0], start=at, others=tuple(day for day in days if day != fitting[0]))


def _at(tokens: Sequence[Token], at: int, asked: Asked) -> Iterator[Found]:
    yield from _figures(tokens, at, asked)
    yield from _month(tokens, at, asked)
    yield from _relative(tokens, at, asked)
    yield from _weekday(tokens, at, asked)
    yield from _only_day(tokens, at, asked)


def _figures(tokens: Sequence[Token], at: int, asked: Asked) -> Iterator[Found]:
    """ "2026-05-03", "03/05/2026", "3.5.": the day first, but in ISO form."""
    if not tokens[at].numeral:
        return
    for mark in "-/.":
        parts = tokens[at].text.split(mark)
        if not all(part.isdigit() for part in parts):
            continue
        if len(parts) == 3:
            year, month, day = parts if len(parts[0]) == 4 else parts[::-1]
            if made := _date(_century(int(year), asked.today), int(month), int(day)):
                yield Found(made, at, at + 1)
        elif len(parts) == 2 and (mark == "/" or (mark == "." and asked.language.decimal_mark == ",")):
            after = number_at(tokens, at + 1, asked.language)
            if after is None or not 1900 <= after.value <= 2100:
                yield from _without_year(int(parts[1]), int(parts[0]), at, at + 1, asked)
            elif made := _date(int(after.value), int(parts[1]), int(parts[0])):
                yield Found(made, at, after.end)


def _month(tokens: Sequence[Token], at: int, asked: Asked) -> Iterator[Found]:
    language = asked.language
    first = tokens[at].text
    if first in language.months:
        after = at + 1
        while after < len(tokens) and tokens[after].text in language.month_joins:
            after += 1
        day = _day(tokens, after, language)
        if day is not None:
            yield from _dated(language.months[first], day[0], at, day[1], tokens, asked)
        return
    day = _day(tokens, at, language)
    if day is None:
        return
    after = day[1]
    while after < len(tokens) and tokens[after].text in language.month_joins:
        after += 1
    if after < len(tokens) and tokens[after].text in language.months:
        yield from _dated(language.months[tokens[after].text], day[0], at, after + 1, tokens, asked)
    elif after < len(tokens) and not tokens[at].numeral and (after > day[1] or language.decimal_mark == ","):
        # Months are numbered too: "am dritten fünften", "the third of the fifth".
        ordinal, month = ordinal_at(tokens, at, language), ordinal_at(tokens, after, language)
        if ordinal is not None and month is not None and 1 <= month.value <= 12:
            yield from _dated(int(month.value), day[0], at, month.end, tokens, asked)


def _day(tokens: Sequence[Token], at: int, language: Language) -> tuple[int, int] | None:
    """Day of the month at `at`, and where it ends."""
    found = ordinal_at(tokens, at, language) or number_at(tokens, at, language)
    if found is None or found.value != int(found.value) or not 1 <= found.value <= 31:
        return None
    return int(found.value), found.end


def _dated(month: int, day: int, start: int, end: int, tokens: Sequence[Token], asked: Asked) -> Iterator[Found]:
    year, after, sure = _year(tokens, end, asked)
    if year is None:
        yield from _without_year(month, day, start, end, asked)
    elif made := _date(year, month, day):
        yield Found(made, start, after, sure)


def _year(tokens: Sequence[Token], at: int, asked: Asked) -> tuple[int | None, int, float]:
    """ "2026", "twenty twenty six", "nineteen eighty four", "sechsundzwanzig"."""
    language = asked.language
    first = number_at(tokens, at, language)
    if first is None:
        return None, at, 0.0
    if 1900 <= first.value <= 2100:
        return int(first.value), first.end, SURE
    zero = first.end < len(tokens) and _is_zero(tokens[first.end], language)
    second = number_at(tokens, first.end + zero, language)
    if first.value in (19, 20) and second is not None and (second.value < 10 if zero else 10 <= second.value < 100):
        return int(first.value * 100 + second.value), second.end, SURE
    if 10 <= first.value < 100 and first.value == int(first.value):
        return _century(int(first.value), asked.today), first.end, SHORT_YEAR
    return None, at, 0.0


def _is_zero(token: Token, language: Language) -> bool:
    return language.digits.get(token.text) == "0" or language.near_digits.get(token.text) == "0"


def _without_year(month: int, day: int, start: int, end: int, asked: Asked) -> Iterator[Found]:
    years = (asked.today.year + shift for shift in (-1, 0, 1))
    made = [one for one in (_date(year, month, day) for year in years) if one]
    if not made and _date(2024, month, day):
        # The 29th of February: of the leap years around.
        made = [one for one in (_date(asked.today.year + shift, month, day) for shift in range(-4, 5)) if one]
    near = sorted(made, key=lambda one: abs((date.fromisoformat(one) - asked.today).days))
    if near:
        yield Found(near[0], start, end, NO_YEAR, tuple(near[1:2]))


def _relative(tokens: Sequence[Token], at: int, asked: Asked) -> Iterator[Found]:
    language, today = asked.language, asked.today
    days = sorted(language.days, key=len, reverse=True)
    size = starts(tokens, at, days)
    if size:
        greeting = at and tokens[at - 1].text in ("guten", "good")
        shift = language.days[tuple(token.text for token in tokens[at : at + size])]
        if not greeting:
            yield Found((today + timedelta(days=shift)).isoformat(), at, at + size)
        return
    before = tokens[at].text in language.ago_before or tokens[at].text in language.ahead_before
    number = number_at(tokens, at + before, language)
    start = at + before
    count, after = (int(number.value), number.end) if number is not None else (0, start)
    if number is None and start < len(tokens) and tokens[start].text in ("a", "einer", "einem"):
        count, after = 1, start + 1
    if not 0 < count < MOST_UNITS or after >= len(tokens) or tokens[after].text not in language.units:
        return
    span = timedelta(days=count * language.units[tokens[after].text])
    if after + 1 < len(tokens) and tokens[after + 1].text in language.ago_after:
        yield Found((today - span).isoformat(), at, after + 2)
    elif before and tokens[at].text in language.ago_before:
        yield Found((today - span).isoformat(), at, after + 1)
    elif before:
        yield Found((today + span).isoformat(), at, after + 1)


def _weekday(tokens: Sequence[Token], at: int, asked: Asked) -> Iterator[Found]:
    language, today = asked.language, asked.today
    word = tokens[at].text
    named = word in (language.last | language.next | language.this)
    place = at + named
    if place >= len(tokens) or tokens[place].text not in language.weekdays:
        return
    weekday = language.weekdays[tokens[place].text]
    back = (today.weekday() - weekday - 1) % 7 + 1
    ahead = (weekday - today.weekday() - 1) % 7 + 1
    past, future = today - timedelta(days=back), today + timedelta(days=ahead)
    end = place + 1
    if (
        end + 1 < len(tokens)
        and tokens[end + 1].text in language.units
        and tokens[end].text in language.last | language.next
    ):
        # "Tuesday last week".
        monday = today - timedelta(days=today.weekday())
        weeks = -1 if tokens[end].text in language.last else 1
        yield Found((monday + timedelta(days=7 * weeks + weekday)).isoformat(), at, end + 2)
    elif named and word in language.last:
        yield Found(past.isoformat(), at, end)
    elif named and word in language.next:
        # Some say "next" of the one after the coming one.
        yield Found(future.isoformat(), at, end, NO_YEAR, ((future + timedelta(days=7)).isoformat(),))
    elif not _more_follows(tokens, end, language):
        yield Found(future.isoformat(), at, end, WEEKDAY, (past.isoformat(),))


def _more_follows(tokens: Sequence[Token], at: int, language: Language) -> bool:
    """A weekday before the day itself ("Tuesday the third of May") says nothing new."""
    while at < len(tokens) and tokens[at].text in language.day_marks:
        at += 1
    return at < len(tokens) and (_day(tokens, at, language) is not None or tokens[at].text in language.months)


def _only_day(tokens: Sequence[Token], at: int, asked: Asked) -> Iterator[Found]:
    """ "the third", "am dritten": of the nearest month that has it."""
    ordinal = ordinal_at(tokens, at, asked.language)
    following = {token.text for token in tokens[ordinal.end : ordinal.end + 2]} if ordinal else set()
    if following & (asked.language.months.keys() | asked.language.which_nouns - asked.language.month_joins):
        return
    if ordinal is None or not at or tokens[at - 1].text not in asked.language.day_marks or not 1 <= ordinal.value <= 31:
        return
    months = [(asked.today.year * 12 + asked.today.month - 1 + shift) for shift in (-1, 0, 1)]
    made = [one for one in (_date(month // 12, month % 12 + 1, int(ordinal.value)) for month in months) if one]
    near = sorted(made, key=lambda one: abs((date.fromisoformat(one) - asked.today).days))
    if near:
        yield Found(near[0], at - 1, ordinal.end, ONLY_DAY, tuple(near[1:2]))


def _century(year: int, today: date) -> int:
    """Two figures are of this century until ten years ahead."""
    if year >= 100:
        return year
    return year + 2000 if year <= today.year % 100 + 10 else year + 1900


def _date(year: int, month: int, day: int) -> str:
    try:
        return date(year, month, day).isoformat()
    except ValueError:
        return ""
