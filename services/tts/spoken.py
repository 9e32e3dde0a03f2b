"""From written tokens to what is said: drops markup and emoji, and rewrites what a phonemizer would read badly.

Pure. Works token by token (a token is a run of non-space characters), so that every spoken word keeps the offset of
the written one. Numbers themselves, times and percentages are left to the phonemizer; rewritten are currency ("$5"
would be read "dollar five"), telephone numbers and long identifiers (digit by digit), abbreviations with a full stop
(the phonemizer would end a sentence there) and addresses on the web.
"""

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

_MARKUP = str.maketrans(dict.fromkeys("*_`#~|<>[]{}\\^", ""))
_LINK = re.compile(r"\[([^\]]*)\]\([^)\s]*\)")
_TOKEN = re.compile(r"\S+")
_EDGES = re.compile(r"^(\W*?)([\w$€£+%].*?)?([^\w%€$£]*)$", re.DOTALL)

_CURRENCY = {
    "en": {"$": ("dollar", "dollars"), "€": ("euro", "euros"), "£": ("pound", "pounds")},
    "de": {"$": ("Dollar", "Dollar"), "€": ("Euro", "Euro"), "£": ("Pfund", "Pfund")},
}
_MAGNITUDES = frozenset(
    ("thousand", "million", "billion", "trillion", "tausend", "millionen", "milliarde", "milliarden")
)
_ABBREVIATIONS = {
    "en": {
        "dr.": "doctor", "mr.": "mister", "mrs.": "missus", "ms.": "miz", "prof.": "professor", "st.": "saint",
        "no.": "number", "vs.": "versus", "approx.": "approximately", "ave.": "avenue", "dept.": "department",
        "ext.": "extension", "e.g.": "for example", "i.e.": "that is", "etc.": "et cetera", "a.m.": "AM", "p.m.": "PM",
        "u.s.": "US", "u.k.": "UK", "inc.": "incorporated", "ltd.": "limited", "jr.": "junior", "sr.": "senior",
    },
    "de": {
        "dr.": "Doktor", "hr.": "Herr", "fr.": "Frau", "prof.": "Professor", "nr.": "Nummer", "str.": "Straße",
        "z.b.": "zum Beispiel", "d.h.": "das heißt", "usw.": "und so weiter", "bzw.": "beziehungsweise",
        "ca.": "circa", "evtl.": "eventuell", "ggf.": "gegebenenfalls", "inkl.": "inklusive", "tel.": "Telefon",
        "etc.": "et cetera", "min.": "Minuten", "max.": "maximal",
    },
}  # fmt: skip
_TO = {"en": "to", "de": "bis"}

_MONEY_BEFORE = re.compile(r"([$€£])(\d[\d.,]*)")
_MONEY_AFTER = re.compile(r"(\d[\d.,]*)([$€£])")
_RANGE = re.compile(r"(\d{1,4})[-–](\d{1,4})")
_PHONE = re.compile(r"\+?\(?\d{2,5}\)?(?:[-/.]\d{2,5})+|\+\d{1,15}")
_LONG_DIGITS = re.compile(r"\d{5,}|0\d{2,}")
_YEAR = re.compile(r"1[1-9]\d\d")
_MIXED = re.compile(r"(?=[A-Z0-9-]*\d)(?=[A-Z0-9-]*[A-Z])[A-Z0-9]+(?:-[A-Z0-9]+)*")


@dataclass(frozen=True, slots=True)
class SpokenWord:
    """One written token of a clause that is heard: as written, where (in the clause), and what is said for it."""

    written: str
    offset: int
    spoken: str


_NOTHING: Mapping[str, str] = MappingProxyType({})


def spoken_words(clause: str, locale: str = "en-US", say: Mapping[str, str] = _NOTHING) -> list[SpokenWord]:
    """The words of a clause that are heard, in order. Empty when nothing is (only punctuation, markup, emoji).

    `say`: folded (`str.casefold`) written words → how they are said; it comes before every other rule.
    """
    language = locale.split("-")[0].lower()
    tokens = [(m.group(), m.start()) for m in _TOKEN.finditer(_hide_links(clause))]
    words: list[SpokenWord] = []
    for index, (token, offset) in enumerate(tokens):
        following = tokens[index + 1][0] if index + 1 < len(tokens) else ""
        previous = tokens[index - 1][0] if index else ""
        spoken = _by_lexicon(token, say) or _say(token, previous, following, language)
        if any(c.isalnum() for c in spoken):
            words.append(SpokenWord(clause[offset : offset + len(token)], offset, spoken))
        elif words and spoken in {"-", "–", "—"}:
            # A dash is a short pause after the word before it.
            last = words[-1]
            words[-1] = SpokenWord(last.written, last.offset, _with_comma(last.spoken))
    return words


def _hide_links(clause: str) -> str:
    """[text](address) → text, in place: same length, so that offsets stay."""

    def blank(match: re.Match[str]) -> str:
        return f" {match.group(1)} ".ljust(len(match.group()))

    return _LINK.sub(blank, clause)


