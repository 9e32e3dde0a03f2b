"""Learns where utterances end: `python -m benchmarks.turn_tails --corpus DIR` writes turns/lexicon/tails_en.tsv.

Text: what callers and users wrote or said to banks, restaurants, hotels, coffee bars and cinemas, from two public
collections, both CC BY 4.0: PolyAI's task-specific-datasets (banking77, span extraction, NLU++; Casanueva et al. 2020
and 2022, Coope et al. 2020) and Google's Taskmaster-3 and -4 (Byrne et al.). `--corpus` is a directory with their files
in the folders `task-specific-datasets` and `Taskmaster`; `SOURCES` says which. Nothing of the turn-taking set is in it,
of neither half.

Model: turns/tail.py. Each utterance is one positive example and, cut behind each earlier word, negatives that weigh one
together: as if every caller paused once, anywhere. So it also knows how long utterances are, which is worth as much as
their form on the turn-taking set, whose pauses come early; with examples weighed alike at each length (`--form-only`)
a short sentence is no less complete than a long one. Adagrad on the log-loss with a Gaussian prior; rare features are
left out before, small weights after.
"""

import argparse
import collections
import csv
import json
import random
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from services.orchestrator.turns import tail
from services.orchestrator.turns.lexicon.words import words_of

OUT = Path(tail.__file__).parent / "lexicon" / "tails_en.tsv"
LEAST_SEEN = 10
LEAST_WEIGHT = 0.1
PRIOR = 1e-5
EPOCHS = 120
BATCH = 2048
STEP = 0.1
HELD_OUT = 3_000
MOST_WORDS = 30

Floats = NDArray[np.float64]


def _banking(path: Path) -> Iterator[str]:
    with path.open(encoding="utf-8") as stream:
        for row in csv.DictReader(stream):
            yield row["text"]


def _spans(path: Path) -> Iterator[str]:
    for row in json.loads(path.read_text(encoding="utf-8")):
        yield row["userInput"]["text"]


def _nlu(path: Path) -> Iterator[str]:
    for row in json.loads(path.read_text(encoding="utf-8")):
        yield row["text"]


def _dialogs(path: Path) -> Iterator[str]:
    for dialog in json.loads(path.read_text(encoding="utf-8")):
        for said in dialog["utterances"]:
            if said["speaker"] == "user":
                yield said["text"]


def _contexts(path: Path) -> Iterator[str]:
    for line in path.read_text(encoding="utf-8").splitlines():
        yield from re.findall(r"<U>(.*?)(?=<[A-Z]+>|\t|$)", line)


Source = tuple[str, Callable[[Path], Iterator[str]]]
SOURCES: tuple[Source, ...] = (
    ("task-specific-datasets/banking_data/train.csv", _banking),
    ("task-specific-datasets/span_extraction/**/train_*.json", _spans),
    ("task-specific-datasets/nlupp/data/*/fold*.json", _nlu),
    ("Taskmaster/TM-4-2024/data/data_*.json", _dialogs),
    ("Taskmaster/TM-3-2020/splits/train/train-bc.tsv", _contexts),
)


def utterances(corpus: Path, sources: Sequence[Source] = SOURCES) -> list[tuple[str, ...]]:
    """Every different utterance as words, in a fixed mixed order."""
    found: dict[tuple[str, ...], None] = {}
    for pattern, read in sources:
        paths = sorted(corpus.glob(pattern))
        if not paths:
            raise SystemExit(f"--corpus: expected {pattern} in {corpus}, found none.")
        for path in paths:
            found |= {tuple(words_of(text)): None for text in read(path)}
    mixed = [words for words in found if 1 <= len(words) <= MOST_WORDS]
    random.Random(1).shuffle(mixed)
    return mixed


def examples(said: Sequence[tuple[str, ...]]) -> Iterator[tuple[list[str], bool, float]]:
    """Features, whether it is whole, and its weight."""
    for words in said:
        for size in range(1, len(words) + 1):
            whole = size == len(words)
            yield tail.features(words[:size]), whole, 1.0 if whole else 1.0 / (len(words) - 1)


