"""What short answers mean: yes and no, which of several, what is said instead, stop, again, wait."""

from collections.abc import Sequence
from enum import Enum

from services.orchestrator.dialogue.locales.language import Language
from services.orchestrator.dialogue.locales.numbers import number_at
from services.orchestrator.dialogue.locales.settle import SURE, UNEXPLAINED, repairs
from services.orchestrator.dialogue.locales.tokens import Token, mask, starts, texts, tokens_of

BOTH = 0.55
CONTRAST = 0.5


class NoReference(Enum):
    """Nothing is pointed at (None means: the one in focus)."""

    NO_REFERENCE = "no reference"


NO_REFERENCE = NoReference.NO_REFERENCE


def yes_no(text: str, language: Language) -> tuple[bool, float] | None:
    """Yes or no, and how sure; None when neither was said. Of both, the last counts, and is not sure."""
    tokens = tokens_of(text, language.fillers)
    marks, taken = _polarities(tokens, language)
    if not marks:
        return None
    hold = mask(tokens, language.hold)
    rest = [
        index
        for index, token in enumerate(tokens)
        if index not in taken and index not in hold and token.text not in language.carriers
    ]
    confidence = SURE * (1 - UNEXPLAINED * len(rest) / (len(rest) + len(taken)))
    if len(set(marks)) > 1:
        confidence = min(confidence, BOTH)
    if any(token.text in language.contrast for token in tokens):
        confidence = min(confidence, CONTRAST)
    return marks[-1], round(confidence, 3)


def only_yes(text: str, language: Language) -> bool:
    """A yes and not one word beside it: "please" alone is none of a sentence that asks for something."""
    tokens = tokens_of(text, language.fillers)
    return bool(tokens) and len(mask(tokens, language.yes)) == len(tokens)


def only_no(text: str, language: Language) -> bool:
    """A no, thanks or a goodbye beside it, and nothing else: "can you stop it" has a no in it and is none."""
    tokens = tokens_of(text, language.fillers)
    beside = mask(tokens, (*language.no, *language.yes, *language.text_closings, *language.farewell))
    said = yes_no(text, language)
    return bool(tokens) and len(beside) == len(tokens) and said is not None and not said[0]


def reference(text: str, count: int, language: Language) -> int | NoReference | None:
    """Which of `count` offered records: from 0, -1 the last, None the one in focus."""
    tokens = tokens_of(text, language.fillers)
    waiting = mask(tokens, language.hold)
    for at, token in enumerate(tokens):
        if at in waiting:
            continue
        before = tokens[at - 1].text if at else ""
        after = tokens[at + 1].text if at + 1 < len(tokens) else ""
        points = (
            before in language.which_articles
            or after in language.which_nouns
            or all(other.text in language.carriers or other is token for other in tokens)
        )
        if token.text in language.which_positions and points and after not in _no_place(language, tokens, at):
            place = language.which_positions[token.text]
            return place if place < count else NO_REFERENCE
        if token.text in language.last_of and points and _last_of_offered(tokens, at, language):
            return -1
        if token.text in language.number_nouns and (number := number_at(tokens, at + 1, language)):
            place = int(number.value) - 1
            return place if 0 <= place < count and number.end >= len(tokens) - 1 else NO_REFERENCE
    return None if _in_focus(tokens, language) else NO_REFERENCE


def repair(text: str, language: Language) -> str | None:
    """What is said instead, as it was heard; None when nothing is ("no", "no, that's right")."""
    tokens = tokens_of(text, language.fillers)
    for at in range(len(tokens) - 1):
        if tokens[at].text in language.negations:
            instead = _after_denial(text, tokens, at, language)
            if instead:
                return instead
    ends = [at + size for at, size in repairs(tokens, language)]
    for end in reversed(ends):
        rest = tokens[end:]
        polite = mask(rest, (*language.yes, *language.no, *language.text_closings, *language.hold))
        # "one" and "it" alone say nothing, but a number does.
        says = [i for i, token in enumerate(rest) if i not in polite and token.text not in language.carriers]
        if says or any(number_at(rest, i, language) for i in range(len(rest)) if i not in polite):
            return text[rest[0].start :].strip()
    return None