def _with_comma(spoken: str) -> str:
    return spoken if spoken[-1] in ",.;:!?" else f"{spoken},"


def _by_lexicon(token: str, say: Mapping[str, str]) -> str:
    """What the lexicon says for a token, its closing punctuation and an 's kept; empty when it has nothing to say."""
    match = _EDGES.match(token.translate(_MARKUP)) if say else None
    if match is None or not match.group(2):
        return ""
    core, ending = match.group(2), ""
    if core.casefold() not in say and core[-2:].casefold() in ("'s", "’s"):
        core, ending = core[:-2], "'s"
    spoken = say.get(core.casefold(), "")
    return f"{spoken}{ending}{_pause(match.group(3))}" if spoken else ""


def _say(token: str, previous: str, following: str, language: str) -> str:
    token = "".join(c for c in token.translate(_MARKUP) if not _is_pictograph(c)).strip('"“”„«»()')
    abbreviations = _ABBREVIATIONS.get(language, {})
    if (whole := abbreviations.get(token.lower())) is not None:
        return whole
    match = _EDGES.match(token)
    if match is None or not match.group(2):
        return token
    before, core, after = match.groups()
    if (whole := abbreviations.get(f"{core.lower()}.")) is not None and after.startswith("."):
        return f"{whole}{after[1:]}"
    minus = "-" if before.endswith("-") and core[:1].isdigit() else ""
    return f"{minus}{_say_core(core, previous, following, language)}{_pause(after)}"


def _pause(after: str) -> str:
    """What of the trailing punctuation the phonemizer should see."""
    return next((c for c in after.replace("…", ".") if c in ",.;:!?"), "")


def _say_core(core: str, previous: str, following: str, language: str) -> str:
    if core.lower() in _MAGNITUDES and (money := _MONEY_BEFORE.search(previous) or _MONEY_AFTER.search(previous)):
        sign = next(group for group in money.groups() if group in "$€£")
        return f"{core} {_CURRENCY.get(language, _CURRENCY['en'])[sign][1]}"
    if money := _MONEY_BEFORE.fullmatch(core):
        return _money(money.group(2), money.group(1), following, language)
    if money := _MONEY_AFTER.fullmatch(core):
        return _money(money.group(1), money.group(2), following, language)
    if core in _CURRENCY.get(language, {}):
        return _CURRENCY[language][core][1]
    if _PHONE.fullmatch(core) and sum(c.isdigit() for c in core) >= 6:
        return ", ".join(" ".join(group) for group in re.findall(r"\d+", core))
    if span := _RANGE.fullmatch(core):
        return f"{span.group(1)} {_TO.get(language, '')} {span.group(2)}"
    if _LONG_DIGITS.fullmatch(core):
        return _digit_groups(core)
    if language == "en" and _YEAR.fullmatch(core) and not core.endswith("00"):
        return f"{core[:2]} {'oh ' if core[2] == '0' else ''}{int(core[2:])}"
    if _MIXED.fullmatch(core):
        return " ".join(re.findall(r"[A-Z]+|\d", core))
    return _address(core)


def _digit_groups(digits: str) -> str:
    """Digit by digit, a small pause every three or four, as people read numbers to each other."""
    size = 4 if len(digits) % 4 == 0 else 3
    groups = [digits[i : i + size] for i in range(0, len(digits), size)]
    if len(groups) > 1 and len(groups[-1]) == 1:
        groups[-2:] = [groups[-2] + groups[-1]]
    return ", ".join(" ".join(group) for group in groups)


def _money(amount: str, sign: str, following: str, language: str) -> str:
    one, many = _CURRENCY.get(language, _CURRENCY["en"])[sign]
    decimal = "," if language == "de" else "."
    whole, _, minor = amount.rstrip(".,").partition(decimal)
    if following.lower().strip(".,;:!?") in _MAGNITUDES:
        return amount
    unit = one if whole == "1" and not minor.strip("0") else many
    if len(minor) == 2 and minor.strip("0"):
        joint = " and " if language == "en" else " "
        cents = {"$": " cents", "€": " cents", "£": " pence"}[sign] if language == "en" else ""
        return f"{whole} {unit}{joint}{int(minor)}{cents}"
    return f"{whole if not minor.strip('0') else amount} {unit}"


def _address(core: str) -> str:
    """Web addresses without their scheme; e-mail as written; a hyphen between letters stays."""
    if "://" in core:
        core = core.split("://", 1)[1].rstrip("/")
    return core.removeprefix("www.") if core.count(".") > 1 else core


def _is_pictograph(char: str) -> bool:
    """Emoji, dingbats, variation selectors, joiners, private use, control characters: not said."""
    return unicodedata.category(char) in ("So", "Sk", "Cc", "Cf", "Co", "Cs", "Cn") or char == "\ufe0f"


__all__ = ["SpokenWord", "spoken_words"]
