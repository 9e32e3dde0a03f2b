"""Fits the weights of turn-taking's text signs on the tuning half: `python -m benchmarks.turn_weights`.

Every dip of every turn is one row: the signs of the text known there, the turn model's log-odds, and whether the turn
was over. The weights are the most likely ones of a logistic regression under a Gaussian prior around those in the code
(so what is rare in the set stays as it is), and their worth is told by cross-validation over items: the log-loss, and
what matters, the share of pauses cut off at a median wait of 300 ms, with the waits made as in turns/endpoint.py.

Answers of the models come from the cache that `trunkline bench turns --half tuning` fills; the test half is never read.
"""

import argparse
import contextlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from services.cli.turnset.hearing import BASE_NS
from services.cli.turnset.making import Maker, model_names
from services.cli.turnset.outputs import Ask, MissingOutputError, Outputs
from services.cli.turnset.replay import MS, Replay, _expectation
from services.cli.turnset.systems import Entry
from services.common.clock import SystemClock
from services.common.models import ModelStore
from services.common.settings import Settings, TurnSettings, load_settings
from services.orchestrator.turns import completeness, endpoint
from services.orchestrator.turns import decisions as do
from services.orchestrator.turns import signals as on
from services.orchestrator.turns.lexicon import lexicon

Floats = NDArray[np.float64]
# So that no turn ends before every dip of it was seen.
NEVER_ENDS_MS = 4_000
PRIOR_WIDTH = 1.0
# Bias and audio stay as they are: the stops and the tail take the one's place, and the set's synthetic speech says too
# little about the other (turns/endpoint.py).
HELD_WIDTH = 0.01
FOLDS = 6


@dataclass(slots=True)
class Dip:
    """One silence: what was known in it and when (ms after the last voiced frame), and how it ended."""

    last_voiced_ms: float
    at_ms: float
    text: str | None = None
    text_ms: float = 0.0
    logprob: float = 0.0
    ending: float | None = None
    predictions: list[tuple[float, float]] = field(default_factory=list)


@dataclass(slots=True)
class Row:
    """A dip with its truth: over, or a pause of `lasts_ms`."""

    item: str
    dip: Dip
    signs: tuple[str, ...]
    certain: bool
    tail: float
    misheard: float
    ending: float | None
    over: bool
    lasts_ms: float
    kind: str = ""
    voice: str = ""


class Recorder(Replay):
    """A replay that keeps what came to each dip."""

    dips: list[Dip]

    def _feed(self, signal: on.Signal) -> None:
        at_ms = (signal.at_ns - BASE_NS) / MS
        if self.dips:
            dip = self.dips[-1]
            if isinstance(signal, on.TurnPrediction):
                dip.predictions.append((at_ms - dip.last_voiced_ms, signal.probability))
            elif isinstance(signal, on.FinalText):
                dip.text, dip.text_ms = signal.text, at_ms - dip.last_voiced_ms
                dip.logprob, dip.ending = signal.avg_logprob, signal.ending
        Replay._feed(self, signal)

    def _predict(self, utterance: Any, now_ns: int) -> None:
        # Later opinions of the turn model are asked for only where the turn was still open at the defaults.
        with contextlib.suppress(MissingOutputError):
            Replay._predict(self, utterance, now_ns)

    def _carry_out(self, decision: do.Decision, now_ns: int) -> list[on.Signal]:
        if isinstance(decision, do.PauseSpeech):
            self.dips.append(Dip((decision.last_voiced_ns - BASE_NS) / MS, (now_ns - BASE_NS) / MS))
        return Replay._carry_out(self, decision, now_ns)


def record(entry: Entry, outputs: Outputs, settings: TurnSettings) -> list[Dip]:
    """The dips of an item, up to the first whose text is not known."""
    slow = settings.model_copy(update={"endpoint_shift_ms": NEVER_ENDS_MS})
    recorder = Recorder(entry.item, entry.hearing, outputs, slow)
    recorder.dips = []
    with contextlib.suppress(MissingOutputError):
        recorder.run()
    return recorder.dips


