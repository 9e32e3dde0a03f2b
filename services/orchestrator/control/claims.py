"""The claim guard: a model's free text is said only when it claims nothing that no committed fact supports. Pure.

Looked for, in this order: what cannot be read (another language, hidden characters, links), outcomes ("I have
blocked", "wurde erstattet": told by the bundle's sentences, never by a model), dates, references and card digits,
numbers. Numbers are found twice: as digits of any script after text2num has turned words into digits, and as number
words that are left. When in doubt the text is refused: a template is said in its place.
"""

import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import lru_cache

from text_to_num import alpha2digit

from services.orchestrator.control.claim_words import CURRENCIES, LANGUAGES, ClaimWords
from services.orchestrator.control.model import Scalar

MAX_FREE_TEXT = 600
_NUMBER = re.compile(r"\d+(?:[.,'’\s]\d+)*")
_LINK = re.compile(r"@|https?:|www\.|\b\w+\.(?:com|org|net|de|uk|example|io)\b", re.IGNORECASE)
_WORD = re.compile(r"[^\W_]+")
# Letters said one by one, or letters and digits mixed: a reference, an IBAN, a postcode.
_SPELLED = re.compile(r"(?<!\w)(?:[A-ZÄÖÜ][\s.\-]+){2,}[A-ZÄÖÜ](?!\w)")
_MIXED = re.compile(r"\b(?=\w*\d)(?=\w*[^\W\d_])\w+\b")
_CAPITALS = re.compile(r"\b[A-Z]{3,}\b")
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")


@dataclass(frozen=True, slots=True)
class Claim:
    """Why a text was refused: the kind of claim, never its words."""

    kind: str


@dataclass(slots=True)
class Supported:
    """What may be claimed: made of the facts of this call, and of sentences the bundle says itself."""

    numbers: set[str] = field(default_factory=set)
    amounts: set[str] = field(default_factory=set)
    words: set[str] = field(default_factory=set)
    # (number, next word) as the bundle itself writes: "four digits".
    phrases: frozenset[tuple[str, str]] = frozenset()

    @classmethod
    def by(cls, facts: Iterable[tuple[str, Scalar]], sentences: tuple[str, ...], language: str) -> "Supported":
        """From facts (field name, value) and the static sentences of a locale."""
        found = cls(phrases=_phrases(sentences, language))
        for name, value in facts:
            found._add(name, value)
        return found

    def _add(self, name: str, value: Scalar) -> None:
        if isinstance(value, bool):
            return
        if name.split(".")[-1].endswith("minor") and isinstance(value, int):
            self.amounts.add(_canonical(f"{value // 100}.{value % 100:02d}"))
            return
        text = str(value)
        self.words.add(re.sub(r"[\W_]", "", text).casefold())
        if isinstance(value, str) and _DATE.match(text):
            year, month, day = text[:10].split("-")
            self.numbers |= {year, day.lstrip("0")}
            self.words |= {f"month{int(month)}"}
            return
        self.numbers |= {_canonical(match[0]) for match in _NUMBER.finditer(text)}


def check(text: str, supported: Supported, language: str) -> Claim | None:
    """None when the text may be said."""
    words = LANGUAGES.get(language)
    plain = _plain(text)
    if words is None:
        return Claim("language")
    if len(plain) > MAX_FREE_TEXT or _LINK.search(plain) or _hidden(text):
        return Claim("unreadable")
    if any(pattern.search(plain) for pattern in words.outcomes):
        return Claim("outcome")
    calm = words.harmless.sub(" ", plain)
    if _dates(calm, supported, words):
        return Claim("date")
    if _references(calm, supported):
        return Claim("reference")
    return Claim("number") if _numbers(calm, supported, words, language) else None


@lru_cache(maxsize=64)
def _phrases(sentences: tuple[str, ...], language: str) -> frozenset[tuple[str, str]]:
    """Of one bundle's sentences: the same in every turn, and the dearest part of the guard."""
    found = set[tuple[str, str]]()
    for sentence in sentences:
        text = _digits(_plain(sentence), language)
        for match in _NUMBER.finditer(text):
            following = _WORD.search(text, match.end())
            if following:
                found.add((_canonical(match[0]), following[0].casefold()))
    return frozenset(found)


