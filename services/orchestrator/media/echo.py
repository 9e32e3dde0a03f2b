"""Is what comes back an echo of what we sent, and how late? One normalised correlation over the delays a line can have.

An echo is a filtered copy: the peak stays near 0.6 whatever its level and the room. Another voice only resembles
ours by chance, and less the longer one looks, so the threshold falls with the length (benchmarks/front_end.py).
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from services.orchestrator.media.audio import MODEL_RATE_HZ, Samples

# Longest way out and back through a telephone network, its buffers and a room.
MAX_DELAY_MS = 600
_DECIMATED_HZ = MODEL_RATE_HZ // 2
# Delays this far from the best one must fit clearly worse; nearer ones are the pitch of a voice.
_APART = _DECIMATED_HZ * 25 // 1000
AMBIGUOUS = 0.93
_Floats = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Match:
    """How alike the best delay makes them (0 to 1), and that delay."""

    likeness: float
    delay_ms: float


def threshold(window_ms: float) -> float:
    """Likeness above which it is an echo: 0.5 after 100 ms, 0.4 after 200, 0.36 after 300."""
    return 0.3 + 20 / window_ms


def match(near: Samples, far: Samples) -> Match:
    """`near` is what came (16 kHz); `far` what was sent until the same moment, `MAX_DELAY_MS` longer."""
    short, long = _whitened(near), _whitened(far)
    count = len(long) - len(short) + 1
    energy = float(short @ short)
    if energy <= 0 or count < 1:
        return Match(0.0, 0.0)
    size = 1 << (len(short) + len(long) - 1).bit_length()
    spectrum = np.fft.rfft(long, size) * np.conj(np.fft.rfft(short, size))
    products = np.abs(np.fft.irfft(spectrum, size)[:count])
    summed = np.concatenate(([0.0], np.cumsum(np.square(long, dtype=np.float64))))
    energies = summed[len(short) :] - summed[: -len(short)]
    # Where we sent next to nothing, likeness means nothing.
    likeness = products / np.sqrt(np.maximum(energies, 1e-3 * energies.max() + 1.0) * energy)
    best = int(likeness.argmax())
    peak = float(likeness[best])
    # A tone or music on hold is like itself at many delays: that says nothing of an echo.
    apart = np.concatenate((likeness[: max(0, best - _APART)], likeness[best + _APART :]))
    if len(apart) and float(apart.max()) > AMBIGUOUS * peak:
        return Match(0.0, 0.0)
    return Match(peak, (count - 1 - best) * 1000 / _DECIMATED_HZ)


def _whitened(samples: Samples) -> _Floats:
    """Halved in rate, with the tilt of speech taken out: pitch and vowels of two voices resemble each other."""
    pairs = samples[: len(samples) & ~1].reshape(-1, 2).astype(np.float32).sum(axis=1)
    out: _Floats = pairs[1:] - np.float32(0.95) * pairs[:-1]
    return out
