"""Audio between the wire and the model: 16-bit PCM at 8 or 16 kHz in, float at 16 kHz out."""

import numpy as np
import soxr
from numpy.typing import NDArray

from services.asr.hypothesis import Pcm

MODEL_RATE_HZ = 16_000
SAMPLE_RATES_HZ = (8_000, 16_000)
_FULL_SCALE = np.float32(1 / 32768)


def from_bytes(pcm: bytes) -> Pcm:
    """Signed 16-bit little-endian mono samples; the caller has checked that the length is even."""
    return np.frombuffer(pcm, dtype="<i2")


def to_model_rate(pcm: Pcm, sample_rate_hz: int) -> NDArray[np.float32]:
    """Samples in [-1, 1) at 16 kHz, resampled in one shot (0.2 ms per audio-second, no delay to hold back)."""
    floats = pcm.astype(np.float32) * _FULL_SCALE
    if sample_rate_hz == MODEL_RATE_HZ:
        return floats
    resampled: NDArray[np.float32] = soxr.resample(floats, sample_rate_hz, MODEL_RATE_HZ)
    return resampled
