"""PredictTurn: has the caller finished, by the sound of it? One prediction at a time, beside Detect, never before it.

The model takes tens of milliseconds, so it runs in a thread of its own; a request that could not start in time is
refused at once, because the turn-taker has a rule for not knowing and none for waiting.
"""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import soxr

from services.common.clock import Clock
from services.common.errors import DeadlineError, InvalidInputError, OverloadedError
from services.vad.logmel import RATE_HZ, WINDOW_SAMPLES, Floats, log_mel
from services.vad.silero import expect_inputs, open_session

RATES_HZ = (8_000, 16_000)
# First guess of a prediction's time, until some were measured.
GUESS_MS = 60.0


class TurnEngine(Protocol):
    """The turn model. Called from one thread at a time."""

    def complete(self, audio: Floats) -> float:
        """Probability that the speaker has finished, from up to 8 s of 16 kHz audio in −1…1."""
        ...


class SmartTurnEngine:
    """smart-turn v3.2 on onnxruntime."""

    def __init__(self, path: Path, threads: int) -> None:
        self._session = open_session(path, threads)
        expect_inputs(path, self._session, {"input_features"})

    def complete(self, audio: Floats) -> float:
        """Probability that the speaker has finished."""
        (probability,) = self._session.run(None, {"input_features": log_mel(audio)[None]})
        return float(probability.reshape(-1)[0])


@dataclass(frozen=True)
class Prediction:
    """Probability and where the time went."""

    complete_probability: float
    queue_ms: float
    compute_ms: float


class TurnPredictor:
    """A queue of one worker, bounded by time."""

    def __init__(self, engine: TurnEngine, max_queue_ms: float, clock: Clock) -> None:
        self._engine = engine
        self._max_queue_ms = max_queue_ms
        self._clock = clock
        self._turn = asyncio.Lock()
        self._waiting = 0
        self._mean_ms = GUESS_MS
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="turn")

    async def predict(self, pcm: bytes, rate_hz: int) -> Prediction:
        """Raises InvalidInputError, OverloadedError (it would start too late) and DeadlineError (it did)."""
        check_audio(pcm, rate_hz)
        expected_ms = self._waiting * self._mean_ms
        if expected_ms > self._max_queue_ms:
            raise OverloadedError("Turn prediction", retry_after_s=expected_ms / 1e3)
        arrived_ns = self._clock.now_ns()
        self._waiting += 1
        try:
            async with self._turn:
                return await self._compute(pcm, rate_hz, arrived_ns)
        finally:
            self._waiting -= 1

    async def _compute(self, pcm: bytes, rate_hz: int, arrived_ns: int) -> Prediction:
        start_ns = self._clock.now_ns()
        queue_ms = (start_ns - arrived_ns) / 1e6
        if queue_ms > self._max_queue_ms:
            raise DeadlineError(f"Turn prediction waited {queue_ms:.0f} ms, more than {self._max_queue_ms:.0f} ms.")
        work = asyncio.get_running_loop().run_in_executor(self._thread, self._infer, pcm, rate_hz)
        try:
            probability = await asyncio.shield(work)
        finally:
            # A client that went away must not let the next one in while the thread is still busy.
            await asyncio.wait({work})
        compute_ms = (self._clock.now_ns() - start_ns) / 1e6
        self._mean_ms += 0.2 * (compute_ms - self._mean_ms)
        return Prediction(probability, queue_ms, compute_ms)

    def _infer(self, pcm: bytes, rate_hz: int) -> float:
        return self._engine.complete(to_model_rate(pcm, rate_hz))

    async def close(self) -> None:
        """Free the thread; a prediction in progress is left to end."""
        self._thread.shutdown(wait=False, cancel_futures=True)


def check_audio(pcm: bytes, rate_hz: int) -> None:
    """Raises InvalidInputError naming the field."""
    if rate_hz not in RATES_HZ:
        raise InvalidInputError("sample_rate_hz", expected="8000 or 16000", got=str(rate_hz))
    if not pcm or len(pcm) % 2:
        raise InvalidInputError("pcm", expected="a positive, even number of bytes (16-bit PCM)", got=f"{len(pcm)}")


def to_model_rate(pcm: bytes, rate_hz: int) -> Floats:
    """The last 8 s as float32 in −1…1 at 16 kHz."""
    keep_bytes = 2 * WINDOW_SAMPLES * rate_hz // RATE_HZ
    audio = np.frombuffer(pcm[-keep_bytes:], dtype="<i2").astype(np.float32) / np.float32(32768)
    if rate_hz == RATE_HZ:
        return audio
    resampled: Floats = soxr.resample(audio, rate_hz, RATE_HZ)
    return resampled
