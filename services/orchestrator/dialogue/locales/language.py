"""What a language contributes to the grammars, as data: its words for digits, letters, money, days, yes and no."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal

Phrase = tuple[str, ...]


def words(text: str) -> frozenset[str]:
    """The words of `text`, case-folded as tokens are."""
    return frozenset(text.casefold().split())


def phrases(text: str) -> tuple[Phrase, ...]:
    """Phrases separated by "|", longest first, so that the longest match is found first."""
    found = {tuple(phrase.casefold().split()) for phrase in text.split("|") if phrase.strip()}
    return tuple(sorted(found, key=lambda phrase: (-len(phrase), phrase)))


def table(text: str) -> dict[str, str]:
    """ "b: bee be; c: see" as {"bee": "b", "be": "b", "see": "c"}."""
    pairs = (entry.split(":") for entry in text.casefold().split(";") if entry.strip())
    return {word: value.strip() for value, said in pairs for word in said.split()}


@dataclass(frozen=True, slots=True)
class Money:
    """One word for money: which currency (empty: that of the call), and whether it is the hundredth part."""

    currency: str
    minor: bool = False
    # A tenner: the word holds its own number.
    worth: int = 0


@dataclass(frozen=True, slots=True)
class Denial:
    """How something is denied (denial.py)."""

    # "don't", "do not": small words may stand between it and what is denied.
    before: tuple[Phrase, ...] = ()
    # "no": denies what follows at once.
    directly: frozenset[str] = frozenset()
    # "nicht" at the end of the clause, behind what is denied.
    behind: frozenset[str] = frozenset()
    # Small words between.
    light: frozenset[str] = frozenset()
    # A sentence with one of these asks, and denies nothing.
    asks: tuple[Phrase, ...] = ()


@dataclass(frozen=True, slots=True)
class Language:
    """Tables of one locale. All words are case-folded; phrases are tuples of words."""

    # For babel ("en_GB"; several where a locale mixes languages) and for phonenumbers ("GB").
    babel: tuple[str, ...]
    region: str
    # A cardinal number in words, or None; words → ordinal, or None.
    cardinal: Callable[[Sequence[str]], int | None]
    ordinal: Callable[[Sequence[str]], int | None]
    decimal_mark: str
    group_mark: str
    digits: Mapping[str, str]
    # Words that a recogniser writes for a digit ("to", "for"): digits only between digits.
    near_digits: Mapping[str, str]
    times: Mapping[str, int]
    scales: Mapping[str, int]
    # Words that are numbers but also articles or pronouns: a number only with a unit, or alone.
    weak_numbers: frozenset[str]
    letters: Mapping[str, str]
    alphabet: Mapping[str, str]
    such_as: tuple[Phrase, ...]
    marks: Mapping[Phrase, str]
    letter_pairs: tuple[tuple[str, str], ...]
    fillers: frozenset[str]
    carriers: frozenset[str]
    negations: frozenset[str]
    repairs: tuple[Phrase, ...]
    # "fifty" after "not": where the negation stands behind the value (Hindi).
    negates_behind: bool
    money: Mapping[str, Money]
    point: frozenset[str]
    joins: frozenset[str]
    approximate: frozenset[str]
    # "Or", "to": either of two values.
    alternatives: frozenset[str]
    half: Mapping[Phrase, Decimal]
    homophones: tuple[tuple[str, ...], ...]
    # Numbers are written as one word, so what is misheard is a part of it.
    compounds: bool
    days: Mapping[Phrase, int]
    months: Mapping[str, int]
    weekdays: Mapping[str, int]
    last: frozenset[str]
    next: frozenset[str]
    this: frozenset[str]
    units: Mapping[str, int]
    ago_before: frozenset[str]
    ago_after: frozenset[str]
    ahead_before: frozenset[str]
    day_marks: frozenset[str]
    month_joins: frozenset[str]
    tail_cues: tuple[Phrase, ...]
    yes: tuple[Phrase, ...]
    no: tuple[Phrase, ...]
    unsure: tuple[Phrase, ...]
    contrast: frozenset[str]
    cancel: tuple[Phrase, ...]
    repeat: tuple[Phrase, ...]
    hold: tuple[Phrase, ...]
    in_focus: tuple[Phrase, ...]
    last_of: frozenset[str]
    which_nouns: frozenset[str]
    which_articles: frozenset[str]
    which_positions: Mapping[str, int]
    number_nouns: frozenset[str]
    # Beginnings and endings of a sentence that are not part of a free text.
    text_openings: tuple[Phrase, ...]
    text_closings: tuple[Phrase, ...]
    no_answer: tuple[Phrase, ...] = field(default=())
    # Nothing more is wanted.
    farewell: tuple[Phrase, ...] = field(default=())
    # An act that was asked for before is not wanted any more; `take_back_softly` may also be said of a new wish.
    take_back: tuple[Phrase, ...] = field(default=())
    take_back_softly: tuple[Phrase, ...] = field(default=())
    # What is said not to be so, or not to be wanted.
    denial: Denial = field(default=Denial())