def rows_of(entry: Entry, dips: Sequence[Dip]) -> list[Row]:
    """Dips in a planned pause or after the end; dips elsewhere (inside words) say nothing about turns."""
    truth, words = entry.hearing.truth, lexicon("en")
    limits = [*(hold.start_ms for hold in truth.holds[1:]), truth.end_ms]
    rows = []
    for dip in dips:
        held = [h for h, limit in zip(truth.holds, limits, strict=False) if h.start_ms <= dip.at_ms < limit]
        over = dip.at_ms >= truth.end_ms
        if dip.text is None or not (held or over):
            continue
        reading = completeness.read(dip.text, words, _expectation(entry.item), dip.logprob, dip.ending)
        lasts_ms = float("inf") if over else held[-1].end_ms - dip.last_voiced_ms
        rows.append(
            Row(
                entry.hearing.sha,
                dip,
                reading.signs,
                reading.certain,
                reading.tail,
                reading.misheard,
                reading.ending,
                over,
                lasts_ms,
                entry.item.kind,
                entry.item.voice,
            )
        )
    return rows


# "tail": where the recogniser says nothing of a text's end; "tail beside" and "ending": where it does.
NAMES = ("bias", "audio", "tail", "tail beside", "ending", "misheard", *completeness.WEIGHTS)
PRIOR = np.array(
    [
        endpoint.BIAS,
        endpoint.AUDIO,
        completeness.TAIL,
        completeness.TAIL_BESIDE_ENDING,
        completeness.ENDING,
        completeness.MISHEARD,
        *completeness.WEIGHTS.values(),
    ]
)


def features(row: Row) -> list[float]:
    """1, the first prediction's log-odds, then as `of_text`."""
    audio = endpoint.logit(row.dip.predictions[0][1]) if row.dip.predictions else 0.0
    return [1.0, audio, *of_text(row)]


def of_text(row: Row) -> list[float]:
    """The tail's log-odds, the ending's, how unsure the words are, one per sign."""
    form = [row.tail, 0.0, 0.0] if row.ending is None else [0.0, row.tail, row.ending]
    return [*form, row.misheard, *(float(name in row.signs) for name in completeness.WEIGHTS)]


def fit(x: Floats, y: Floats) -> Floats:
    """Maximum a posteriori by Newton's method."""
    width = np.where(np.isin(NAMES, ("bias", "audio")), HELD_WIDTH, PRIOR_WIDTH)
    precision = np.diag(1 / width**2)
    weights = PRIOR.copy()
    for _ in range(60):
        q = 1 / (1 + np.exp(-x @ weights))
        gradient = x.T @ (y - q) - precision @ (weights - PRIOR)
        hessian = (x * (q * (1 - q))[:, None]).T @ x + precision
        weights = weights + np.linalg.solve(hessian, gradient)
    return weights


def log_loss(weights: Floats, x: Floats, y: Floats) -> float:
    """Mean, nats."""
    q = np.clip(1 / (1 + np.exp(-x @ weights)), 1e-9, 1 - 1e-9)
    return float(-np.mean(y * np.log(q) + (1 - y) * np.log(1 - q)))


@dataclass(frozen=True, slots=True)
class Shape:
    """How waits follow the log-odds (turns/endpoint.py)."""

    slope: float
    unsure_ms: float
    least_ms: float
    most_ms: float
    pause_ms: float


def ends_at_ms(row: Row, weights: Floats, shape: Shape, shift_ms: float) -> float:
    """When the turn would end if the silence lasted for ever, as the turn-taker decides: regraded by each answer."""
    said = dict(zip(NAMES, weights, strict=True))
    text = float(np.dot(weights[2:], of_text(row)))
    known = sorted([(row.dip.text_ms, None), *row.dip.predictions], key=lambda answer: answer[0])
    audio, have_text, at = 0.0, False, 0.0
    for (answered_ms, probability), (next_ms, _) in zip(known, [*known[1:], (1e9, None)], strict=True):
        if probability is None:
            have_text = True
        else:
            audio = endpoint.logit(probability)
        if not have_text:
            continue
        odds = said["bias"] + said["audio"] * audio + text
        least = shape.pause_ms if row.certain else shape.least_ms
        wait = endpoint.AVERAGE_PAUSE_MS * (shape.unsure_ms / endpoint.AVERAGE_PAUSE_MS - shape.slope * odds)
        at = max(answered_ms, min(max(wait, least), shape.most_ms) + shift_ms)
        if at <= next_ms:
            return at
    return at


