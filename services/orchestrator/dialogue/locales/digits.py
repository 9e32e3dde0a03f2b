"""Rows of digits: one by one, in pairs, "double four", "oh", figures in any grouping, keys."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from services.orchestrator.dialogue.locales.language import Language
from services.orchestrator.dialogue.locales.numbers import number_at
from services.orchestrator.dialogue.locales.settle import SURE, Asked, Found, repairs
from services.orchestrator.dialogue.locales.tokens import Token, starts

# A number as a value with a split that says the same ("twenty one" is 21, or 20 and 1); a repaired tail.
SPLIT = 0.8
TAIL = 0.6
ONE_DIGIT = 0.85


@dataclass(frozen=True, slots=True)
class Run:
    """Digits at tokens [start, end). `split`: the same words with tens and units apart."""

    digits: str
    split: str
    start: int
    end: int
    near: bool = False


def runs(tokens: Sequence[Token], language: Language) -> list[Run]:
    """All rows of digits, each as long as it goes."""
    found: list[Run] = []
    at = 0
    while at < len(tokens):
        run = _run(tokens, at, language)
        if run is None:
            at += 1
        else:
            found.append(run)
            at = run.end
    return found


def read_digits(tokens: Sequence[Token], asked: Asked) -> list[Found]:
    """Rows of the asked length; of any length where none is asked."""
    length, language = asked.slot.length, asked.language
    found = list(_found(runs(tokens, language), tokens, asked, length))
    if length and (repaired := _repaired_tail(tokens, language, length)):
        found.append(repaired)
    cued = [one for one in found if any(starts(tokens, one.start - back, language.tail_cues) for back in range(1, 6))]
    return cued or found


def _found(all_runs: Sequence[Run], tokens: Sequence[Token], asked: Asked, length: int | None) -> Iterator[Found]:
    for run in all_runs:
        if not length:
            alone = len(run.digits) == 1 and len(tokens) > 1
            if not (alone and tokens[run.start].text in asked.language.weak_numbers):
                others = (run.split,) if run.split != run.digits else ()
                yield Found(run.digits, run.start, run.end, SURE if len(run.digits) > 1 else ONE_DIGIT, others)
        elif len(run.digits) == length:
            yield Found(run.digits, run.start, run.end, ONE_DIGIT if run.near else SURE)
        elif len(run.split) == length:
            yield Found(run.split, run.start, run.end, SPLIT)


def _repaired_tail(tokens: Sequence[Token], language: Language, length: int) -> Found | None:
    """ "four seven one two, no, one one": what was said anew takes the place of the end."""
    for at, size in repairs(tokens, language):
        before = [run for run in runs(tokens[:at], language) if len(run.digits) == length]
        after = runs(tokens[at + size :], language)
        if before and len(after) == 1 and len(after[0].digits) < length:
            tail = after[0].digits
            shift = at + size
            start, end = shift + after[0].start, shift + after[0].end
            return Found(before[-1].digits[: -len(tail)] + tail, start, end, TAIL, since=before[-1].start)
    return None


def _run(tokens: Sequence[Token], start: int, language: Language) -> Run | None:
    digits = split = ""
    at, end, near = start, start, False
    while at < len(tokens):
        step = _step(tokens, at, language)
        if step is None and digits and tokens[at].text in language.joins and _step(tokens, at + 1, language):
            at += 1
            continue
        if step is None and (at_near := _near(tokens, at, language, bool(digits))):
            digits, split, at, near = digits + at_near, split + at_near, at + 1, near or at_near != "0"
        elif step is None:
            break
        else:
            digits, split, at = digits + step[0], split + step[1], step[2]
        end = at
    return Run(digits, split, start, end, near) if digits else None


def _step(tokens: Sequence[Token], at: int, language: Language) -> tuple[str, str, int] | None:
    """One digit word, numeral or number: its digits, the same with tens apart, and where it ends."""
    if at >= len(tokens):
        return None
    word = tokens[at].text
    if word in language.times:
        after = at + 1
        while after < len(tokens) and tokens[after].text in language.which_articles:
            after += 1
        if after < len(tokens):
            digit = _digit(tokens[after], language)
            if digit:
                return digit * language.times[word], digit * language.times[word], after + 1
        return None
    if tokens[at].numeral:
        plain = "".join(char for char in tokens[at].text if char.isdigit())
        return (plain, plain, at + 1) if not tokens[at].text.endswith(("st", "nd", "rd", "th")) else None
    number = number_at(tokens, at, language)
    digit = _digit(tokens[at], language)
    if number is None or (digit and number.end == at + 1):
        return (digit, digit, at + 1) if digit else None
    value = int(number.value)
    apart = f"{value // 10 * 10}{value % 10}" if 20 < value < 100 and value % 10 else str(value)
    return str(value), apart, number.end


def _digit(token: Token, language: Language) -> str:
    if token.numeral and len(token.text) == 1:
        return token.text
    near = language.near_digits.get(token.text, "")
    return language.digits.get(token.text, "") or (near if near == "0" else "")


def _near(tokens: Sequence[Token], at: int, language: Language, inside: bool) -> str:
    """A word that is written for a digit: between digits only; "oh" also before one."""
    digit = language.near_digits.get(tokens[at].text, "")
    follows = _step(tokens, at + 1, language) is not None
    oh = digit == "0"
    return digit if digit and ((inside and (follows or oh)) or (oh and follows)) else ""
