"""Whole numbers and ordinals as the words of a language, for a voice to speak."""

from services.orchestrator.dialogue.locales.hindi import SPOKEN as HINDI

MOST = 10**12


def listed(text: str) -> tuple[str, ...]:
    """Words in order."""
    return tuple(text.split())


_ENGLISH = listed(
    """zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen
    eighteen nineteen"""
)
_ENGLISH_TENS = listed("""_ _ twenty thirty forty fifty sixty seventy eighty ninety""")
_GERMAN = listed(
    """null eins zwei drei vier fünf sechs sieben acht neun zehn elf zwölf dreizehn vierzehn fünfzehn sechzehn
    siebzehn achtzehn neunzehn"""
)
_GERMAN_TENS = listed("""_ _ zwanzig dreißig vierzig fünfzig sechzig siebzig achtzig neunzig""")
_ENGLISH_ORDINALS = {"one": "first", "two": "second", "three": "third", "five": "fifth", "eight": "eighth",
                     "nine": "ninth", "twelve": "twelfth"}  # fmt: skip
_GERMAN_ORDINALS = {1: "ersten", 3: "dritten", 7: "siebten", 8: "achten"}


def cardinal(number: int, language: str) -> str:
    """ "one hundred and twenty", "einhundertzwanzig", "एक सौ बीस". Raises ValueError beyond a million millions."""
    if not 0 <= number < MOST:
        raise ValueError(f"expected a number from 0 to below {MOST}")
    return {"en": english, "de": german, "hi": hindi}[language](number)


def english(number: int) -> str:
    """In British style, with "and"."""
    if number < 20:
        return _ENGLISH[number]
    if number < 100:
        tens, unit = divmod(number, 10)
        return _ENGLISH_TENS[tens] + (f"-{_ENGLISH[unit]}" if unit else "")
    for scale, name in ((10**9, "billion"), (10**6, "million"), (1000, "thousand"), (100, "hundred")):
        if number >= scale:
            head, rest = divmod(number, scale)
            joint = " and " if rest and (scale == 100 or rest < 100) else " "
            return f"{english(head)} {name}{joint + english(rest) if rest else ''}"
    raise AssertionError


def german(number: int, last: bool = True) -> str:
    """One word below a million. `last`: "eins" at the end, else "ein"."""
    if number == 1:
        return "eins" if last else "ein"
    if number < 20:
        return _GERMAN[number]
    if number < 100:
        tens, unit = divmod(number, 10)
        return (f"{german(unit, False)}und" if unit else "") + _GERMAN_TENS[tens]
    if number < 10**6:
        scale, name = (100, "hundert") if number < 1000 else (1000, "tausend")
        head, rest = divmod(number, scale)
        return german(head, False) + name + (german(rest, last) if rest else "")
    scale, one, many = (
        (10**6, "eine Million", "Millionen") if number < 10**9 else (10**9, "eine Milliarde", "Milliarden")
    )
    head, rest = divmod(number, scale)
    return (one if head == 1 else f"{german(head, False)} {many}") + (f" {german(rest, last)}" if rest else "")


def hindi(number: int) -> str:
    """With lakh and crore."""
    if number < 100:
        return HINDI[number]
    for scale, name in ((10**7, "करोड़"), (10**5, "लाख"), (1000, "हज़ार"), (100, "सौ")):
        if number >= scale:
            head, rest = divmod(number, scale)
            return f"{hindi(head)} {name}{' ' + hindi(rest) if rest else ''}"
    raise AssertionError


def ordinal(number: int, language: str) -> str:
    """ "third", "dritten" (after "am", "vom"): 1 to 99. Hindi says the cardinal."""
    if language == "hi":
        return HINDI[number]
    if language == "de":
        return _GERMAN_ORDINALS.get(number) or german(number) + ("ten" if number < 20 else "sten")
    head, dash, last = english(number).rpartition("-")
    if last in _ENGLISH_ORDINALS:
        return head + dash + _ENGLISH_ORDINALS[last]
    return head + dash + (f"{last[:-1]}ieth" if last.endswith("y") else f"{last}th")


def english_year(year: int) -> str:
    """ "twenty twenty-six", "nineteen oh five", "two thousand and six"."""
    century, rest = divmod(year, 100)
    if 2000 <= year < 2010 or rest == 0 or not 1100 <= year < 2100:
        return english(year)
    return f"{english(century)} {'oh ' if rest < 10 else ''}{english(rest)}"