def cancels(text: str, language: Language) -> bool:
    """The caller drops what is being done. "Cancel my card" is a goal, not this."""
    tokens = tokens_of(text, language.fillers)
    polite = mask(tokens, (*language.text_closings, *language.yes, *language.no, *language.repairs))
    alone = [token.text for index, token in enumerate(tokens) if index not in polite] in (
        ["cancel"],
        ["abbrechen"],
        ["stop"],
        ["stopp"],
        ["stornieren"],
    )
    return alone or _only(tokens, language.cancel, language)


def asks_again(text: str, language: Language) -> bool:
    """The caller wants to hear the last sentence again."""
    tokens = tokens_of(text, language.fillers)
    sorry = texts(tokens) in (("sorry",), ("pardon",), ("bitte",), ("was",), ("what",)) and text.rstrip().endswith("?")
    return sorry or _only(tokens, language.repeat, language)


def holds(text: str, language: Language) -> bool:
    """The caller needs a moment."""
    return _only(tokens_of(text, language.fillers), language.hold, language)


def takes_leave(text: str, language: Language) -> bool:
    """Goodbye, or that this was all; a no beside it changes nothing."""
    return _only(tokens_of(text, language.fillers), language.farewell, language)


def _only(tokens: Sequence[Token], choices: tuple[tuple[str, ...], ...], language: Language) -> bool:
    """One of the phrases, and little beside it."""
    taken = mask(tokens, choices)
    rest = [i for i, token in enumerate(tokens) if i not in taken and token.text not in language.carriers]
    polite = mask(tokens, (*language.no, *language.yes, *language.repairs))
    rest = [i for i in rest if i not in polite]
    return bool(taken) and len(rest) <= 1


def _polarities(tokens: Sequence[Token], language: Language) -> tuple[list[bool], set[int]]:
    """True and False in order, by the longest phrase at each place; what is unsure is neither."""
    marks: list[bool] = []
    taken: set[int] = set()
    at = 0
    while at < len(tokens):
        unsure = starts(tokens, at, language.unsure)
        no = starts(tokens, at, language.no)
        yes = starts(tokens, at, language.yes)
        size = max(unsure, no, yes)
        if size and size > unsure:
            marks.append(yes > no)
            taken |= set(range(at, at + size))
        at += size or 1
    return marks, taken


def _in_focus(tokens: Sequence[Token], language: Language) -> bool:
    for at in range(len(tokens)):
        size = starts(tokens, at, language.in_focus)
        rest = [t for i, t in enumerate(tokens) if not at <= i < at + size and t.text not in language.carriers]
        if size and not [t for t in rest if starts([t], 0, language.yes) == 0]:
            return True
    return False


def _no_place(language: Language, tokens: Sequence[Token], at: int) -> frozenset[str]:
    """What makes "the second" a day of a month ("the second of May")."""
    following = [token.text for token in tokens[at + 1 : at + 4]]
    if any(word in language.months for word in following):
        return frozenset(following)
    return frozenset()


def _last_of_offered(tokens: Sequence[Token], at: int, language: Language) -> bool:
    """ "The last one", not "the last four", "last Tuesday", "last week"."""
    after = tokens[at + 1].text if at + 1 < len(tokens) else ""
    if after in language.weekdays or after in language.units or after in language.months or after in ("month", "year"):
        return False
    if after in ("digits", "ziffern", "name", "namen", "monat", "jahr", "night", "time") or after == "mal":
        return False
    number = number_at(tokens, at + 1, language) if after else None
    return number is None or number.weak


def _after_denial(text: str, tokens: Sequence[Token], at: int, language: Language) -> str:
    """ "fifteen" of "not fifty, fifteen" and of "fifteen, not fifty"; only where a comma or a number parts them."""
    denied = number_at(tokens, at + 1, language)
    end = denied.end if denied is not None else _comma(text, tokens, at)
    size = starts(tokens, end, language.repairs) if end else 0
    rest = tokens[end + size :] if end else []
    if rest and any(token.text not in language.carriers or token.numeral for token in rest):
        return text[rest[0].start :].strip()
    if denied is None or not any(number_at(tokens, i, language) for i in range(at)):
        return ""
    before = [token for token in tokens[:at] if not starts([token], 0, language.repairs)]
    return text[before[0].start : before[-1].end].strip() if before else ""


def _comma(text: str, tokens: Sequence[Token], at: int) -> int:
    for index in range(at + 1, len(tokens)):
        if "," in text[tokens[index - 1].end : tokens[index].start]:
            return index
    return 0