def _plain(text: str) -> str:
    """NFKC, without invisible characters; superscripts, full-width and circled digits become plain ones."""
    shown = "".join(
        char for char in text if unicodedata.category(char) not in ("Cf", "Cc", "Mn", "Me") or char in "\n\t"
    )
    return re.sub(r"\s+", " ", unicodedata.normalize("NFKC", shown)).strip()


def _hidden(text: str) -> bool:
    """Letters of other scripts inside Latin text imitate words that the lists know."""
    scripts = {unicodedata.name(char, "?").split(" ")[0] for char in text if char.isalpha()}
    return bool(scripts - {"LATIN", "FEMININE", "MASCULINE"})


def _digits(text: str, language: str) -> str:
    """Number words as digits, hyphens open."""
    return str(alpha2digit(re.sub(r"(?<=\w)[-–—](?=\w)", " ", text), language, 0))


def _canonical(number: str) -> str:
    """One writing: 1,250.50, 1.250,50 and 1250.5 are 1250.5; separators of thousands and white space go."""
    digits = "".join(str(unicodedata.digit(char)) if char.isdigit() else char for char in re.sub(r"[\s'’]", "", number))
    found = re.fullmatch(r"(.*?)[.,](\d{1,2})", digits)
    whole, cents = (found[1], found[2]) if found else (digits, "")
    whole = re.sub(r"[.,]", "", whole).lstrip("0") or "0"
    cents = cents.rstrip("0")
    return f"{whole}.{cents}" if cents else whole


def _dates(text: str, supported: Supported, words: ClaimWords) -> bool:
    if words.relative.search(text):
        return True
    for match in _WORD.finditer(text):
        word = match[0].casefold()
        if word in words.days:
            return True
        if word in words.months and not (word == "may" and match[0] == "may"):
            months = {f"month{number}" for number in range(1, 13) if word in _names(words, number)}
            if not months & supported.words:
                return True
    return False


_STEMS = ("jan", "feb", "m", "apr", "ma", "jun", "jul", "aug", "sep", "o", "nov", "de")


def _names(words: ClaimWords, number: int) -> set[str]:
    """The words of month `number`."""
    stem = _STEMS[number - 1]
    return {
        word
        for word in words.months
        if (
            word.startswith(stem)
            and (number != 3 or word in ("march", "mar", "märz"))
            and (number != 5 or word in ("may", "mai"))
        )
        or (number == 1 and word == "jänner")
    }


def _references(text: str, supported: Supported) -> bool:
    for pattern in (_SPELLED, _MIXED, _CAPITALS):
        for match in pattern.finditer(text):
            if re.fullmatch(r"\d+(?:st|nd|rd|th)", match[0].casefold()):
                continue
            if re.sub(r"[\W_]", "", match[0]).casefold() not in supported.words:
                return True
    return False


def _numbers(text: str, supported: Supported, words: ClaimWords, language: str) -> bool:
    # Characters that count without being digits: ½, Roman numerals, ideographs.
    if any(unicodedata.numeric(char, None) is not None and not char.isdigit() for char in text):
        return True
    digits = _digits(text, language)
    for match in _NUMBER.finditer(digits):
        if not _is_supported(digits, match, supported):
            return True
    rest = _NUMBER.sub(" ", digits)
    return bool(words.numbers.search(rest) or "%" in text)


def _is_supported(text: str, match: re.Match[str], supported: Supported) -> bool:
    number = _canonical(match[0])
    following = _WORD.search(text, match.end())
    if following and (number, following[0].casefold()) in supported.phrases:
        return True
    near = text[max(0, match.start() - 2) : match.start()] + text[match.end() : match.end() + 12]
    if CURRENCIES.search(near) or "." in number:
        return number in supported.amounts
    return number in supported.numbers or number in supported.amounts
