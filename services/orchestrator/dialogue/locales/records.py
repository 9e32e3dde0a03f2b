"""Which record of a back end's answer the words mean: by last digits, amount, day, and fuzzy words."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from rapidfuzz import fuzz

from services.orchestrator.control.model import Scalar
from services.orchestrator.dialogue.locales.dates import read_date
from services.orchestrator.dialogue.locales.digits import Run, runs
from services.orchestrator.dialogue.locales.money import ABOUT, read_money
from services.orchestrator.dialogue.locales.settle import Asked, Found, misheard, standing
from services.orchestrator.dialogue.locales.tokens import Token, mask, starts
from services.orchestrator.dialogue.model import SlotData

# Likeness of words below which a name was not said (0 to 100); the score below which a record is not meant.
LIKE = 76.0
LEAST_SCORE = 0.45
# A field that holds only if a word was misheard; an amount said as "about".
IF_MISHEARD = 0.55
ROUGHLY = 0.7
ROUGH_SHARE = 0.1
LAST4 = 4
TYPED, ONLY_WORDS = 0.9, 0.75
LEAST_WORD = 3


@dataclass(frozen=True, slots=True)
class Said:
    """What the words say of the fields of a record."""

    days: Sequence[Found]
    digits: Sequence[Found]
    amounts: Sequence[Found]
    words: Sequence[Token]


def said_of(tokens: Sequence[Token], asked: Asked) -> Said:
    """Days first, then last digits, then amounts, so that no token is read twice; the rest is words."""
    fields = asked.slot.resolve.match if asked.slot.resolve else ()
    taken: set[int] = set()
    days = _take(tokens, read_date(tokens, asked), taken, asked) if any(map(is_day, fields)) else []
    digits = _take(tokens, _last_digits(tokens, taken, asked), taken, asked) if any(map(is_last4, fields)) else []
    amounts: list[Found] = []
    if any(map(is_amount, fields)):
        amounts = _take(tokens, [one for one in read_money(tokens, asked) if not _overlaps(one, taken)], taken, asked)
    polite = mask(tokens, asked.language.yes) | taken
    words = [
        token
        for index, token in enumerate(tokens)
        if index not in polite and token.text not in asked.language.carriers and not token.numeral
        and token.text not in asked.language.negations and not starts([token], 0, asked.language.repairs)
    ]  # fmt: skip
    return Said(days, digits, amounts, words)


def fields_said(tokens: Sequence[Token], asked: Asked) -> tuple[dict[str, Scalar], float]:
    """The fields of `resolve.match` that the words name, and how sure that is. Words may name any text field."""
    said = said_of(tokens, asked)
    fields: dict[str, Scalar] = {}
    for name in asked.slot.resolve.match if asked.slot.resolve else ():
        if is_day(name) and said.days:
            fields[name] = _plain(said.days[0].data)
        elif is_last4(name) and said.digits:
            fields[name] = _plain(said.digits[0].data)
        elif is_amount(name) and said.amounts:
            fields[name] = _minor(said.amounts[0].data)
        elif not (is_day(name) or is_last4(name) or is_amount(name)) and said.words:
            fields[name] = " ".join(token.raw for token in said.words)
    typed = bool(said.days or said.digits or said.amounts)
    return fields, TYPED if typed else ONLY_WORDS


def resolve(tokens: Sequence[Token], records: Sequence[Mapping[str, Scalar]], asked: Asked) -> list[tuple[int, float]]:
    """Index and score of the records that may be meant, best first: the mean over what the words say of them.

    Two with the same score are two that the words do not tell apart: ask. Nothing said: nothing meant.
    """
    said = said_of(tokens, asked)
    names = asked.slot.resolve.match if asked.slot.resolve else ()
    texts = [name for name in names if not (is_day(name) or is_last4(name) or is_amount(name))]
    likeness = [
        max((_alike(said.words, str(record.get(name, ""))) for name in texts), default=0.0) for record in records
    ]
    named = max(likeness, default=0.0) >= LIKE
    scored = []
    for index, record in enumerate(records):
        scores = [likeness[index] / 100 if likeness[index] >= LIKE else 0.0] if named else []
        for name in names:
            if is_day(name) and said.days:
                scores.append(max(_equal(one, str(record.get(name, ""))[:10]) for one in said.days))
            elif is_last4(name) and said.digits:
                scores.append(max(_ends(tokens, one, str(record.get(name, "")), asked) for one in said.digits))
            elif is_amount(name) and said.amounts:
                scores.append(max(_amount(tokens, one, record, name, asked) for one in said.amounts))
        score = sum(scores) / len(scores) if scores else 0.0
        if score >= LEAST_SCORE:
            scored.append((index, round(score, 3)))
    return sorted(scored, key=lambda pair: (-pair[1], pair[0]))


def is_day(name: str) -> bool:
    """A field that holds a day."""
    return name == "date" or name.endswith("_date")


def is_last4(name: str) -> bool:
    """A field that holds the last digits of a number."""
    return name == "last4" or name.endswith("_last4")


def is_amount(name: str) -> bool:
    """A field that holds an amount in minor units."""
    return name.endswith("_minor")


def _take(tokens: Sequence[Token], found: Sequence[Found], taken: set[int], asked: Asked) -> list[Found]:
    meant, gone = standing(tokens, found, asked.language)
    taken |= {index for one in found for index in range(one.start, one.end)} | (gone if found else set())
    return meant


def _last_digits(tokens: Sequence[Token], taken: set[int], asked: Asked) -> list[Found]:
    found = []
    for run in runs(tokens, asked.language):
        cued = any(
            starts(tokens, run.start - back, asked.language.tail_cues) for back in range(1, 4) if run.start >= back
        )
        digits = _four(run, cued)
        one = Found(digits, run.start, run.end) if digits else None
        if one is not None and not _overlaps(one, taken) and not _has_unit(tokens, run, asked):
            found.append(one)
    return found


def _four(run: Run, cued: bool) -> str:
    if len(run.digits) == LAST4 or (cued and 1 < len(run.digits) < LAST4):
        return run.digits
    return run.split if len(run.split) == LAST4 else ""


def _has_unit(tokens: Sequence[Token], run: Run, asked: Asked) -> bool:
    around = [tokens[i].text for i in (run.start - 1, run.end) if 0 <= i < len(tokens)]
    return any(word in asked.language.money for word in around)


def _overlaps(one: Found, taken: set[int]) -> bool:
    return any(index in taken for index in range(one.start, one.end))


def _equal(one: Found, value: str) -> float:
    return 1.0 if value == one.data else 0.95 if value in one.others else 0.0


def _ends(tokens: Sequence[Token], one: Found, value: str, asked: Asked) -> float:
    if value and value.endswith(str(one.data)):
        return 1.0
    rivals = (run.digits for swapped in misheard(tokens, one, asked) for run in runs(swapped, asked.language)[:1])
    return IF_MISHEARD if value in rivals else 0.0


def _amount(tokens: Sequence[Token], one: Found, record: Mapping[str, Scalar], name: str, asked: Asked) -> float:
    value, currency = record.get(name), record.get("currency", asked.currency)
    if not isinstance(value, int) or not isinstance(one.data, Mapping):
        return 0.0
    named = any(token.text in asked.language.money for token in tokens[one.start : one.end])
    if named and one.data["currency"] != currency:
        return 0.0
    said = _minor(one.data)
    if value == said:
        return 1.0
    if any(_minor(other) == value for other in one.others):
        return 0.9
    if one.sure == ABOUT and abs(value - said) <= ROUGH_SHARE * max(value, 1):
        return ROUGHLY
    # "Twelve pounds" of 12.50: people leave the pence away.
    if said % 100 == 0 and value // 100 * 100 == said:
        return ROUGHLY
    others = (
        _minor(other.data) for swapped in misheard(tokens, one, asked) for other in read_money(swapped, asked)[:1]
    )
    return IF_MISHEARD if value in others else 0.0


def _alike(words: Sequence[Token], value: str) -> float:
    """The likeness (0 to 100) of what was said to the name, or to one of its longer words."""
    name = value.casefold()
    if not words or not name:
        return 0.0
    parts = [part for part in name.replace("-", " ").split() if len(part) >= LEAST_WORD]
    best = 0.0
    for start in range(len(words)):
        for end in range(start + 1, min(len(words), start + 4) + 1):
            best = max(best, fuzz.ratio("".join(t.text for t in words[start:end]), name.replace(" ", "")))
        word = words[start].text
        for part in parts:
            best = max(best, 0.97 * fuzz.ratio(word, part))
            if len(part) > LEAST_WORD + 1 and len(word) > len(part):
                best = max(best, 0.97 * fuzz.partial_ratio(part, word))
    return best


def _minor(data: SlotData) -> int:
    return int(data["minor"]) if isinstance(data, Mapping) else 0


def _plain(data: SlotData) -> Scalar:
    return data if not isinstance(data, Mapping) else ""
