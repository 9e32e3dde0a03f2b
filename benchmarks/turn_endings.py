"""Learns whether an utterance could end with its words: `python -m benchmarks.turn_endings --corpus DIR`.

Writes services/asr/endings_en.npz, the head on MiniLM's [SEP] state that services/asr/endings.py reads. What it adds to
the words themselves (turn_tails.py) is what MiniLM knows of English: sentences are judged whose words were never seen
together.

Text: that of turn_tails.py and three more collections of what people say to machines: SLURP (Bastianelli et al. 2020,
CC BY 4.0; its development and test files), CLINC150 (Larson et al. 2019, CC BY 3.0) and NLU-Evaluation-Data (Liu et al.
2019, CC BY 4.0; one fold). `--corpus` is a directory with their files in the folders `slurp`, `oos-eval` and
`NLU-Evaluation-Data` beside those of turn_tails.py. Nothing of the turn-taking set is in it, of neither half.

Each utterance is one positive example and, cut behind one word drawn at random, one negative. The head is small and
drops 40 % of what it sees while it learns: with [CLS], the last word's state or the mean beside it, or with more
epochs, it tells these collections' cuts apart better, and other people's worse.

The states of all the texts take ten minutes on one core; `--states FILE` keeps them.
"""

import argparse
import csv
import json
import random
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.turn_tails import MOST_WORDS, SOURCES, Source, utterances
from services.asr import endings
from services.common.models import ModelStore
from services.common.settings import load_settings
from services.minilm import WIDTH, MiniLm

OUT = Path(endings.__file__).parent / "endings_en.npz"
UTTERANCES = 53_000
HELD_OUT = 3_000
HIDDEN = 64
DROPPED = 0.4
EPOCHS = 8
BATCH = 512
STEP = 1e-3
DECAY = 1e-4
# Some of the states' numbers hardly vary: they are not blown up.
LEAST_SPREAD = 0.02

Floats = NDArray[np.float32]


def _slurp(path: Path) -> Iterator[str]:
    for line in path.read_text(encoding="utf-8").splitlines():
        yield json.loads(line)["sentence"]


def _clinc(path: Path) -> Iterator[str]:
    for part in json.loads(path.read_text(encoding="utf-8")).values():
        for text, _ in part:
            yield text


def _first_column(path: Path) -> Iterator[str]:
    with path.open(encoding="utf-8") as stream:
        for row in csv.reader(stream):
            yield row[0]


MORE_SOURCES: tuple[Source, ...] = (
    ("slurp/dataset/slurp/devel.jsonl", _slurp),
    ("slurp/dataset/slurp/test.jsonl", _slurp),
    ("oos-eval/data/data_full.json", _clinc),
    ("NLU-Evaluation-Data/CrossValidation/**/*_trainset/**/KFold_1/merged/intents/*.csv", _first_column),
)


@dataclass(frozen=True, slots=True)
class Examples:
    """States [N, 384] and whether each is of a whole utterance."""

    states: Floats
    whole: NDArray[np.bool_]

    def loss(self, head: endings.Head) -> float:
        """Mean, nats."""
        z = head.log_odds(self.states)
        return float(np.logaddexp(0, np.where(self.whole, -z, z)).mean())

    def false_at_half(self, head: endings.Head) -> float:
        """Share of the cut utterances that look more complete than half of the whole ones."""
        z = head.log_odds(self.states)
        return float((z[~self.whole] > np.median(z[self.whole])).mean())


def texts(corpus: Path) -> list[tuple[str, bool]]:
    """Whole and cut in turn, of `UTTERANCES` utterances in a fixed mixed order."""
    said = [words for words in utterances(corpus, (*SOURCES, *MORE_SOURCES)) if 1 < len(words) <= MOST_WORDS]
    chance = random.Random(7)
    out = []
    for words in said[:UTTERANCES]:
        out.append((" ".join(words), True))
        out.append((" ".join(words[: chance.randint(1, len(words) - 1)]), False))
    return out


