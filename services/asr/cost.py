"""What a batch will cost, learned from what batches did cost: an exponentially weighted straight line."""

from collections.abc import Sequence
from dataclasses import dataclass

# Least weight of a new measurement; the line forgets a machine's old load after some twenty batches. The first
# ones weigh more: warm-up is measured while every other process of the machine starts as well.
ALPHA = 0.1


@dataclass(slots=True)
class CostModel:
    """compute_ms ≈ base_ms + ms_per_unit · units, where a unit is a second of window or of audio.

    The encoder's work goes with the window, the decoder's with what is said in it. On a CPU the slope rules;
    on a GPU a batch costs hardly more than one, and the base does. The prior is tiny.en on one core.
    """

    base_ms: float = 10.0
    ms_per_unit: float = 10.0
    _mean_x: float = 0.0
    _mean_y: float = 0.0
    _var_x: float = 0.0
    _cov: float = 0.0
    _count: int = 0

    def predict_ms(self, units: float) -> float:
        """Time of one batch of that many units."""
        return self.base_ms + self.ms_per_unit * units

    def learn(self, units: float, compute_ms: float) -> None:
        """Take one measured batch."""
        self._count += 1
        if self._count == 1:
            # Start from the prior's shape through the first point.
            scale = compute_ms / self.predict_ms(units)
            self.base_ms *= scale
            self.ms_per_unit *= scale
            self._mean_x, self._mean_y = units, compute_ms
            return
        alpha = max(ALPHA, 1 / self._count)
        dx, dy = units - self._mean_x, compute_ms - self._mean_y
        self._mean_x += alpha * dx
        self._mean_y += alpha * dy
        self._var_x = (1 - alpha) * (self._var_x + alpha * dx * dx)
        self._cov = (1 - alpha) * (self._cov + alpha * dx * dy)
        # Batches of about one size say nothing about the slope: keep it, and move the line through their mean.
        if self._var_x > 4.0:
            self.ms_per_unit = max(0.0, self._cov / self._var_x)
        self.base_ms = self._mean_y - self.ms_per_unit * self._mean_x
        if self.base_ms < 0:
            self.base_ms = 0.0
            self.ms_per_unit = self._mean_y / self._mean_x


def units_of(sizes: Sequence[tuple[int, int]]) -> float:
    """Units of work of (window_ms, audio_ms) pairs."""
    return sum(window_ms + audio_ms for window_ms, audio_ms in sizes) / 1000
