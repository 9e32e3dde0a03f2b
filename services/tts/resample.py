"""From a voice's own rate to the caller's by soxr, window by window, as if the whole clause were converted at once.

soxr's streaming mode holds back 40–80 ms. Instead each window is converted in one shot together with its neighbours
(20 ms and more on either side, several times the filter's length) and the neighbours are cut off again; windows are
cut where both rates have a whole number of samples, so nothing drifts and nothing clicks.
"""

import math

import numpy as np
import soxr
from numpy.typing import NDArray

Samples = NDArray[np.float32]
_CONTEXT_MS = 20


def converted_length(samples: int, from_hz: int, to_hz: int) -> int:
    """Samples that a clause of `samples` at `from_hz` has at `to_hz`."""
    return -(-samples * to_hz // from_hz)


class ClauseResampler:
    """Converts one clause. Feed windows, then `flush`; holds back about 20 ms. Output is int16 PCM, little-endian."""

    def __init__(self, from_hz: int, to_hz: int) -> None:
        common = math.gcd(from_hz, to_hz)
        # The grid: so many samples at either rate last exactly the same time.
        self._from_step, self._to_step = from_hz // common, to_hz // common
        self._from_hz, self._to_hz = from_hz, to_hz
        self._context = math.ceil(from_hz * _CONTEXT_MS / 1000 / self._from_step) * self._from_step
        self._held: Samples = np.zeros(0, np.float32)
        # Samples at the start of `_held` that were converted already and serve as context.
        self._done = 0
        self._taken = 0
        self._given = 0

    def feed(self, samples: Samples) -> bytes:
        """Take a window; return what can be converted exactly by now (may be empty)."""
        self._taken += len(samples)
        if self._from_hz == self._to_hz:
            return to_pcm(samples)
        self._held = np.concatenate((self._held, samples))
        ready = (len(self._held) - self._done - self._context) // self._from_step * self._from_step
        return self._convert(ready) if ready > 0 else b""

    def flush(self) -> bytes:
        """Return the rest. The total is `converted_length` of what was fed."""
        if self._from_hz == self._to_hz:
            return b""
        return self._convert(None)

    def _convert(self, ready: int | None) -> bytes:
        converted = soxr.resample(self._held, self._from_hz, self._to_hz, quality="HQ")
        start = self._done // self._from_step * self._to_step
        if ready is None:
            count = converted_length(self._taken, self._from_hz, self._to_hz) - self._given
        else:
            count = ready // self._from_step * self._to_step
        piece = converted[start : start + count]
        if len(piece) < count:
            piece = np.pad(piece, (0, count - len(piece)))
        self._given += count
        if ready is not None:
            end = self._done + ready
            drop = max(0, end - self._context)
            self._held = self._held[drop:]
            self._done = end - drop
        return to_pcm(piece)


def to_pcm(samples: Samples) -> bytes:
    """[-1, 1] → int16 little-endian bytes; louder samples are clipped."""
    return (np.clip(samples, -1.0, 1.0) * 32767.0).astype("<i2").tobytes()