def states_of(examples: list[tuple[str, bool]], kept: Path | None) -> Examples:
    """MiniLM's [SEP] state of each."""
    whole = np.array([label for _, label in examples])
    if kept is not None and kept.exists():
        states: Floats = np.load(kept)
        if states.shape != (len(examples), WIDTH):
            raise SystemExit(f"--states: expected {(len(examples), WIDTH)}, found {states.shape}: of other texts.")
        return Examples(states, whole)
    settings = load_settings()
    model = MiniLm(ModelStore(settings.models).path(settings.asr.ending_model), "asr.ending_model")
    states = np.empty((len(examples), WIDTH), dtype=np.float32)
    for at, (text, _) in enumerate(examples):
        states[at] = model.states(endings.plain(text))[-1]
        if at % 5_000 == 0:
            print(f"{at} of {len(examples)} texts read", file=sys.stderr)
    if kept is not None:
        np.save(kept, states)
    return Examples(states, whole)


def fit(data: Examples) -> endings.Head:
    """Adam on the log-loss; inputs are centred and scaled, which is folded into the first layer at the end."""
    chance = np.random.default_rng(0)
    centre, spread = data.states.mean(axis=0), np.maximum(LEAST_SPREAD, data.states.std(axis=0))
    x, y = (data.states - centre) / spread, data.whole.astype(np.float32)
    weights: list[Floats] = [
        chance.normal(0, 1 / np.sqrt(WIDTH), (WIDTH, HIDDEN)).astype(np.float32),
        np.zeros(HIDDEN, dtype=np.float32),
        chance.normal(0, 1 / np.sqrt(HIDDEN), HIDDEN).astype(np.float32),
        np.zeros(1, dtype=np.float32),
    ]
    means, squares = [np.zeros_like(w) for w in weights], [np.zeros_like(w) for w in weights]
    done = 0
    for _ in range(EPOCHS):
        order = chance.permutation(len(y))
        for at in range(0, len(order), BATCH):
            rows = order[at : at + BATCH]
            seen = x[rows] * (chance.random((len(rows), WIDTH)) >= DROPPED) / np.float32(1 - DROPPED)
            hidden = np.maximum(0, seen @ weights[0] + weights[1])
            wrong = (1 / (1 + np.exp(-(hidden @ weights[2] + weights[3]))) - y[rows]) / len(rows)
            back = np.outer(wrong, weights[2]) * (hidden > 0)
            slopes = [
                seen.T @ back + DECAY * weights[0],
                back.sum(axis=0),
                hidden.T @ wrong + DECAY * weights[2],
                wrong.sum(keepdims=True),
            ]
            done += 1
            for n, slope in enumerate(slopes):
                means[n] = 0.9 * means[n] + 0.1 * slope
                squares[n] = 0.999 * squares[n] + 0.001 * slope**2
                mean, square = means[n] / (1 - 0.9**done), squares[n] / (1 - 0.999**done)
                weights[n] = (weights[n] - STEP * mean / (np.sqrt(square) + 1e-8)).astype(np.float32)
    first = weights[0] / spread[:, None]
    return endings.Head(first, weights[1] - centre @ first, weights[2], float(weights[3][0]))


def main() -> None:
    """Learn, print what it is worth held out, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--corpus", type=Path, required=True, help="Directory with the collections.")
    parser.add_argument("--states", type=Path, help="Keep the texts' states here (.npy), or read them from here.")
    parser.add_argument("--out", type=Path, default=OUT)
    given = parser.parse_args()
    data = states_of(texts(given.corpus), given.states)
    cut = 2 * HELD_OUT
    held_out, learnt = Examples(data.states[:cut], data.whole[:cut]), Examples(data.states[cut:], data.whole[cut:])
    fit(learnt).save(given.out)
    head = endings.Head.read(given.out)
    print(f"{len(data.whole) // 2} utterances")
    print(f"log-loss: learnt {learnt.loss(head):.3f}, held out {held_out.loss(head):.3f} ({HELD_OUT} utterances)")
    print(f"cut utterances that look more complete than half of the whole ones: {held_out.false_at_half(head):.1%}")


if __name__ == "__main__":
    main()
