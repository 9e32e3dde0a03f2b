"""The caller's audio on its way to the models: leg rate → 16 kHz with less than 1 ms of delay, cut into VAD frames.

soxr's streaming modes hold back 25 ms to 90 ms of audio before the first sample comes out (measured with 1.1.0 at
8 kHz → 16 kHz: LQ 48 ms, MQ 75 ms; QQ none, but it does not filter). A 32-tap FIR per call does no harm that a
recogniser notices, costs about 15 µs per 20 ms and delays by its half length.
"""

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from services.common.errors import InvalidInputError

MODEL_RATE_HZ = 16_000
VAD_SAMPLES = 512
# Parts of a VAD frame whose level is reported (8 ms each).
LEVEL_PARTS = 4
_LEAST_POWER = 1.0
_TO_FULL_SCALE_DB = -10 * math.log10(VAD_SAMPLES / LEVEL_PARTS * 32768.0**2)
MAX_JITTER_NS = 100_000_000

Samples = npt.NDArray[np.int16]
_Floats = npt.NDArray[np.float32]
_TAPS_PER_PHASE = 24


@lru_cache(maxsize=16)
def _low_pass(up: int, down: int) -> _Floats:
    """Kaiser-windowed sinc at the narrower of the two bands, gain `up` (Oppenheim & Schafer, 7.6)."""
    widest = max(up, down)
    taps = _TAPS_PER_PHASE * widest + 1
    n = np.arange(taps) - (taps - 1) / 2
    window = np.kaiser(taps, 6.0)
    response = np.sinc(n * 0.94 / widest) * window
    taps_out: _Floats = (response * up / response.sum()).astype(np.float32)
    return taps_out


