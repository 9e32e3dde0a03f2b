"""PredictTurn's queue: bounded by time, one at a time, nothing computed for a client that has left."""

import asyncio
import threading

import numpy as np
import pytest

from services.common.clock import SystemClock, VirtualClock
from services.common.errors import DeadlineError, InvalidInputError, OverloadedError
from services.vad.logmel import BANDS, FRAMES, WINDOW_SAMPLES, log_mel
from services.vad.turn import TurnPredictor, to_model_rate

SECOND = bytes(32_000)


class Held:
    """A turn model that waits to be let go and notes what it was given."""

    def __init__(self):
        self.go = threading.Event()
        self.lengths = []

    def complete(self, audio):
        self.go.wait(5)
        self.lengths.append(len(audio))
        return 0.25


@pytest.fixture
async def held():
    engine = Held()
    predictor = TurnPredictor(engine, 150.0, SystemClock())
    yield engine, predictor
    engine.go.set()
    await predictor.close()


async def test_a_request_that_would_start_too_late_is_refused_with_a_retry_time(held):
    engine, predictor = held
    waiting = [asyncio.ensure_future(predictor.predict(SECOND, 16_000)) for _ in range(3)]
    await asyncio.sleep(0)
    with pytest.raises(OverloadedError) as refused:
        await predictor.predict(SECOND, 16_000)
    assert refused.value.retry_after_s == pytest.approx(0.18)
    engine.go.set()
    assert [p.complete_probability for p in await asyncio.gather(*waiting)] == [0.25] * 3


async def test_a_request_that_did_wait_too_long_is_not_computed():
    engine, clock = Held(), VirtualClock()
    predictor = TurnPredictor(engine, 150.0, clock)
    first = asyncio.ensure_future(predictor.predict(SECOND, 16_000))
    second = asyncio.ensure_future(predictor.predict(SECOND, 16_000))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    clock.advance_now_ms(151)
    engine.go.set()
    await first
    with pytest.raises(DeadlineError, match="151 ms"):
        await second
    assert len(engine.lengths) == 1
    await predictor.close()


async def test_a_client_that_leaves_while_waiting_costs_no_prediction(held):
    engine, predictor = held
    first, second = (asyncio.ensure_future(predictor.predict(SECOND, 16_000)) for _ in range(2))
    await asyncio.sleep(0)
    second.cancel()
    engine.go.set()
    await first
    with pytest.raises(asyncio.CancelledError):
        await second
    assert len(engine.lengths) == 1


@pytest.mark.parametrize(
    ("pcm", "rate", "field"),
    [(b"", 16_000, "pcm"), (b"abc", 16_000, "pcm"), (SECOND, 44_100, "sample_rate_hz"), (SECOND, 0, "sample_rate_hz")],
)
async def test_audio_that_cannot_be_used_names_the_field(held, pcm, rate, field):
    with pytest.raises(InvalidInputError) as refused:
        await held[1].predict(pcm, rate)
    assert refused.value.field == field


def test_more_than_eight_seconds_is_cut_from_the_front_at_both_rates():
    ramp = np.arange(20 * 16_000, dtype=np.int64) // 16_000
    sixteen = to_model_rate((ramp * 100).astype("<i2").tobytes(), 16_000)
    assert len(sixteen) == WINDOW_SAMPLES
    assert sixteen[0] * 32768 == 1200
    eight = to_model_rate((ramp[::2] * 100).astype("<i2").tobytes(), 8_000)
    assert len(eight) == WINDOW_SAMPLES
    assert eight[8000] * 32768 == pytest.approx(1200, abs=2)


def test_features_have_the_model_s_shape_and_range_for_any_length():
    rng = np.random.default_rng(0)
    for samples in (1, 511, 16_000, WINDOW_SAMPLES, WINDOW_SAMPLES + 1):
        features = log_mel(rng.standard_normal(samples).astype(np.float32) * 0.1)
        assert features.shape == (BANDS, FRAMES)
        assert np.isfinite(features).all()
        assert features.max() - features.min() <= 2.0 + 1e-6


@pytest.mark.parametrize("samples", [1, 150, 399, 400, 16_000, 100_000, WINDOW_SAMPLES - 250, WINDOW_SAMPLES - 1])
def test_silence_that_is_padded_and_silence_that_was_recorded_give_the_same_features(samples):
    audio = np.random.default_rng(samples).standard_normal(samples).astype(np.float32) * 0.1
    recorded = np.concatenate([np.zeros(WINDOW_SAMPLES - samples, dtype=np.float32), audio])
    assert np.array_equal(log_mel(audio), log_mel(recorded))


def test_features_do_not_depend_on_loudness_and_silence_stands_in_front():
    rng = np.random.default_rng(0)
    audio = rng.standard_normal(16_000).astype(np.float32) * 0.1
    assert np.abs(log_mel(audio) - log_mel(audio * 0.25)).max() < 1e-3
    features = log_mel(audio)
    assert features[:, :690].max() < features[:, 705:].mean()


def test_a_tone_lands_in_the_band_slaney_s_scale_gives_it():
    # 1 kHz is mel 15 of 45.245 at 8 kHz; 80 bands put centres 45.245/81 mel apart: band 15 / 0.5586 - 1 = 25.9.
    tone = np.sin(2 * np.pi * 1000 * np.arange(WINDOW_SAMPLES) / 16_000).astype(np.float32)
    assert log_mel(tone)[:, 400].argmax() == 26
