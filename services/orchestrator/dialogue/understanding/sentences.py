"""Whole sentences out of text that comes in pieces: each is known as soon as it has ended. Sans-I/O.

A sentence ends at a stop with a space behind it, so "3.50", "z.B." and a stop that may still become an ellipsis wait
for what follows. After an abbreviation or an ordinal ("Mr. Smith", "am 3. Mai") it goes on: cutting too late costs
time, cutting too early gives the claim guard half a sentence to judge.
"""

import re
from typing import Final

_END: Final = re.compile(r"[.!?…]+[\"'”’»)]*(?=\s)")
_GOES_ON: Final = re.compile(
    r"(?:\b(?:mr|mrs|ms|dr|st|no|nr|prof|vs|approx|bzw|ca|evtl|usw|str|tel|inkl|zzgl|etc)|\b\w|\d)\.$", re.IGNORECASE
)


class Sentences:
    """`feed` it text as it comes, `end` it when nothing more does. Nothing is lost but spaces between sentences."""

    def __init__(self) -> None:
        self._rest = ""

    def feed(self, text: str) -> list[str]:
        """Sentences that have ended by this text."""
        self._rest += text
        found: list[str] = []
        at = 0
        for end in _END.finditer(self._rest):
            sentence = self._rest[at : end.end()]
            if not _GOES_ON.search(sentence):
                found.append(sentence.strip())
                at = end.end()
        self._rest = self._rest[at:]
        return found

    def end(self) -> list[str]:
        """What is left; the text is all there."""
        rest, self._rest = self._rest.strip(), ""
        return [rest] if rest else []
