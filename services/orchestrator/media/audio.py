"""The caller's audio on its way to the models: leg rate → 16 kHz with less than 1 ms of delay, cut into VAD frames.

soxr's streaming modes hold back 25 ms to 90 ms of audio before the first sample comes out (measured with 1.1.0 at
8 kHz → 16 kHz: LQ 48 ms, MQ 75 ms; QQ none, but it does not filter). A short FIR per call does no harm that a
recogniser notices and delays by its half length.

What arrives is kept raw until a VAD frame is whole, then converted in one go: every packet costs a few additions,
every 32 ms one small matrix product. Whoever asks for audio in between (`since`) gets all there is.
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
# Silence that stands for a longer gap in what comes: enough for every detector to see a pause.
MAX_FILL_NS = 1_000_000_000

Samples = npt.NDArray[np.int16]
_Floats = npt.NDArray[np.float32]
_TAPS_PER_PHASE = 24
# Output samples (times `up`, about) of one block of the filter: 1 ms or less.
_BLOCK = 8
_LOWEST, _HIGHEST = np.float32(-32768), np.float32(32767)


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


@lru_cache(maxsize=16)
def _block_filter(up: int, down: int) -> tuple[int, _Floats]:
    """The FIR as a matrix: (history + block) input samples → the block's output samples; and the history's length.

    A polyphase filter is a Toeplitz matrix; cut into blocks of about 1 ms it is one product for a whole chunk.
    """
    taps = _low_pass(up, down)
    # One branch per output phase, oldest sample first; each sees only real input samples.
    branches = [taps[phase::up][::-1] for phase in range(up)]
    longest = max(map(len, branches))
    block = _BLOCK * down
    matrix = np.zeros((longest - 1 + block, block * up // down), np.float32)
    for column in range(matrix.shape[1]):
        sample, phase = divmod(column * down, up)
        branch = branches[phase]
        end = sample + longest
        matrix[end - len(branch) : end, column] = branch
    return longest - 1, matrix


class Resampler:
    """One stream from `rate_hz` to 16 kHz; keeps the filter's tail between chunks. `delay_ns` is its group delay."""

    def __init__(self, rate_hz: int) -> None:
        """Raises InvalidInputError for a rate that is not a simple ratio of 16 kHz (8, 16, 24, 32, 48 kHz are)."""
        divisor = int(np.gcd(rate_hz, MODEL_RATE_HZ)) if rate_hz > 0 else 0
        if divisor < 4000:
            raise InvalidInputError("rx_rate_hz", expected="8000, 16000, 24000, 32000 or 48000", got=str(rate_hz))
        up, down = MODEL_RATE_HZ // divisor, rate_hz // divisor
        self.rate_hz = rate_hz
        self.delay_ns = 0
        # Input that does not fill a block of the filter yet, counted in `held`.
        self.held = 0
        self._block = _BLOCK * down
        self._history = 0
        self._matrix: _Floats | None = None
        if up != down:
            self._history, self._matrix = _block_filter(up, down)
            self.delay_ns = int((len(_low_pass(up, down)) - 1) / 2 / (rate_hz * up) * 1e9)
        self._tail: _Floats = np.zeros(self._history, np.float32)

    def push(self, samples: Samples) -> Samples | _Floats:
        """As many output samples as the input makes complete, within the range of 16 bits."""
        if self._matrix is None or len(samples) == 0:
            return samples
        line = np.concatenate((self._tail, samples), dtype=np.float32)
        blocks = (len(line) - self._history) // self._block
        self._tail = line[blocks * self._block :]
        self.held = len(self._tail) - self._history
        rows: _Floats = np.ndarray((blocks, len(self._matrix)), np.float32, line, 0, (4 * self._block, 4))
        # `dot` copies the overlapping rows; `matmul` would go through them one product at a time.
        out: _Floats = np.dot(rows, self._matrix).reshape(-1)
        np.maximum(out, _LOWEST, out=out)
        np.minimum(out, _HIGHEST, out=out)
        return out


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

    def gap_ns(self, samples: int, received_ns: int, rate_hz: int = MODEL_RATE_HZ) -> int:
        """How much later than expected `samples` came that arrived at `received_ns`; not before 0."""
        if self._end_ns is None:
            return 0
        return max(0, received_ns - self._end_ns - samples * 1_000_000_000 // rate_hz)

    def push(self, samples: int, received_ns: int, rate_hz: int = MODEL_RATE_HZ) -> int:
        """`samples` at `rate_hz` arrived at `received_ns`: when the last of them was heard."""
        duration_ns = samples * 1_000_000_000 // rate_hz
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
        # Whole frames, so that none of them wraps around.
        self._ring = np.zeros(-(-self._keep // VAD_SAMPLES) * VAD_SAMPLES, np.int16)
        self._arrivals = ArrivalClock()
        # 16 kHz samples in the ring, and those of them that were cut into frames.
        self._converted = 0
        self._framed = 0
        self._end_ns = 0
        self._raw = bytearray()
        self.set_rate(rate_hz)

    def set_rate(self, rate_hz: int) -> None:
        """The leg's codec changed; what was heard so far stays."""
        self._convert()
        self._resampler = Resampler(rate_hz)
        self._rate_hz = rate_hz

    @property
    def position(self) -> int:
        """16 kHz samples heard since the start."""
        self._convert()
        return self._converted

    def push(self, pcm: bytes, received_ns: int) -> list[ModelFrame]:
        """Take what the leg heard, whose last sample reached us at `received_ns`; the VAD frames now complete."""
        if len(pcm) & 1:
            pcm = pcm[:-1]
        rate_hz = self._rate_hz
        gap_ns = self._arrivals.gap_ns(len(pcm) // 2, received_ns, rate_hz)
        if gap_ns > MAX_JITTER_NS:
            # A peer that sends nothing in silence: its pause was heard, and words must not run into one another.
            pcm = bytes(2 * (min(gap_ns, MAX_FILL_NS) * rate_hz // 1_000_000_000)) + pcm
        self._raw += pcm
        self._end_ns = self._arrivals.push(len(pcm) // 2, received_ns, rate_hz) - self._resampler.delay_ns
        waiting = len(self._raw) // 2 + self._resampler.held
        if waiting * MODEL_RATE_HZ < (VAD_SAMPLES + self._framed - self._converted) * rate_hz:
            return []
        self._convert()
        oldest = self._converted - len(self._ring)
        if self._framed < oldest:
            # More came at once than is kept.
            self._framed = -(-oldest // VAD_SAMPLES) * VAD_SAMPLES
        frames = []
        while self._converted - self._framed >= VAD_SAMPLES:
            start = self._framed % len(self._ring)
            samples = self._ring[start : start + VAD_SAMPLES]
            self._framed += VAD_SAMPLES
            frames.append(ModelFrame(samples.tobytes(), self.time_of(self._framed), levels_db(samples)))
        return frames

    def time_of(self, position: int) -> int:
        """When the sample before `position` was heard (ns)."""
        unconverted_ns = (len(self._raw) // 2 + self._resampler.held) * 1_000_000_000 // self._rate_hz
        return self._end_ns - unconverted_ns - (self._converted - position) * 1_000_000_000 // MODEL_RATE_HZ

    def position_at(self, at_ns: int) -> int:
        """The position of what was heard at `at_ns`, within what is kept."""
        position = self.position
        back = (self.time_of(position) - at_ns) * MODEL_RATE_HZ // 1_000_000_000
        return max(position - self._keep, min(position, position - back), 0)

    def since(self, position: int) -> bytes:
        """Audio from `position` to now, at most what is kept."""
        end = self.position
        start = max(position, end - self._keep, 0)
        if start >= end:
            return b""
        first, last = start % len(self._ring), end % len(self._ring)
        if first >= last:
            return self._ring[first:].tobytes() + self._ring[:last].tobytes()
        return self._ring[first:last].tobytes()

    def _convert(self) -> None:
        """What arrived since the last time → the ring."""
        if not self._raw:
            return
        samples = self._resampler.push(np.frombuffer(bytes(self._raw), "<i2"))
        self._raw.clear()
        size = len(self._ring)
        if len(samples) > size:
            # More at once than is kept: its beginning is gone already.
            skipped = len(samples) - size
            self._converted += skipped
            samples = samples[skipped:]
        start = self._converted % size
        first = min(len(samples), size - start)
        self._ring[start : start + first] = samples[:first]
        if first < len(samples):
            self._ring[: len(samples) - first] = samples[first:]
        self._converted += len(samples)


def levels_db(frame: Samples) -> tuple[float, ...]:
    """RMS level of each part of a frame, in dB of full scale."""
    parts = frame.astype(np.float32).reshape(LEVEL_PARTS, -1)
    powers: list[float] = np.vecdot(parts, parts).tolist()
    return tuple([10 * math.log10(max(power, _LEAST_POWER)) + _TO_FULL_SCALE_DB for power in powers])