class Matrix:
    """Examples as rows of feature numbers; whole and cut weigh the same in all. The last number: not known."""

    def __init__(self, said: Sequence[tuple[str, ...]], numbers: dict[str, int], form_only: bool) -> None:
        rows = [([numbers.get(n, len(numbers)) for n in names], whole, w) for names, whole, w in examples(said)]
        self.x = np.array([row[0] for row in rows], dtype=np.int32)
        self.y = np.array([row[1] for row in rows], dtype=np.float64)
        self.w = np.array([row[2] for row in rows])
        if form_only:
            self._alike(np.array([size for words in said for size in range(1, len(words) + 1)]))
        for label in (0.0, 1.0):
            self.w[self.y == label] /= 2 * self.w[self.y == label].sum()

    def _alike(self, size: NDArray[np.int64]) -> None:
        """Whole and cut count the same among those of a length; a length of one kind only says nothing."""
        of = [np.bincount(size[self.y == label], minlength=MOST_WORDS + 1) for label in (0, 1)]
        cut = of[1] / np.maximum(1, of[0])
        self.w = np.where(self.y == 1, np.minimum(1.0, of[0])[size], cut[size])

    def log_loss(self, weights: Floats) -> float:
        """Mean, nats."""
        z = weights[self.x].sum(axis=1)
        return float((self.w * np.logaddexp(0, np.where(self.y == 1, -z, z))).sum())

    def false_at_half(self, weights: Floats) -> float:
        """Share of the cut utterances that look more complete than half of the whole ones."""
        z = weights[self.x].sum(axis=1)
        cut = self.y == 0
        return float(self.w[cut & (z > np.median(z[~cut]))].sum() / self.w[cut].sum())


def fit(data: Matrix, size: int) -> Floats:
    """Weights of `size` features and a zero for what is not known."""
    weights, squares = np.zeros(size + 1), np.full(size + 1, 1e-3)
    chance = np.random.default_rng(1)
    scale = data.w * len(data.w)
    for _ in range(EPOCHS):
        order = chance.permutation(len(data.y))
        for at in range(0, len(order), BATCH):
            rows = order[at : at + BATCH]
            z = weights[data.x[rows]].sum(axis=1)
            wrong = scale[rows] * (1 / (1 + np.exp(-z)) - data.y[rows]) / len(rows)
            repeated = np.repeat(wrong, data.x.shape[1])
            gradient = np.bincount(data.x[rows].ravel(), repeated, size + 1) + PRIOR * weights
            gradient[-1] = 0.0
            squares += gradient**2
            weights -= STEP * gradient / np.sqrt(squares)
    return weights


def main() -> None:
    """Fit, print what it is worth held out, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--corpus", type=Path, required=True, help="Directory with the two collections.")
    parser.add_argument("--form-only", action="store_true", help="Length must not matter.")
    parser.add_argument("--out", type=Path, default=OUT)
    given = parser.parse_args()
    said = utterances(given.corpus)
    held_out, learnt = said[:HELD_OUT], said[HELD_OUT:]
    seen = collections.Counter(name for names, _, _ in examples(learnt) for name in names)
    numbers = {name: i for i, name in enumerate(sorted(n for n, count in seen.items() if count >= LEAST_SEEN))}
    data, test = (Matrix(part, numbers, given.form_only) for part in (learnt, held_out))
    weights = fit(data, len(numbers))
    kept = np.round(np.where(np.abs(weights) >= LEAST_WEIGHT, weights, 0.0), 2)
    print(f"{len(said)} utterances, {len(numbers)} features, {int((kept != 0).sum())} kept")
    print(f"log-loss: learnt {data.log_loss(kept):.3f}, held out {test.log_loss(kept):.3f} ({HELD_OUT} utterances)")
    print(f"cut utterances that look more complete than half of the whole ones: {test.false_at_half(kept):.1%}")
    lines = [f"{name}\t{kept[i]:g}" for name, i in numbers.items() if kept[i]]
    head = "# Made by `python -m benchmarks.turn_tails`, which says from what: see there for sources and licences."
    given.out.write_text("\n".join([head, *lines]) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
