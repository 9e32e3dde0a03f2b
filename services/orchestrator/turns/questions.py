"""What a question asks for, from its words: a pure guess for agents that do not say it themselves.

An agent that knows (a slot with a type and a length) states its Expectation instead; a wrong guess only costs time.
"""

import re

from services.orchestrator.turns.expectation import OPEN, Expectation, KeypadRule, Kind
from services.orchestrator.turns.lexicon import lexicon
from services.orchestrator.turns.lexicon.words import Lexicon, words_of

_SENTENCES = re.compile(r"(?<=[.!?])\s+")
_COUNT = re.compile(
    r"\b(\d{1,2}|[^\W\d_]+)[ -]"
    r"(?:digits?|numbers?|letters?|characters?|stellig\w*|ziffern|buchstaben|cifras|dígitos|chiffres)\b"
)
MAX_LENGTH = 40


def expectation_of(text: str, locale: str) -> Expectation:
    """Of the last sentence that asks something. A statement leaves the caller free: OPEN."""
    words = lexicon(locale)
    asking = _asking_sentence(text, words)
    if not asking:
        return OPEN
    kind = _kind(asking, words)
    keys = _matches(words.question_keys, asking)
    if kind in ("digits", "spelling"):
        length = _length(asking, words)
        rule = KeypadRule(max_keys=length) if kind == "digits" and length else None
        return Expectation(kind, length, rule)
    if kind == "choice":
        return Expectation(kind, options=_options(asking, words), keypad=KeypadRule(max_keys=1) if keys else None)
    return Expectation(kind, keypad=KeypadRule(max_keys=1) if keys and kind == "yes_no" else None)


def _asking_sentence(text: str, words: Lexicon) -> str:
    """The last question, or the last sentence when it requests ("Please tell me your account number.")."""
    sentences = [str(sentence).strip().lower() for sentence in _SENTENCES.split(text.strip()) if sentence.strip()]
    for sentence in reversed(sentences):
        if sentence.endswith("?"):
            return sentence
    requests = (
        words.question_spelling
        + words.question_digits
        + words.question_story
        + words.question_date
        + words.question_keys
    )
    return sentences[-1] if sentences and _matches(requests, sentences[-1]) else ""


def _kind(sentence: str, words: Lexicon) -> Kind:
    if _matches(words.question_spelling, sentence):
        return "spelling"
    confirms = _matches(words.question_yes_no, sentence)
    if confirms and words.alternative and f" {words.alternative} " in sentence and not _confirms_only(sentence, words):
        return "choice"
    if _matches(words.question_story, sentence):
        return "story"
    if confirms and not _requests(sentence, words):
        return "yes_no"
    if words.alternative and f" {words.alternative} " in sentence and sentence.endswith("?"):
        return "choice"
    asked: tuple[tuple[Kind, tuple[str, ...]], ...] = (
        ("date", words.question_date),
        ("amount", words.question_amount),
        ("digits", words.question_digits),
    )
    for kind, patterns in asked:
        if _matches(patterns, sentence):
            return kind
    return "yes_no" if confirms else "open"


def _requests(sentence: str, words: Lexicon) -> bool:
    """ "Can you tell me your account number?" is answered by the number, "Is your number 4711?" by yes or no."""
    if any(character.isdigit() for character in sentence) and not _COUNT.search(sentence):
        return False
    asks = _matches(words.question_digits + words.question_date + words.question_amount, sentence)
    return asks and _matches(words.question_requests, sentence)


def _confirms_only(sentence: str, words: Lexicon) -> bool:
    said = set(words_of(sentence))
    return bool(said & words.yes) and bool(said & words.no)


def _matches(patterns: tuple[str, ...], sentence: str) -> bool:
    return any(re.search(pattern, sentence) for pattern in patterns)


def _length(sentence: str, words: Lexicon) -> int:
    found = _COUNT.search(sentence)
    if found is None:
        return 0
    said = found.group(1)
    number = int(said) if said.isdigit() else int(words.numbers.get(said, "0"))
    return min(number, MAX_LENGTH)


def _options(sentence: str, words: Lexicon) -> tuple[str, ...]:
    """The last words around "or": "morning" and "afternoon" in "would you prefer the morning or the afternoon?"."""
    before, _, after = sentence.rpartition(f" {words.alternative} ")
    last = words_of(re.split(r"[,;:]", before)[-1])[-1:]
    first = words_of(re.split(r"[,;:?]", after)[0])[-1:]
    return tuple(option for option in (*last, *first) if option)