def warm(rates_hz: tuple[int, ...] = (8_000, 16_000, 24_000, 48_000)) -> None:
    """Run every path once, so that the first call does not pay for imports and filter design."""
    for rate_hz in rates_hz:
        AudioIn(rate_hz).push(bytes(2 * rate_hz // 10), 0)


class Resampler:
    """One stream from `rate_hz` to 16 kHz; keeps the filter's tail between chunks. `delay_ns` is its group delay."""

    def __init__(self, rate_hz: int) -> None:
        """Raises InvalidInputError for a rate that is not a simple ratio of 16 kHz (8, 16, 24, 32, 48 kHz are)."""
        divisor = int(np.gcd(rate_hz, MODEL_RATE_HZ)) if rate_hz > 0 else 0
        if divisor < 4000:
            raise InvalidInputError("rx_rate_hz", expected="8000, 16000, 24000, 32000 or 48000", got=str(rate_hz))
        self._up, self._down = MODEL_RATE_HZ // divisor, rate_hz // divisor
        taps = _low_pass(self._up, self._down) if rate_hz != MODEL_RATE_HZ else None
        # One branch per output phase, in the order np.correlate wants; each sees only real input samples.
        self._branches = [] if taps is None else [taps[phase :: self._up][::-1].copy() for phase in range(self._up)]
        longest = max(map(len, self._branches), default=1)
        self._branches = [np.pad(branch, (longest - len(branch), 0)) for branch in self._branches]
        self._tail: _Floats = np.zeros(longest - 1, np.float32)
        self._phase = 0
        self.delay_ns = 0 if taps is None else int((len(taps) - 1) / 2 / (rate_hz * self._up) * 1e9)

    def push(self, samples: Samples) -> Samples:
        """As many output samples as the input makes complete."""
        if not self._branches or len(samples) == 0:
            return samples
        kept = len(self._tail)
        joined = np.empty(kept + len(samples), np.float32)
        joined[:kept] = self._tail
        joined[kept:] = samples
        self._tail = joined[len(joined) - kept :]
        if self._up == 1:
            filtered = np.correlate(joined, self._branches[0], "valid")
        else:
            filtered = np.empty(len(samples) * self._up, np.float32)
            for phase, branch in enumerate(self._branches):
                filtered[phase :: self._up] = np.correlate(joined, branch, "valid")
        out = filtered[self._phase :: self._down]
        self._phase = (self._phase - len(filtered)) % self._down
        return np.minimum(np.maximum(out, -32768), 32767).astype(np.int16)


@dataclass(frozen=True, slots=True)
class ModelFrame:
    """32 ms at 16 kHz for the VAD: 1,024 bytes, when its last sample was heard, and the level of its parts."""

    pcm: bytes
    end_ns: int
    levels_db: tuple[float, ...]


class ArrivalClock:
    """When audio was heard, freed of the jitter of its way here.

    A frame cannot arrive before it was spoken, so the least delay seen lately is the best estimate of all of them:
    `end_ns` moves to earlier arrivals at once and drifts later by 0.02 %, no less than sound cards err. A gap
    (silence suppression, loss) of more than 100 ms begins anew.
    """

    def __init__(self) -> None:
        self._end_ns: int | None = None

    def push(self, samples: int, received_ns: int) -> int:
        """`samples` at 16 kHz arrived at `received_ns`: when the last of them was heard."""
        duration_ns = samples * 1_000_000_000 // MODEL_RATE_HZ
        expected = received_ns if self._end_ns is None else self._end_ns + duration_ns + duration_ns // 5000
        if received_ns - expected > MAX_JITTER_NS:
            expected = received_ns
        self._end_ns = min(expected, received_ns)
        return self._end_ns


class AudioIn:
    """What came from one leg, at 16 kHz, with its time: VAD frames, and the last seconds for ASR and turn model.

    `keep_ms` bounds the memory. `position` counts 16 kHz samples since the start.
    """

    def __init__(self, rate_hz: int, keep_ms: int = 8_000) -> None:
        self._keep = keep_ms * MODEL_RATE_HZ // 1000
        self._ring = np.zeros(self._keep, np.int16)
        self._resampler = Resampler(rate_hz)
        self._pending: Samples = np.zeros(0, np.int16)
        self._arrivals = ArrivalClock()
        self.position = 0
        self._end_ns = 0

    def set_rate(self, rate_hz: int) -> None:
        """The leg's codec changed; what was heard so far stays."""
        self._resampler = Resampler(rate_hz)

    def push(self, pcm: bytes, received_ns: int) -> list[ModelFrame]:
        """Take what the leg heard, whose last sample reached us at `received_ns`; the VAD frames now complete."""
        samples = self._resampler.push(np.frombuffer(pcm[: len(pcm) & ~1], "<i2"))
        if len(samples) > self._keep:
            samples = samples[-self._keep :]
        self._store(samples)
        self._end_ns = self._arrivals.push(len(samples), received_ns) - self._resampler.delay_ns
        pending = np.concatenate((self._pending, samples)) if len(self._pending) else samples
        count = len(pending) // VAD_SAMPLES
        self._pending = pending[count * VAD_SAMPLES :]
        if not count:
            return []
        frames = []
        for start in range(0, count * VAD_SAMPLES, VAD_SAMPLES):
            frame = pending[start : start + VAD_SAMPLES]
            after = len(pending) - start - VAD_SAMPLES
            frames.append(ModelFrame(frame.tobytes(), self.time_of(self.position - after), levels_db(frame)))
        return frames

    def time_of(self, position: int) -> int:
        """When the sample before `position` was heard (ns)."""
        return self._end_ns - (self.position - position) * 1_000_000_000 // MODEL_RATE_HZ

    def position_at(self, at_ns: int) -> int:
        """The position of what was heard at `at_ns`, within what is kept."""
        back = (self._end_ns - at_ns) * MODEL_RATE_HZ // 1_000_000_000
        return max(self.position - self._keep, min(self.position, self.position - back), 0)

    def since(self, position: int) -> bytes:
        """Audio from `position` to now, at most what is kept."""
        start = max(position, self.position - self._keep, 0)
        if start >= self.position:
            return b""
        first, last = start % self._keep, self.position % self._keep
        if first >= last:
            return self._ring[first:].tobytes() + self._ring[:last].tobytes()
        return self._ring[first:last].tobytes()

    def _store(self, samples: Samples) -> None:
        start = self.position % self._keep
        first = min(len(samples), self._keep - start)
        self._ring[start : start + first] = samples[:first]
        if first < len(samples):
            self._ring[: len(samples) - first] = samples[first:]
        self.position += len(samples)


def levels_db(frame: Samples) -> tuple[float, ...]:
    """RMS level of each part of a frame, in dB of full scale."""
    parts = frame.reshape(LEVEL_PARTS, -1).astype(np.float32)
    powers: list[float] = np.einsum("ij,ij->i", parts, parts).tolist()
    return tuple(10 * math.log10(max(power, _LEAST_POWER)) + _TO_FULL_SCALE_DB for power in powers)
