"""The shape of a language's lexicon, and how text is cut into words."""

import re
from dataclasses import dataclass, field

# Vowel signs of Indic and Thai scripts and combining accents belong to their words; dandas do not.
_MARKS = "\u0300-\u036f\u0900-\u0963\u0966-\u0dff\u0e31-\u0e4e\u200c\u200d"
_WORD = rf"(?:[^\W_][{_MARKS}]*)+"
_WORDS = re.compile(rf"{_WORD}(?:['’]{_WORD})*")
_SHORTER = str.maketrans({"’": "'"})


def words_of(text: str) -> list[str]:
    """Lower-case words without punctuation."""
    return _WORDS.findall(text.lower().translate(_SHORTER))


def normalized(text: str) -> str:
    """What must be equal for two transcripts to mean the same turn."""
    return " ".join(words_of(text))


def words(text: str) -> frozenset[str]:
    """A word list written as running text."""
    return frozenset(text.split())


def phrases(text: str) -> frozenset[tuple[str, ...]]:
    """Phrases, written with | between them, as tuples of words."""
    return frozenset(tuple(words_of(phrase)) for phrase in text.split("|"))


@dataclass(frozen=True, slots=True)
class Lexicon:
    """Words are lower case. Sets of tuples hold phrases; `numbers` maps a spoken number to the digits it stands for.

    `open_last`: a sentence hardly ever ends with it (conjunction, preposition, article); `weak_last`: it seldom does
    (auxiliaries, copulas, "that"); `open_phrases`: more must come after it ("I would like"); `announces`: a number or
    name is about to be given ("my number is"). `question_*` recognise what the agent asks (questions.py).
    """

    language: str
    open_last: frozenset[str] = frozenset()
    weak_last: frozenset[str] = frozenset()
    # Behind one of these and a `subject`, such a word does end a turn ("than he was", "what it is").
    clause_openers: frozenset[str] = frozenset()
    subjects: frozenset[str] = frozenset()
    fillers: frozenset[str] = frozenset()
    # A sentence that begins with one has its main clause at the end ("if I remember correctly, it was in May").
    subordinate: frozenset[str] = frozenset()
    open_phrases: frozenset[tuple[str, ...]] = frozenset()
    announces: frozenset[tuple[str, ...]] = frozenset()
    closings: frozenset[tuple[str, ...]] = frozenset()
    short_answers: frozenset[tuple[str, ...]] = frozenset()
    yes: frozenset[str] = frozenset()
    no: frozenset[str] = frozenset()
    # Answers even while the agent is still asking; "okay" is too easily said to be one.
    plain_answers: frozenset[str] = frozenset()
    # Said beside an answer without changing it: "yes please", "no thank you".
    polite: frozenset[str] = frozenset()
    backchannels: frozenset[str] = frozenset()
    # Those of more than one word, or long enough to be misheard as other words.
    listening: frozenset[tuple[str, ...]] = frozenset()
    # How people begin who take the floor.
    commands: frozenset[tuple[str, ...]] = frozenset()
    laughter: frozenset[str] = field(default_factory=lambda: words("ha haha hahaha heh hehe hah ahaha hihi haa ahh"))
    numbers: dict[str, str] = field(default_factory=dict)
    repeats: dict[str, int] = field(default_factory=dict)
    magnitudes: dict[str, int] = field(default_factory=dict)
    months: frozenset[str] = frozenset()
    weekdays: frozenset[str] = frozenset()
    relative_days: frozenset[str] = frozenset()
    ordinals: frozenset[str] = frozenset()
    currencies: frozenset[str] = frozenset()
    alternative: str = ""
    question_spelling: tuple[str, ...] = ()
    question_digits: tuple[str, ...] = ()
    question_date: tuple[str, ...] = ()
    question_amount: tuple[str, ...] = ()
    question_story: tuple[str, ...] = ()
    question_yes_no: tuple[str, ...] = ()
    # "Can you tell me …?": asks for the thing itself, not whether.
    question_requests: tuple[str, ...] = ()
    question_keys: tuple[str, ...] = ()
