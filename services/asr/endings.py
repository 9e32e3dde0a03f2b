"""Could an utterance end with these words? Log-odds from MiniLM's reading of them and a small head of our own.

The state of [SEP], which has read all the words, goes through one hidden layer. `benchmarks/turn_endings.py` learns the
head from whole utterances of other people and the same utterances cut short, says from whose, and what it is worth. It
knows English: texts in other languages get no opinion.
"""

import re
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

from services.minilm import Floats, MiniLm

LANGUAGE: Final = "en"
# What was learnt from had no more words; the end of a text is what counts.
MOST_WORDS: Final = 30
# Beyond these odds the head only extrapolates.
MOST_LOG_ODDS: Final = 6.0
_HEAD: Final = "endings_en.npz"
_WORDS: Final = re.compile(r"[^\W_]+(?:['’][^\W_]+)*")


class Reader(Protocol):
    """MiniLM, or what stands in for it in a test."""

    def states(self, text: str) -> Floats:
        """[T, 384], the last for [SEP]."""
        ...


@dataclass(frozen=True, slots=True)
class Head:
    """log-odds = second · max(0, state · first + first_bias) + second_bias. Shapes [384, H], [H], [H], []."""

    first: Floats
    first_bias: Floats
    second: Floats
    second_bias: float

    def log_odds(self, states: Floats) -> NDArray[np.float32]:
        """Of [..., 384]: [...]."""
        hidden = np.maximum(0.0, states @ self.first + self.first_bias)
        return np.asarray(hidden @ self.second + self.second_bias, dtype=np.float32)

    @classmethod
    def read(cls, path: Path) -> "Head":
        """As `save` wrote it."""
        with np.load(path) as arrays:
            first, first_bias, second = (arrays[name].astype(np.float32) for name in ("first", "first_bias", "second"))
            return cls(first, first_bias, second, float(arrays["second_bias"]))

    def save(self, path: Path) -> None:
        """As half floats: what that changes is far below what the head can tell."""
        arrays = {"first": self.first, "first_bias": self.first_bias, "second": self.second}
        halves = {name: array.astype(np.float16) for name, array in arrays.items()}
        np.savez(path, second_bias=np.float32(self.second_bias), **halves)  # type: ignore[arg-type]


def shipped_head() -> Head:
    """The one in the package."""
    with resources.as_file(resources.files(__package__) / _HEAD) as path:
        return Head.read(path)


def plain(text: str) -> str:
    """The last words, in lower case and without the recogniser's punctuation, which it sets at every pause."""
    return " ".join(_WORDS.findall(text.lower())[-MOST_WORDS:])


class Endings:
    """MiniLM and the head. 5 to 7 ms a text; called from one thread."""

    def __init__(self, reader: Reader, head: Head) -> None:
        self._reader = reader
        self._head = head

    @classmethod
    def load(cls, directory: Path) -> "Endings":
        """MiniLM from `directory`. Raises MissingModelError."""
        return cls(MiniLm(directory, "asr.ending_model"), shipped_head())

    def log_odds(self, text: str, language: str) -> float | None:
        """That an utterance of these words is whole rather than cut off; None: no words, or not English."""
        words = plain(text)
        if not words or language != LANGUAGE:
            return None
        odds = float(self._head.log_odds(self._reader.states(words)[-1]))
        return max(-MOST_LOG_ODDS, min(MOST_LOG_ODDS, odds))
