"""What callers do besides speaking: a pause in mid-sentence, coughs, "mhm", noise under the voice. Pure, by seed."""

from collections.abc import Sequence
from typing import Literal, get_args

import numpy as np
import soxr
from numpy.typing import NDArray

from services.cli.caller import Pcm
from services.cli.clips import LEVEL_DBFS, Clip
from services.cli.measure import dbfs
from services.cli.turnset import sounds as made

Noise = Literal["pink", "babble"]
NOISES: tuple[Noise, ...] = get_args(Noise)
_RATE_HZ = made.RATE_HZ
# The pause lies in the middle part of a clip, at its quietest point.
_MIDDLE = (0.35, 0.7)
_FADE_MS = 8
_WINDOW_MS = 30
_COUGHS, _HUMS = 6, 4
# A cough is as loud as the voice, an "mhm" quieter.
_COUGH_PEAK_DBFS, _HUM_DBFS = -9.0, -25.0
_NOISE_S = 20


def hold(clip: Clip, gap_ms: int) -> Clip:
    """The clip with `gap_ms` of silence at the quietest point of its middle: a caller who stops to think.

    The words up to there are no whole sentence; what lies on both sides is faded over 8 ms, so that nothing clicks.
    """
    window, fade = (clip.rate_hz * ms // 1000 for ms in (_WINDOW_MS, _FADE_MS))
    first, last = (int(share * len(clip.pcm)) for share in _MIDDLE)
    starts = range(first, max(first + 1, last - window), max(1, window // 3))
    at = min(starts, key=lambda s: dbfs(clip.pcm[s : s + window])) + window // 2
    ramp = np.linspace(1, 0, fade)
    before, after = clip.pcm[:at].astype(np.float64), clip.pcm[at:].astype(np.float64)
    before[-fade:] *= ramp[: len(before[-fade:])]
    after[:fade] *= ramp[::-1][: len(after[:fade])]
    silence = np.zeros(clip.rate_hz * gap_ms // 1000)
    return Clip(clip.name, clip.text, np.concatenate([before, silence, after]).astype(np.int16), clip.rate_hz)


def coughs(seed: int) -> list[Clip]:
    """Six coughs of one to three bursts each; modelled, not recorded (`turnset.sounds`)."""
    scale = 32768 * 10 ** (_COUGH_PEAK_DBFS / 20)
    return [_clip(f"cough {i}", scale * made.cough(seed * 100 + i)) for i in range(_COUGHS)]


def hums(seed: int) -> list[Clip]:
    """Four hummed "m-hm": two nasal murmurs, the second higher; for a stack whose speech synthesis is scripted."""
    return [_clip(f"mhm {i}", _hum(np.random.default_rng(seed * 100 + i))) for i in range(_HUMS)]


def noise(kind: Noise, snr_db: float, rate_hz: int, voices: Sequence[Clip], seed: int) -> Pcm:
    """20 s of noise, `snr_db` below the callers' speech level, to be repeated. Babble: six of `voices` at once."""
    samples = _NOISE_S * _RATE_HZ
    shape = (
        made.pink_noise(samples, seed)
        if kind == "pink"
        else made.babble(samples, [clip.at(_RATE_HZ).pcm for clip in voices], seed)
    )
    level = 32768 * 10 ** ((LEVEL_DBFS - snr_db) / 20)
    wide = np.clip(shape * level, -32768, 32767).astype(np.int16)
    return wide if rate_hz == _RATE_HZ else np.asarray(soxr.resample(wide, _RATE_HZ, rate_hz), dtype=np.int16)


def _hum(chance: np.random.Generator) -> NDArray[np.float64]:
    """Harmonics of a closed mouth: strong below 350 Hz, 12 dB less above (nasal murmur)."""
    f0, out = chance.uniform(95, 210), []
    for pitch, ms in ((1.0, chance.uniform(130, 180)), (1.25, chance.uniform(180, 260))):
        t = np.arange(int(ms * _RATE_HZ / 1000)) / _RATE_HZ
        phase = 2 * np.pi * np.cumsum(f0 * pitch * (1 + 0.06 * t / t[-1])) / _RATE_HZ
        wave = sum(np.sin(k * phase) / (1 + (k * f0 / 350) ** 2) for k in range(1, 12))
        edge = int(0.03 * _RATE_HZ)
        envelope = np.minimum(1, np.minimum(np.arange(len(t)), np.arange(len(t))[::-1]) / edge)
        out += [wave * envelope, np.zeros(int(0.03 * _RATE_HZ))]
    hum = np.concatenate(out[:-1])
    return np.asarray(hum * 32768 * 10 ** (_HUM_DBFS / 20) / np.sqrt(np.mean(np.square(hum))))


def _clip(name: str, samples: NDArray[np.float64]) -> Clip:
    return Clip(name, "", np.clip(samples, -32768, 32767).astype(np.int16), _RATE_HZ)
