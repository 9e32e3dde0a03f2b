"""From what a grammar found to what the words say: what was denied or repaired goes, and how sure the rest is.

Confidence = how sure the grammar is of the form, times how much of the words it explains, less what may have been
misheard. 0.97 is a value and nothing else; two values that differ never pass 0.6, because either may be meant.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date
from itertools import permutations

from services.common.personal import Personal
from services.orchestrator.bundles.model import Slot
from services.orchestrator.dialogue.locales.language import Language
from services.orchestrator.dialogue.locales.tokens import Token, mask, starts
from services.orchestrator.dialogue.model import Reading, SlotData

SURE = 0.97
# Words that no grammar explains may change what is meant: at the most so much of the confidence.
UNEXPLAINED = 0.4
# A value whose words have a near-homophone; two values in one answer.
MISHEARD = 0.94
DIVIDED = 0.6
MOST_RIVALS = 4
# Types whose digits are said one by one.
_DIGITWISE = ("digits", "phone", "iban", "spelling", "ref")
_PARTS = re.compile(r"([^0-9])")


@dataclass(frozen=True, slots=True)
class Found:
    """A value at tokens [start, end), and how sure its form is. `others`: what the same words may say instead."""

    data: SlotData
    start: int
    end: int
    sure: float = SURE
    others: tuple[SlotData, ...] = ()
    # Where the words that say it begin, when that is before a repair ("4712, no, 11").
    since: int | None = None


@dataclass(frozen=True, slots=True)
class Asked:
    """What a grammar reads for. `today` and `currency` settle what words leave open."""

    slot: Slot
    locale: str
    language: Language
    today: date
    currency: str
    confusable: tuple[tuple[str, ...], ...] = ()


Grammar = Callable[[Sequence[Token], Asked], list[Found]]


def settle(
    text: str,
    tokens: Sequence[Token],
    found: Sequence[Found],
    asked: Asked,
    grammar: Grammar,
    unexplained: float = UNEXPLAINED,
) -> list[Reading]:
    """Readings of the values that are meant, best first; empty when none is left."""
    language = asked.language
    meant, gone = standing(tokens, found, language)
    if not meant:
        return []
    meant = sorted(meant, key=lambda one: (-one.sure, one.start))
    best = meant[0]
    differ = [one for one in meant[1:] if one.data != best.data]
    readings = []
    for one in (best, *differ):
        confidence = one.sure * (1 - unexplained * _unexplained(tokens, meant, gone, language))
        rivals = [*(other.data for other in (best, *differ) if other.data != one.data), *one.others]
        # Check digits tell a misheard IBAN from a right one.
        mistaken = [] if asked.slot.type == "iban" else list(_misheard(tokens, one, asked, grammar))
        if mistaken:
            confidence *= MISHEARD
        if differ:
            confidence = min(confidence, DIVIDED)
        readings.append(reading(text, tokens, one, confidence, [*rivals, *mistaken]))
    return _once(readings)


def standing(tokens: Sequence[Token], found: Sequence[Found], language: Language) -> tuple[list[Found], set[int]]:
    """What was neither denied ("not fifty") nor repaired ("fifty, no, fifteen"), and the tokens that went with it."""
    gone: set[int] = set()
    left = []
    for one in found:
        denial = _denied(tokens, one, found, language)
        if denial:
            gone |= denial
        else:
            left.append(one)
    cut = 0
    for at, size in repairs(tokens, language):
        if any(one.start >= at + size for one in left):
            gone |= set(range(at + size))
            cut = at + size
        else:
            gone |= set(range(at, at + size))
    return [one for one in left if one.start >= cut], gone


def repairs(tokens: Sequence[Token], language: Language) -> Iterator[tuple[int, int]]:
    """Where the caller corrects himself: index and size of "no", "I mean", "ich meine"."""
    at = 0
    while at < len(tokens):
        size = starts(tokens, at, language.repairs)
        if size:
            yield at, size
        at += size or 1


def reading(
    text: str, tokens: Sequence[Token], one: Found, confidence: float, rivals: Iterable[SlotData] = ()
) -> Reading:
    """A Reading whose evidence is the words from the first to the last token of the value, as they were heard."""
    evidence = text[tokens[one.start if one.since is None else one.since].start : tokens[one.end - 1].end]
    kept: list[SlotData] = []
    for rival in rivals:
        if rival != one.data and rival not in kept:
            kept.append(rival)
    wrapped = tuple(Personal(rival, "slot") for rival in kept[:MOST_RIVALS])
    return Reading(Personal(one.data, "slot"), Personal(evidence, "words"), round(min(confidence, 1.0), 3), wrapped)


def _denied(tokens: Sequence[Token], one: Found, found: Sequence[Found], language: Language) -> set[int]:
    for back in () if language.negates_behind else (1, 2):
        at = one.start - back
        if at >= 0 and tokens[at].text in language.negations:
            return set(range(at, one.end))
        if at < 0 or tokens[at].text not in language.carriers:
            break
    behind = one.end < len(tokens) and tokens[one.end].text in language.negations
    follows = any(other.start > one.end for other in found)
    if language.negates_behind and behind and (follows or one.end == len(tokens) - 1):
        return set(range(one.start, one.end + 1))
    return set()


def _unexplained(tokens: Sequence[Token], meant: Sequence[Found], gone: set[int], language: Language) -> float:
    """The share of content words that belong to no value."""
    explained = {index for one in meant for index in range(one.start, one.end)}
    polite = mask(tokens, language.yes) | mask(tokens, language.text_closings)
    rest = [
        index
        for index, token in enumerate(tokens)
        if index not in explained | gone | polite and token.text not in language.carriers
    ]
    return len(rest) / (len(rest) + len(explained)) if rest else 0.0


def misheard(tokens: Sequence[Token], one: Found, asked: Asked) -> Iterator[list[Token]]:
    """The words of a value with one of them swapped for what it is mistaken for."""
    own = list(tokens[one.start : one.end])
    for pair in (*asked.confusable, *asked.language.homophones):
        group = [word.casefold() for word in pair]
        for index, token in enumerate(own):
            for swapped in _swaps(token, group, asked):
                yield [*own[:index], replace(token, text=swapped, raw=swapped), *own[index + 1 :]]


def _misheard(tokens: Sequence[Token], one: Found, asked: Asked, grammar: Grammar) -> Iterator[SlotData]:
    """What the value is then: read again by the same grammar."""
    for changed in misheard(tokens, one, asked):
        for other in grammar(changed, asked)[:1]:
            if other.data != one.data:
                yield other.data


def _swaps(token: Token, group: Sequence[str], asked: Asked) -> Iterator[str]:
    language = asked.language
    if token.numeral:
        yield from _swapped_figures(token.text, group, asked)
        return
    for word in group:
        if token.text == word:
            yield from (other for other in group if other != word)
        elif language.compounds and word in token.text:
            for other in group:
                changed = token.text.replace(word, other, 1)
                if other != word and language.cardinal((changed,)) is not None:
                    yield changed


def _swapped_figures(figure: str, group: Sequence[str], asked: Asked) -> Iterator[str]:
    """ "15" for "50"; where digits are said one by one, each 2 for a 3; elsewhere the 2 of 200."""
    values = [asked.language.cardinal((word,)) for word in group]
    parts = _PARTS.split(figure)
    for value, other in permutations([value for value in values if value is not None], 2):
        for index, part in enumerate(parts):
            if part == str(value):
                yield "".join([*parts[:index], str(other), *parts[index + 1 :]])
        if value < 10 and other < 10 and len(figure) > 1:
            for index, char in enumerate(figure):
                round_ = len(figure) > index + 2 and not figure[index + 1 :].strip("0")
                if char == str(value) and (round_ or asked.slot.type in _DIGITWISE):
                    yield figure[:index] + str(other) + figure[index + 1 :]


def _once(readings: list[Reading]) -> list[Reading]:
    kept: list[Reading] = []
    for one in readings:
        if all(one.data.reveal() != other.data.reveal() for other in kept):
            kept.append(one)
    return sorted(kept, key=lambda one: -one.confidence)
