"""Numbers, spelled names and dates as people say them in groups, with `|` where they look for the rest."""

import random

_DIGITS = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]
_NAMES_TEXT = """
miller walker jackson peterson schneider fitzgerald kowalski nguyen hughes martinez oconnor delacroix lindqvist
papadopoulos blackwood whitaker rasmussen yamamoto castellanos thornton vandenberg abernathy gallagher hoffmann
"""
_NAMES = _NAMES_TEXT.split()
_DAYS_TEXT = """
first second third fourth fifth sixth seventh eighth ninth tenth eleventh twelfth thirteenth fourteenth fifteenth
sixteenth seventeenth eighteenth nineteenth twentieth twenty-first twenty-second twenty-third twenty-fourth
"""
_DAYS = _DAYS_TEXT.split()
_MONTHS_TEXT = """
January February March April May June July August September October November December
"""
_MONTHS = _MONTHS_TEXT.split()
_TENS = ["fifty", "sixty", "seventy", "eighty", "ninety"]
_OPENERS = ("My number is", "It's", "The number is", "That is", "Okay, it's", "")
# A ten-digit number in groups, as people write it on a card.
_GROUPINGS = ((3, 3, 4), (4, 3, 3), (2, 2, 2, 2, 2), (5, 5), (3, 3, 2, 2), (4, 2, 4))
LENGTH = 10


def digits(chance: random.Random) -> tuple[str, str, int]:
    """A ten-digit number with one or two pauses between groups, or within one ("four seven | two nine")."""
    said, groups = _number(chance)
    borders = [sum(groups[: i + 1]) for i in range(len(groups) - 1)]
    pauses = set(chance.sample(borders, min(len(borders), chance.choice((1, 1, 2)))))
    if chance.random() < 0.3:
        pauses = {chance.randrange(2, LENGTH - 2)}
    return _opener(chance) + _joined(said, borders, pauses), "digits", LENGTH


def digits_in_one_go(chance: random.Random) -> tuple[str, str, int]:
    """All ten digits, the agent having asked for ten: nothing is left to wait for."""
    said, groups = _number(chance)
    return _opener(chance) + _joined(said, [sum(groups[: i + 1]) for i in range(len(groups) - 1)], set()), "digits", 10


def spelling(chance: random.Random) -> tuple[str, str, int]:
    """A name, letter by letter, with a pause somewhere in it. The length is not known to the agent."""
    letters = list(chance.choice(_NAMES).upper())
    at = chance.randrange(2, len(letters) - 1)
    return f"{', '.join(letters[:at])}, | {', '.join(letters[at:])}.", "spelling", 0


def date(chance: random.Random) -> tuple[str, str, int]:
    """A date of birth with a pause before the month or the year."""
    day, month = chance.choice(_DAYS), chance.choice(_MONTHS)
    year = f"nineteen {chance.choice(_TENS)} {chance.choice(_DIGITS[1:])}"
    opener = chance.choice(("I was born on", "The", "On", "It is", "My birthday is", "That was"))
    the = "the " if opener != "The" else ""
    before_year = chance.random() < 0.5
    if before_year:
        return f"{opener} {the}{day} of {month} | {year}.", "date", 0
    return f"{opener} {the}{day} of | {month} {year}.", "date", 0


def _number(chance: random.Random) -> tuple[list[str], tuple[int, ...]]:
    return [chance.choice(_DIGITS) for _ in range(LENGTH)], chance.choice(_GROUPINGS)


def _opener(chance: random.Random) -> str:
    opener = chance.choice(_OPENERS)
    return f"{opener} " if opener else ""


def _joined(said: list[str], borders: list[int], pauses: set[int]) -> str:
    out = []
    for index, word in enumerate(said, 1):
        out.append(word)
        if index in pauses:
            out.append("|")
        elif index in borders:
            out[-1] += ","
    return " ".join(out) + "."
