"""Could an utterance end where its words end? Log-odds from the words alone, by weights learnt from many utterances.

A logistic regression over the last words, their endings, the first words and how many there are. Positive are whole
utterances of callers, negative the same utterances cut behind every earlier word; both count the same in all, so that 0
is even odds.
`benchmarks/turn_tails.py` fits it and says from what; a language without weights has no opinion (0).
"""

import functools
from collections.abc import Mapping, Sequence
from importlib import resources

# The words of a text that are looked at; beyond them only how many there are.
LONGEST = 12
# What the weights say beyond this is not evidence, but extrapolation.
MOST_LOG_ODDS = 6.0
_LANGUAGES = ("en",)
_SUFFIX = 3


def features(words: Sequence[str]) -> list[str]:
    """Names of what is looked at: the last one to three words, endings of the last two, first words and length."""
    plain = [_plain(word) for word in words]
    last = plain[-1]
    before = plain[-2] if len(plain) > 1 else "^"
    third = plain[-3] if len(plain) > 2 else "^" if len(plain) == 2 else "^^"
    ending, ending_before = _ending(last), _ending(before)
    length = f"{min(len(plain), LONGEST)}"
    first = " ".join(plain[:2])
    return [
        "bias",
        f"1 {last}",
        f"2 {before} {last}",
        f"3 {third} {before} {last}",
        f"e {ending}",
        f"b {before} {ending}",
        f"l {ending_before} {last}",
        f"p {before}",
        f"q {third} {before}",
        f"n {length}",
        f"f {first} {length}",
        f"s {plain[0]}",
        f"k {plain[0]} {last}",
    ]


def knows(language: str) -> bool:
    """There are weights for it."""
    return language in _LANGUAGES


def log_odds(words: Sequence[str], language: str) -> float:
    """Of "whole" against "cut off here"; 0.0 for no words or a language without weights."""
    if not words or not knows(language):
        return 0.0
    weights = _weights(language)
    total = sum(weights.get(name, 0.0) for name in features(words))
    return max(-MOST_LOG_ODDS, min(MOST_LOG_ODDS, total))


def _plain(word: str) -> str:
    return "<number>" if word[0].isdigit() else word


def _ending(word: str) -> str:
    return word if len(word) <= _SUFFIX or word[0] in "<^" else "-" + word[-_SUFFIX:]


@functools.cache
def _weights(language: str) -> Mapping[str, float]:
    text = resources.files(__package__).joinpath("lexicon", f"tails_{language}.tsv").read_text(encoding="utf-8")
    rows = (line.split("\t") for line in text.splitlines() if line and not line.startswith("#"))
    return {name: float(weight) for name, weight in rows}
