"""LocalAgreement-2 (Liu et al., 2020; Macháček et al., 2023): two successive hypotheses make a word stable."""

import re
from collections.abc import Sequence


class LocalAgreement:
    """Stable and unstable text of one utterance. Stable words never change or disappear."""

    def __init__(self) -> None:
        self._stable: list[str] = []
        self._previous: list[str] = []

    def update(self, text: str) -> tuple[str, str]:
        """Take the newest hypothesis of the whole utterance; returns (stable, unstable)."""
        words = text.split()
        rest = words[_covered(self._stable, words) :]
        before = self._previous[_covered(self._stable, self._previous) :]
        agreed = 0
        for old, new in zip(before, rest, strict=False):
            if _key(old) != _key(new):
                break
            agreed += 1
        self._stable += rest[:agreed]
        self._previous = words
        return " ".join(self._stable), " ".join(rest[agreed:])


def _covered(stable: Sequence[str], words: Sequence[str]) -> int:
    """How many of `words` say what `stable` says: the prefix with the least edit distance to it.

    A hypothesis may spell, drop or add a word within what is stable already; its rest must still follow it.
    """
    keys = [_key(word) for word in words]
    row = list(range(len(keys) + 1))
    for count, word in enumerate(map(_key, stable), start=1):
        diagonal, row[0] = row[0], count
        for j, key in enumerate(keys, start=1):
            diagonal, row[j] = row[j], min(diagonal + (word != key), row[j] + 1, row[j - 1] + 1)
    least = min(row)
    # Of equal ones the longest: rather a word less than the same word twice.
    return max(j for j, distance in enumerate(row) if distance == least)


def _key(word: str) -> str:
    """Case and punctuation are no disagreement; a word of punctuation alone is compared as it is."""
    return re.sub(r"[^\w]", "", word.lower()) or word
