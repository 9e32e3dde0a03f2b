"""Which records a caller means: a reading against the fields that name a record. Pure.

A reading is a few of those fields ({"merchant": "Northern Rail", "amount_minor": 5000}) or the words themselves. A
record fits when nothing of the reading speaks against it; of those that fit, the ones that more speaks for come first.
"""

import re
from collections.abc import Mapping, Sequence

from rapidfuzz import fuzz

from services.orchestrator.control.model import Scalar
from services.orchestrator.dialogue.model import SlotData

# Of 100: a name said and recognised with a slip ("northern rail way") is still that name.
SAME_WORDS = 82
_WORD = re.compile(r"[^\W_]+")
Plain = Mapping[str, Scalar]


def matches(data: SlotData, records: Sequence[Plain], fields: Sequence[str]) -> list[int]:
    """Indexes of the records that are meant, those for which most speaks; order as given."""
    scored = [(_score(data, record, fields), index) for index, record in enumerate(records)]
    best = max((score for score, _ in scored), default=0)
    return [index for score, index in scored if score == best and score > 0]


def _score(data: SlotData, record: Plain, fields: Sequence[str]) -> int:
    if not isinstance(data, Mapping):
        return _words_score(str(data), record, fields)
    agreed = 0
    for name, wanted in data.items():
        if name not in record:
            continue
        if not _agrees(wanted, record[name]):
            return 0
        agreed += 1
    return agreed


def _agrees(wanted: Scalar, there: Scalar) -> bool:
    if isinstance(wanted, str) and isinstance(there, str):
        said, known = wanted.casefold().strip(), there.casefold().strip()
        # Numbers are not alike, they are the same or not.
        if any(char.isdigit() for char in known):
            return said == known
        return fuzz.token_set_ratio(said, known) >= SAME_WORDS
    if isinstance(wanted, bool) or isinstance(there, bool):
        return wanted is there
    return wanted == there


def _words_score(said: str, record: Plain, fields: Sequence[str]) -> int:
    words = [word.casefold() for word in _WORD.findall(said)]
    digits = re.sub(r"\D", "", said)
    score = 0
    for name in fields:
        there = record.get(name)
        if isinstance(there, str) and there.isdigit():
            score += 2 * (len(there) >= 3 and there in digits)
        elif isinstance(there, str) and not any(char.isdigit() for char in there):
            known = [word.casefold() for word in _WORD.findall(there)]
            hits = sum(any(fuzz.ratio(word, name_word) >= SAME_WORDS for word in words) for name_word in known)
            score += hits
        elif isinstance(there, int) and not isinstance(there, bool):
            score += 2 * (str(there) in words or (there % 100 == 0 and str(there // 100) in words))
    return score
