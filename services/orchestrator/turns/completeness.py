"""How complete a text reads: signs with weights, added up as log-odds.

The signs are independent evidence in the sense of naive Bayes: each has a weight, the log of how much more often it is
seen at the end of a turn than at a pause inside one. WEIGHTS says where they come from.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

from services.orchestrator.turns.answers import Extent, extent, spelled_letters, spoken_digits
from services.orchestrator.turns.expectation import OPEN, Expectation
from services.orchestrator.turns.lexicon.words import Lexicon, words_of
from services.orchestrator.turns.tail import log_odds as tail_log_odds

# Fitted by `python -m benchmarks.turn_weights` (maximum a posteriori, a Gaussian prior of width 1 around weights set by
# hand) to 558 dips of 345 items of the tuning half of the turn-taking set, half of them ends. What is rare there stays
# near its prior; digits and letters last are set by hand, because the few that were seen were read off playing cards.
WEIGHTS: Mapping[str, float] = {
    "full stop": 1.85,
    "question mark": 1.6,
    "no stop": 0.7,
    "trailing off": -0.3,
    "filler last": -4.2,
    "open word last": -3.9,
    "weak word last": -2.7,
    "open phrase": -3.1,
    "number announced": -3.3,
    "digits last": -1.6,
    "letters last": -1.6,
    "closing phrase": 0.6,
    "short answer": 1.9,
    "one word": -0.9,
    "whole answer": 4.3,
    "answered": -2.0,
    "part of the answer": -2.8,
    "not the answer yet": -1.5,
    "story": -1.2,
}
# Of the log-odds that other people's utterances end with such words (tail.py), where an answer is not counted.
TAIL = 0.6
_OF_EXTENT: dict[Extent, str] = {
    "whole": "whole answer",
    "answered": "answered",
    "part": "part of the answer",
    "none": "not the answer yet",
}
_MEASURED = ("whole answer", "answered", "part of the answer", "short answer", "digits last", "letters last")
LONGEST_PHRASE = 5
# "The other one" and "until nine" end with a digit, but are no number in the making.
LEAST_DIGITS = 2


@dataclass(frozen=True, slots=True)
class Reading:
    """`log_odds` of "complete" from the text alone; `signs` that were seen; `certain`: nothing can follow.

    `tail`: what the last words say by themselves, before it is weighed; 0.0 where they are not asked.
    """

    log_odds: float
    signs: tuple[str, ...]
    certain: bool = False
    tail: float = 0.0

    @property
    def probability(self) -> float:
        """p(complete | text)."""
        return 1 / (1 + math.exp(-self.log_odds))


def read(text: str, lexicon: Lexicon, expected: Expectation = OPEN) -> Reading:
    """Judge `text`, said in answer to `expected`. No words: no evidence."""
    signs = tuple(_signs(text.strip(), lexicon, expected))
    certain = "whole answer" in signs or ("short answer" in signs and expected.kind in ("open", "yes_no", "choice"))
    open_ended = any(sign in signs for sign in ("trailing off", "filler last", "open word last"))
    tail = _tail(text, signs, lexicon)
    weighed = sum(WEIGHTS[sign] for sign in signs) + TAIL * tail
    return Reading(weighed, signs, certain and not open_ended, tail)


def _tail(text: str, signs: tuple[str, ...], lexicon: Lexicon) -> float:
    """Sentences only: numbers, letters, dates and short answers are measured against the question."""
    if any(sign in signs for sign in _MEASURED):
        return 0.0
    return tail_log_odds(words_of(text), lexicon.language)


def _signs(text: str, lexicon: Lexicon, expected: Expectation) -> list[str]:
    words = words_of(text)
    if not words:
        return []
    whole = extent(text, expected, lexicon)
    signs = _of_expectation(expected, whole)
    short = tuple(words) in lexicon.short_answers or all(w in lexicon.yes or w in lexicon.no for w in words)
    if short:
        signs.append("short answer")
    if text.endswith((",", "-", "–", "—", "…", "...")):
        signs.append("trailing off")
    elif not short:
        signs.append(_stop(text))
    if whole != "whole" and not short:
        signs += _of_last_words(words, text, lexicon, expected)
    return signs


def _of_expectation(expected: Expectation, whole: Extent) -> list[str]:
    if expected.kind == "story":
        return ["story"]
    return [] if expected.kind == "open" else [_OF_EXTENT[whole]]


def _stop(text: str) -> str:
    if text.endswith("?"):
        return "question mark"
    return "full stop" if text.endswith((".", "!", "।", "。")) else "no stop"


def _of_last_words(words: list[str], text: str, lexicon: Lexicon, expected: Expectation) -> list[str]:
    """What the text ends with; the strongest sign of its kind only."""
    last = words[-1]
    if last in lexicon.fillers:
        return ["filler last"]
    tails = {tuple(words[-size:]) for size in range(1, LONGEST_PHRASE + 1)}
    if tails & lexicon.announces:
        return ["number announced"]
    if last in lexicon.open_last:
        return ["open word last"]
    if tails & lexicon.closings:
        return ["closing phrase"]
    if tails & lexicon.open_phrases:
        return ["open phrase"]
    if last in lexicon.weak_last:
        return ["weak word last"]
    if expected.kind not in ("digits", "date", "amount") and spoken_digits(text, lexicon).ends_with >= LEAST_DIGITS:
        return ["digits last"]
    if expected.kind != "spelling" and len(last) == 1 and last.isalpha() and spelled_letters(text) > 1:
        return ["letters last"]
    return ["one word"] if len(words) == 1 else []
