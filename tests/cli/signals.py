"""Synthetic calls with known truth: speech-like bursts on silence or comfort noise, cut into packets."""

import numpy as np
from numpy.typing import NDArray

from services.cli.caller import Pcm, Track

MS = 1_000_000


def burst(ms: float, rate_hz: int, level_dbfs: float = -20.0, seed: int = 1) -> Pcm:
    """Noise shaped like voiced speech: harmonics of 120 Hz with a slow envelope that never fades out."""
    n = int(ms * rate_hz / 1000)
    t = np.arange(n) / rate_hz
    rng = np.random.default_rng(seed)
    wave: NDArray[np.float64] = np.zeros(n)
    for k in range(1, 12):
        wave += np.sin(2 * np.pi * 120 * k * t + rng.uniform(0, 6.28)) / k
    wave *= 1 + 0.3 * np.sin(2 * np.pi * 4 * t)
    wave += 0.05 * rng.standard_normal(n)
    wave *= 10 ** (level_dbfs / 20) / np.sqrt(np.mean(wave**2))
    return np.clip(wave * 32768, -32768, 32767).astype(np.int16)


def noise(ms: float, rate_hz: int, level_dbfs: float, seed: int = 2) -> Pcm:
    """White comfort noise."""
    n = int(ms * rate_hz / 1000)
    rng = np.random.default_rng(seed)
    return np.clip(rng.standard_normal(n) * 10 ** (level_dbfs / 20) * 32768, -32768, 32767).astype(np.int16)


def line(total_ms: float, rate_hz: int, *parts: tuple[float, Pcm]) -> Pcm:
    """`parts` laid at their times (ms) on silence."""
    out = np.zeros(int(total_ms * rate_hz / 1000), dtype=np.int16)
    for at_ms, pcm in parts:
        at = int(at_ms * rate_hz / 1000)
        out[at : at + len(pcm)] = np.clip(out[at : at + len(pcm)].astype(np.int32) + pcm, -32768, 32767).astype(
            np.int16
        )
    return out


def packets(pcm: Pcm, rate_hz: int, start_ns: int = 0, jitter_ms: tuple[float, ...] = (0.0,)) -> Track:
    """A track of 20 ms packets; packet i arrives `jitter_ms[i % len]` late."""
    track = Track(rate_hz)
    size = rate_hz // 50
    for i, at in enumerate(range(0, len(pcm), size)):
        late = jitter_ms[i % len(jitter_ms)]
        track.add(pcm[at : at + size], start_ns + int((i * 20 + late) * MS))
    return track
