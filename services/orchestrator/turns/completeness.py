"""How complete a text reads: signs with weights, added up as log-odds.

The signs are independent evidence in the sense of naive Bayes: each has a weight, the log of how much more often it is
seen at the end of a turn than at a pause inside one. WEIGHTS says where they come from.
"""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass

from services.orchestrator.turns.answers import Extent, extent, spelled_letters, spoken_digits
from services.orchestrator.turns.expectation import OPEN, Expectation
from services.orchestrator.turns.lexicon.words import Lexicon, words_of
from services.orchestrator.turns.tail import knows
from services.orchestrator.turns.tail import log_odds as tail_log_odds

# Fitted by `python -m benchmarks.turn_weights` (maximum a posteriori, a Gaussian prior of width 1) to 757 dips of 390
# items of the tuning half of the turn-taking set, half of them ends. What is rare there stays near its prior. Set by
# hand: digits and letters last (the few that were seen were read off playing cards) and short answers.
WEIGHTS: Mapping[str, float] = {
    "full stop": 1.6,
    "question mark": 1.15,
    "no stop": 1.6,
    "trailing off": 0.1,
    "filler last": -4.2,
    "open word last": -1.75,
    "weak word last": -1.2,
    "open phrase": -2.0,
    "subordinate clause": -2.6,
    "number announced": -2.5,
    "digits last": -2.6,
    "letters last": -2.6,
    "closing phrase": -0.3,
    "short answer": 2.0,
    "one word": -1.4,
    "whole answer": 3.6,
    "answered": -1.7,
    "part of the answer": -3.0,
    "not the answer yet": -1.4,
    "story": -1.2,
}
# In a language whose tails (tail.py) nobody has learnt, lists of last words have to say all of it.
WITHOUT_TAIL: Mapping[str, float] = {
    **WEIGHTS,
    "full stop": 1.85,
    "question mark": 1.6,
    "no stop": 0.7,
    "trailing off": -0.3,
    "number announced": -3.3,
    "short answer": 1.9,
    "open word last": -3.9,
    "weak word last": -2.7,
    "open phrase": -3.1,
    "closing phrase": 0.6,
    "one word": -0.9,
}
# Of the log-odds that other people's utterances end with such words (tail.py), where an answer is not counted.
TAIL = 0.55
# Where the recogniser says of its text how likely an utterance ends so (a language model's reading: services/asr), that
# counts, and the words by themselves count less: both have learnt from the same people.
ENDING, TAIL_BESIDE_ENDING = 0.52, 0.4
# Of the recogniser's log-probability per token below SURE_LOGPROB: the words it is unsure of are often the last one
# misheard, or left out.
MISHEARD = -1.6
SURE_LOGPROB, LEAST_LOGPROB = -0.2, -1.0
_MEASURED = ("whole answer", "answered", "part of the answer", "short answer", "digits last", "letters last")
_OF_EXTENT: dict[Extent, str] = {
    "whole": "whole answer",
    "answered": "answered",
    "part": "part of the answer",
    "none": "not the answer yet",
}
_SENTENCES = re.compile(r"(?<=[.!?])\s+")
LONGEST_PHRASE = 5
# A sentence longer than this that begins with "unless" has its main clause in it, comma or not.
LONGEST_SUBORDINATE = 9
# "The other one" and "until nine" end with a digit, but are no number in the making.
LEAST_DIGITS = 2


@dataclass(frozen=True, slots=True)
class Reading:
    """`log_odds` of "complete" from the text alone; `signs` that were seen; `certain`: nothing can follow.

    `tail`: what the last words say by themselves, before it is weighed; 0.0 where they are not asked. `ending`: what
    the recogniser says of the text's end, likewise; None where it says nothing. `misheard`: how unsure the recogniser
    is of the words, in nats per token.
    """

    log_odds: float
    signs: tuple[str, ...]
    certain: bool = False
    tail: float = 0.0
    misheard: float = 0.0
    ending: float | None = None

    @property
    def probability(self) -> float:
        """p(complete | text)."""
        return 1 / (1 + math.exp(-self.log_odds))


def read(
    text: str,
    lexicon: Lexicon,
    expected: Expectation = OPEN,
    logprob: float = 0.0,
    ending: float | None = None,
) -> Reading:
    """Judge `text`, said in answer to `expected`; `logprob`: the recogniser's, per token (0.0: not known); `ending`:
    its log-odds that an utterance of these words is whole (None: not known).

    No words: no evidence.
    """
    signs = tuple(_signs(text.strip(), lexicon, expected))
    certain = "whole answer" in signs or ("short answer" in signs and expected.kind in ("open", "yes_no", "choice"))
    open_ended = any(sign in signs for sign in ("trailing off", "filler last", "open word last"))
    weights = WEIGHTS if knows(lexicon.language) else WITHOUT_TAIL
    tail = _tail(text, signs, lexicon)
    if not signs or _measured(signs):
        ending = None
    misheard = 0.0
    if signs and not certain and "part of the answer" not in signs:
        misheard = SURE_LOGPROB - min(SURE_LOGPROB, max(LEAST_LOGPROB, logprob))
    form = TAIL * tail if ending is None else TAIL_BESIDE_ENDING * tail + ENDING * ending
    weighed = sum(weights[sign] for sign in signs) + form + MISHEARD * misheard
    return Reading(weighed, signs, certain and not open_ended, tail, misheard, ending)


def _measured(signs: tuple[str, ...]) -> bool:
    """Numbers, letters, dates and short answers are measured against the question, sentences by their form."""
    return any(sign in signs for sign in _MEASURED)


def _tail(text: str, signs: tuple[str, ...], lexicon: Lexicon) -> float:
    if _measured(signs):
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
    if whole != "whole" and not short and _only_subordinate(text, lexicon):
        signs.append("subordinate clause")
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


def _only_subordinate(text: str, lexicon: Lexicon) -> bool:
    """ "If I remember correctly": the main clause is still to come. A comma, or a question, and it may be there."""
    sentence = _SENTENCES.split(text)[-1]
    if sentence.endswith("?") or "," in sentence.rstrip(", "):
        return False
    skipped = lexicon.fillers | lexicon.yes | lexicon.no
    words = [word for word in words_of(sentence) if word not in skipped]
    return bool(words) and words[0] in lexicon.subordinate and len(words) <= LONGEST_SUBORDINATE


def _clause_ends(words: list[str], lexicon: Lexicon) -> bool:
    """ "…than he was", "…what it is": the verb stands last because its complement stands first."""
    return len(words) > 2 and words[-2] in lexicon.subjects and words[-3] in lexicon.clause_openers


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
    if last in lexicon.weak_last and not _clause_ends(words, lexicon):
        return ["weak word last"]
    if expected.kind not in ("digits", "date", "amount") and spoken_digits(text, lexicon).ends_with >= LEAST_DIGITS:
        return ["digits last"]
    if expected.kind != "spelling" and len(last) == 1 and last.isalpha() and spelled_letters(text) > 1:
        return ["letters last"]
    return ["one word"] if len(words) == 1 else []
