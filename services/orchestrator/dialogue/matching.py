"""Which records a caller means: a reading against the fields that name a record. Pure.

A reading is a few of those fields or the words themselves. What is typed (an amount, a day, last digits) must agree;
words name a record when they are like one of its names, and may be about nothing ("the one I paid with"). Of the
records that fit, those that most speaks for are meant.
"""

import re
from collections.abc import Mapping, Sequence

from rapidfuzz import fuzz

from services.orchestrator.control.model import Scalar
from services.orchestrator.dialogue.model import SlotData

# Of 100: a name said and recognised with a slip ("northern rail way") is still that name.
SAME_WORDS = 82
# A name of so many letters is heard within a longer word ("Debitkarte").
LEAST_PART = 4
# Last digits, fewer than there are: at least so many.
LEAST_DIGITS = 2
# Likeness of words to a name that they are.
BY_NAME = 2
_WORD = re.compile(r"[^\W_]+")
Plain = Mapping[str, Scalar]


def matches(data: SlotData, records: Sequence[Plain], fields: Sequence[str]) -> list[int]:
    """Indexes of the records that are meant, those for which most speaks; order as given."""
    scored = [(_score(data, record, fields), index) for index, record in enumerate(records)]
    best = max((score for score, _ in scored), default=0)
    return [index for score, index in scored if score == best and score > 0]


def named_by(data: Mapping[str, Scalar], record: Plain) -> bool:
    """Whether the words are the name of a record, and nothing else is said of it."""
    there = {name: record.get(name) for name in data}
    return bool(data) and all(
        isinstance(said, str) and isinstance(known, str) and not _numeric(known) and _likeness(said, known) == BY_NAME
        for said, known in ((said, there[name]) for name, said in data.items())
    )


def _score(data: SlotData, record: Plain, fields: Sequence[str]) -> int:
    if not isinstance(data, Mapping):
        return _words_score(str(data), record, fields)
    typed, named = 0, 0
    for name, wanted in data.items():
        there = record.get(name)
        if there is None:
            continue
        if isinstance(there, str) and isinstance(wanted, str) and not _numeric(there):
            named = max(named, _likeness(wanted, there))
            continue
        agreed = _agrees(name, wanted, there)
        if not agreed:
            return 0
        typed += agreed
    return typed + named


def _numeric(text: str) -> bool:
    """Last digits and days; a name may have a number in it ("Shop 24") and is a name all the same."""
    digits = sum(char.isdigit() for char in text)
    return digits * 2 >= len(text)


def _agrees(name: str, wanted: Scalar, there: Scalar) -> int:
    """0: it speaks against it."""
    if isinstance(wanted, str) and isinstance(there, str):
        said = wanted.strip()
        if said == there:
            return 2
        return int(said.isdigit() and len(said) >= LEAST_DIGITS and there.isdigit() and there.endswith(said))
    if isinstance(wanted, bool) or isinstance(there, bool) or isinstance(wanted, str) or isinstance(there, str):
        return 2 * (wanted is there)
    if wanted == there:
        return 2
    # "Twelve pounds" of 12.50: people leave the pence away.
    whole = name.endswith("_minor") and wanted % 100 == 0
    return int(whole and there // 100 * 100 == wanted)


def _likeness(said: str, known: str) -> int:
    said, known = said.casefold().strip(), known.casefold().strip()
    if not said:
        return 0
    if fuzz.token_set_ratio(said, known) >= SAME_WORDS:
        return BY_NAME
    # German writes as one word what is two: "Debitkarte" names the debit card.
    if len(known) >= LEAST_PART and any(known in word for word in said.split()):
        return BY_NAME
    words, names = _WORD.findall(said), [name for name in _WORD.findall(known) if len(name) >= LEAST_PART]
    return int(any(fuzz.ratio(word, name) >= SAME_WORDS for word in words for name in names))


def _words_score(said: str, record: Plain, fields: Sequence[str]) -> int:
    words = [word.casefold() for word in _WORD.findall(said)]
    digits = re.sub(r"\D", "", said)
    score = 0
    for name in fields:
        there = record.get(name)
        if isinstance(there, str) and _numeric(there):
            score += 2 * (there.isdigit() and len(there) > LEAST_DIGITS and there in digits)
        elif isinstance(there, str):
            known = [word.casefold() for word in _WORD.findall(there)]
            score += sum(any(fuzz.ratio(word, name_word) >= SAME_WORDS for word in words) for name_word in known)
        elif isinstance(there, int) and not isinstance(there, bool):
            score += 2 * (str(there) in words or (there % 100 == 0 and str(there // 100) in words))
    return score
