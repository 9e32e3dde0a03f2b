"""Window by window the result is that of one shot; nothing above the new Nyquist frequency comes through."""

import numpy as np
import pytest
import soxr
from hypothesis import given, settings
from hypothesis import strategies as st

from services.tts.resample import ClauseResampler, converted_length

NATIVE_HZ = 22050
RATES = (8000, 16000, 22050, 24000, 48000)


def convert(samples: np.ndarray, rate: int, sizes: list[int]) -> np.ndarray:
    resampler = ClauseResampler(NATIVE_HZ, rate)
    pcm, at, turn = b"", 0, 0
    while at < len(samples):
        size = sizes[turn % len(sizes)]
        pcm += resampler.feed(samples[at : at + size])
        at, turn = at + size, turn + 1
    return np.frombuffer(pcm + resampler.flush(), "<i2")


def speechlike(samples: int) -> np.ndarray:
    random = np.random.default_rng(7)
    t = np.arange(samples) / NATIVE_HZ
    voiced = sum(np.sin(2 * np.pi * 120 * k * t + random.uniform(0, 6)) / k for k in range(1, 60))
    return (0.15 * voiced * (0.6 + 0.4 * np.sin(2 * np.pi * 4 * t))).astype(np.float32)


@settings(max_examples=25, deadline=None)
@given(st.sampled_from(RATES), st.integers(0, 30000), st.lists(st.integers(1, 9000), min_size=1, max_size=8))
def test_windows_give_what_one_shot_gives_and_exactly_as_many_samples(rate: int, length: int, sizes: list[int]) -> None:
    samples = speechlike(length)
    got = convert(samples, rate, [size * 16 for size in sizes])
    assert len(got) == converted_length(length, NATIVE_HZ, rate)
    if length:
        whole = samples if rate == NATIVE_HZ else soxr.resample(samples, NATIVE_HZ, rate, quality="HQ")
        expected = whole[: len(got)] * 32767
        # Less than 2 of 32767: no click at any join.
        assert np.abs(got[: len(expected)] - expected).max() < 2.5


@pytest.mark.parametrize("rate", [8000, 16000])
def test_a_tone_above_the_nyquist_frequency_does_not_fold_back(rate: int) -> None:
    t = np.arange(NATIVE_HZ) / NATIVE_HZ
    tone = (0.5 * np.sin(2 * np.pi * (rate / 2 * 1.15) * t)).astype(np.float32)
    got = convert(tone, rate, [2048])[rate // 10 : -rate // 10].astype(float) / 32767
    assert np.sqrt(np.mean(got**2)) < 0.5 / np.sqrt(2) * 10 ** (-70 / 20)


@pytest.mark.parametrize("rate", RATES)
def test_little_is_held_back(rate: int) -> None:
    resampler = ClauseResampler(NATIVE_HZ, rate)
    first = resampler.feed(speechlike(2048))
    assert len(first) / 2 / rate > 2048 / NATIVE_HZ - 0.045