def curve(rows: Sequence[Row], of: dict[str, Floats], shape: Shape) -> list[tuple[int, float, float, float]]:
    """(shift, median wait, share of pauses cut off, mean wait); the wait from the last voiced frame."""
    ends, holds = [r for r in rows if r.over], [r for r in rows if not r.over]
    points = []
    for shift in range(-300, 300, 20):
        waits = [ends_at_ms(r, of[r.item], shape, shift) for r in ends]
        cut = float(np.mean([ends_at_ms(r, of[r.item], shape, shift) < r.lasts_ms for r in holds]))
        points.append((shift, float(np.median(waits)), cut, float(np.mean(waits))))
    return points


def load_rows(settings: Settings, folder: Path) -> list[Row]:
    """Rows of every item of the tuning half, as far as the answers are known."""
    outputs = Outputs(folder / "answers-tuning.jsonl", model_names(settings, ModelStore(settings.models)))
    maker = Maker("tuning", settings, folder, outputs, SystemClock(), 1, 0)
    turns = settings.orchestrator.turns
    rows: list[Row] = []
    for item in maker.chosen:
        hearing = maker._shelf.get(item)
        if hearing is None or item.barge_in:
            continue
        entry = Entry(item, hearing)
        if outputs.has(Ask("vad", hearing.sha)):
            rows += rows_of(entry, record(entry, outputs, turns))
    return rows


def main() -> None:
    """Print the weights beside those in the code, and what they are worth."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cache", type=Path, required=True, help="The cache of `trunkline bench turns`.")
    parser.add_argument("--pause-ms", type=int, help="orchestrator.turns.pause_ms the answers were made for.")
    parser.add_argument("--by-voice", action="store_true", help="Hold out voices and readers, not items.")
    parser.add_argument("--grid", action="store_true", help="Also other slopes and anchors.")
    given = parser.parse_args()
    settings = load_settings(
        overrides={"orchestrator": {"turns": {"pause_ms": given.pause_ms}}} if given.pause_ms else None
    )
    rows = load_rows(settings, given.cache)
    x, y = np.array([features(row) for row in rows]), np.array([float(row.over) for row in rows])
    items = sorted({row.item for row in rows})
    voices = sorted({row.voice for row in rows})
    fold = np.array([voices.index(r.voice) if given.by_voice else items.index(r.item) % FOLDS for r in rows])
    fitted = fit(x, y)
    of: dict[str, Floats] = {}
    for number in sorted(set(fold)):
        weights = fit(x[fold != number], y[fold != number])
        of |= {row.item: weights for row, f in zip(rows, fold, strict=True) if f == number}
    held_out = float(np.mean([log_loss(of[r.item], x[i : i + 1], y[i : i + 1]) for i, r in enumerate(rows)]))
    print(f"{len(rows)} dips of {len(items)} items, {y.mean():.0%} ends")
    print(
        f"log-loss: in the code {log_loss(PRIOR, x, y):.3f}, fitted {log_loss(fitted, x, y):.3f}, "
        f"held out {held_out:.3f}"
    )
    for name, before, after, seen, ends in zip(
        NAMES, PRIOR, fitted, (x != 0).sum(0), (x * y[:, None]).sum(0), strict=True
    ):
        print(
            f"{name:22} {before:6.2f} → {after:6.2f}   seen {seen}"
            + (f", {ends / seen:.0%} ends" if seen and name in completeness.WEIGHTS else "")
        )
    turns = settings.orchestrator.turns
    shapes = [
        Shape(
            endpoint.SLOPE,
            turns.endpoint_unsure_ms,
            turns.endpoint_complete_ms,
            turns.endpoint_incomplete_ms,
            turns.pause_ms,
        )
    ]
    if given.grid:
        shapes += [
            Shape(slope, unsure, least, 2000, turns.pause_ms)
            for slope in (0.8, 1.2, 1.6, 2.0, 2.4)
            for unsure in (1000, 1200, 1400, 1700, 2000)
            for least in (200, 220)
        ]
    for shape in shapes:
        points = curve(rows, of, shape)
        near = min(points, key=lambda point: (abs(point[1] - 300), point[2]))
        here = next(point for point in points if point[0] == 0)
        print(
            f"{shape}: at 300 ms {near[2]:.1%} cut off, mean wait {near[3]:.0f} ms (shift {near[0]}); as set "
            f"{here[2]:.1%} at {here[1]:.0f} ms, mean {here[3]:.0f} ms"
        )


if __name__ == "__main__":
    main()
