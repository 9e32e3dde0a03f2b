"""Bootstrap confidence intervals of percentiles and of their differences. Pure; a fixed seed gives fixed intervals.

Turns of one call are alike (one voice, one line, one moment of load), so whole calls are resampled: the cluster
bootstrap (Davison & Hinkley, Bootstrap Methods and their Application, 1997, §3.8). With few calls that alone has too
few outcomes to choose from, so below `FEW_CALLS` the turns within each drawn call are drawn again, which errs on the
wide side. A single call is resampled by turn. Intervals are the plain 95 % percentile intervals (Efron).

A bootstrap cannot show what it has not seen: with n below some hundred, the upper end of a P99 is the largest value.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

REPLICATES = 1000
SEED = 20261127
FEW_CALLS = 8
# Fewer values than this have no interval worth printing.
LEAST_N = 5
METHOD = (
    f"95 % percentile bootstrap, {REPLICATES} replicates, fixed seed; resampled by call where there is more than one "
    f"(below {FEW_CALLS} calls by call and then by turn within it), else by turn"
)

Groups = Sequence[Sequence[float]]
Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Interval:
    """95 % interval in the unit of the values."""

    low: float
    high: float

    def to_json(self) -> list[float]:
        """[low, high]."""
        return [self.low, self.high]

    def excludes(self, value: float) -> bool:
        """`value` lies outside."""
        return value < self.low or value > self.high


def percentile_intervals(groups: Groups, percents: Sequence[float], seed: int = SEED) -> list[Interval | None]:
    """One interval per percent; `groups` are the values of each call. None where there are too few values."""
    values, sizes = _flat(groups)
    if len(values) < LEAST_N:
        return [None] * len(percents)
    drawn = _percentiles(values, _weights(sizes, np.random.default_rng(seed)), percents)
    return [_interval(drawn[:, i]) for i in range(len(percents))]


def percentile_differences(a: Groups, b: Groups, percents: Sequence[float], seed: int = SEED) -> list[Interval | None]:
    """Intervals of (percentile of b) minus (percentile of a); the two are drawn independently."""
    (values_a, sizes_a), (values_b, sizes_b) = _flat(a), _flat(b)
    if min(len(values_a), len(values_b)) < LEAST_N:
        return [None] * len(percents)
    rng = np.random.default_rng(seed)
    of_a = _percentiles(values_a, _weights(sizes_a, rng), percents)
    of_b = _percentiles(values_b, _weights(sizes_b, rng), percents)
    return [_interval(of_b[:, i] - of_a[:, i]) for i in range(len(percents))]


def mean_difference(a: Groups, b: Groups, seed: int = SEED) -> Interval | None:
    """Interval of (mean of b) minus (mean of a): for shares, as zeros and ones."""
    (values_a, sizes_a), (values_b, sizes_b) = _flat(a), _flat(b)
    if min(len(values_a), len(values_b)) < LEAST_N:
        return None
    rng = np.random.default_rng(seed)
    means = [w @ v / w.sum(axis=1) for v, w in ((values_a, _weights(sizes_a, rng)), (values_b, _weights(sizes_b, rng)))]
    return _interval(means[1] - means[0], places=4)


def _flat(groups: Groups) -> tuple[Floats, list[int]]:
    kept = [group for group in groups if len(group)]
    return np.array([float(v) for group in kept for v in group]), [len(group) for group in kept]


def _weights(sizes: Sequence[int], rng: np.random.Generator) -> NDArray[np.int64]:
    """How often each value is drawn: (replicates, values)."""
    if len(sizes) == 1:
        return rng.multinomial(sizes[0], np.full(sizes[0], 1 / sizes[0]), size=REPLICATES)
    calls = len(sizes)
    picked = rng.multinomial(calls, np.full(calls, 1 / calls), size=REPLICATES)
    if calls >= FEW_CALLS:
        return np.repeat(picked, sizes, axis=1)
    # A call that was drawn k times gives k fresh draws of its turns.
    parts = [rng.multinomial(picked[:, g] * n, np.full(n, 1 / n)) for g, n in enumerate(sizes)]
    return np.concatenate(parts, axis=1)


def _percentiles(values: Floats, weights: NDArray[np.int64], percents: Sequence[float]) -> Floats:
    """Type 7 percentiles of each weighted replicate, without writing the replicates out: (replicates, percents)."""
    order = np.argsort(values, kind="stable")
    ordered, reached = values[order], np.cumsum(weights[:, order], axis=1)
    total = reached[:, -1]
    columns = []
    for percent in percents:
        at = (total - 1) * percent / 100
        below = np.floor(at).astype(np.int64)
        low = ordered[(reached <= below[:, None]).sum(axis=1)]
        high = ordered[(reached <= np.minimum(below + 1, total - 1)[:, None]).sum(axis=1)]
        columns.append(low + (at - below) * (high - low))
    return np.stack(columns, axis=1)


def _interval(drawn: Floats, places: int = 1) -> Interval:
    low, high = np.percentile(drawn, (2.5, 97.5))
    return Interval(round(float(low), places), round(float(high), places))
