"""A system's false cut-offs against its median wait, one point per setting of its knob, and operating points on it.

Operating points are read off linearly between neighbouring settings; intervals are bootstrapped over items.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from services.cli.turnset.figures import BOOTSTRAPS, NEVER_MS, Floats, Turn, interval, rounded

EQUAL_WAIT_MS = 300.0
EQUAL_CUTOFFS = 0.05


class Curve:
    """`knobs`: labels of the settings; `turns[k][i]`: item i at setting k."""

    def __init__(self, knobs: Sequence[Any], turns: Sequence[Sequence[Turn]]) -> None:
        self.knobs = list(knobs)
        self._waits: Floats = np.array([[NEVER_MS if t.wait_ms is None else t.wait_ms for t in row] for row in turns])
        self._cut: Floats = np.array([[float(sum(t.cut)) for t in row] for row in turns])
        self._holds: Floats = np.array([float(len(t.cut)) for t in turns[0]]) if len(turns) else np.zeros(0)

    def points(self, chosen: NDArray[np.intp] | None = None) -> tuple[Floats, Floats]:
        """Median wait and cut-off rate at each setting."""
        waits, cut, holds = self._waits, self._cut, self._holds
        if chosen is not None:
            waits, cut, holds = waits[:, chosen], cut[:, chosen], holds[chosen]
        return np.median(waits, axis=1), cut.sum(axis=1) / max(1.0, float(holds.sum()))

    def cutoffs_at_wait(self, wait_ms: float = EQUAL_WAIT_MS) -> dict[str, Any]:
        """The least cut-off rate whose median wait is `wait_ms`."""
        return self._operating_point(lambda waits, cut: _read_off(waits, cut, wait_ms))

    def wait_at_cutoffs(self, rate: float = EQUAL_CUTOFFS) -> dict[str, Any]:
        """The least median wait whose cut-off rate is `rate`."""
        return self._operating_point(lambda waits, cut: _read_off(cut, waits, rate))

    def _operating_point(self, read: Callable[[Floats, Floats], float | None]) -> dict[str, Any]:
        waits, cut = self.points()
        value = read(waits, cut)
        chance = np.random.default_rng(1)
        n = len(self._holds)
        drawn = [read(*self.points(chance.integers(0, n, n))) for _ in range(BOOTSTRAPS)] if n else []
        known = [v for v in drawn if v is not None]
        return {"value": rounded(value), "ci95": interval(known)}


def _read_off(x: Floats, y: Floats, at: float) -> float | None:
    """The least y on the curve's lower hull of settings at x = `at`; None when the curve does not reach it.

    Between two settings that are neighbours in x, linearly; settings that another beats in both are left out.
    """
    order = np.lexsort((y, x))
    best_x: list[float] = []
    best_y: list[float] = []
    for index in order:
        if not best_y or y[index] < best_y[-1]:
            best_x.append(float(x[index]))
            best_y.append(float(y[index]))
    if not best_x or at < best_x[0]:
        return None
    if at >= best_x[-1]:
        return best_y[-1]
    return float(np.interp(at, best_x, best_y))
