"""The caller's audio at 16 kHz: rates, delay, framing, time, memory."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.common.errors import InvalidInputError
from services.orchestrator.media.audio import ArrivalClock, AudioIn, Resampler

MS = 1_000_000


def sine(rate_hz: int, hz: float, seconds: float = 1.0) -> np.ndarray:
    t = np.arange(int(rate_hz * seconds)) / rate_hz
    return (np.sin(2 * np.pi * hz * t) * 10_000).astype(np.int16)


@pytest.mark.parametrize("rate_hz", [8_000, 16_000, 24_000, 48_000])
def test_speech_keeps_its_level_and_is_delayed_by_no_more_than_2_ms(rate_hz: int) -> None:
    resampler = Resampler(rate_hz)
    assert resampler.delay_ns <= 2 * MS
    source, step = sine(rate_hz, 1000), rate_hz // 50
    out = np.concatenate([resampler.push(source[i : i + step]) for i in range(0, len(source), step)])
    assert len(out) == 16_000
    expected = np.sin(2 * np.pi * 1000 * (np.arange(16_000) / 16_000 - resampler.delay_ns / 1e9)) * 10_000
    assert np.abs(out[800:] - expected[800:]).max() < 30


@pytest.mark.parametrize(("rate_hz", "hz"), [(48_000, 10_000), (48_000, 15_000), (24_000, 10_500)])
def test_what_16_khz_cannot_hold_is_filtered_and_not_folded_back(rate_hz: int, hz: float) -> None:
    out = Resampler(rate_hz).push(sine(rate_hz, hz))
    assert np.abs(out[200:]).max() < 100


@given(st.lists(st.integers(0, 700), min_size=1, max_size=30), st.sampled_from([8_000, 24_000, 48_000]))
@settings(max_examples=60, deadline=None)
def test_the_result_does_not_depend_on_how_audio_was_cut(cuts: list[int], rate_hz: int) -> None:
    source = sine(rate_hz, 440, 0.2)
    whole = Resampler(rate_hz).push(source)
    resampler, parts, at = Resampler(rate_hz), [], 0
    for cut in cuts:
        parts.append(resampler.push(source[at : at + cut]))
        at += cut
    parts.append(resampler.push(source[at:]))
    joined = np.concatenate(parts)
    assert len(joined) == len(whole)
    assert np.abs(joined.astype(int) - whole).max() <= 1


@pytest.mark.parametrize("rate_hz", [0, -1, 7, 11_025, 44_100])
def test_a_rate_that_cannot_be_used_is_a_typed_error(rate_hz: int) -> None:
    with pytest.raises(InvalidInputError, match="rx_rate_hz"):
        AudioIn(rate_hz)


def test_frames_of_512_samples_come_with_the_time_of_their_last_sample() -> None:
    audio = AudioIn(16_000)
    frames = [frame for i in range(8) for frame in audio.push(bytes(640), (i + 1) * 20 * MS)]
    assert [len(frame.pcm) for frame in frames] == [1024] * 5
    # 0.02 % of drift is allowed for.
    assert [round(frame.end_ns / MS) for frame in frames] == [32, 64, 96, 128, 160]


def test_late_packets_do_not_move_the_time_of_what_they_carry() -> None:
    clock = ArrivalClock()
    heard = [clock.push(320, at * MS) for at in (20, 40, 75, 80, 130, 120, 140)]
    assert [round(at / MS) for at in heard] == [20, 40, 60, 80, 100, 120, 140]


def test_after_a_gap_time_begins_anew() -> None:
    clock = ArrivalClock()
    clock.push(320, 20 * MS)
    assert clock.push(320, 900 * MS) == 900 * MS


def test_levels_are_in_db_of_full_scale() -> None:
    audio = AudioIn(16_000)
    [frame] = audio.push(sine(16_000, 1000, 0.032).tobytes(), 0)
    assert frame.levels_db == pytest.approx([-13.3] * 4, abs=0.2)
    [silence] = audio.push(bytes(1024), 0)
    assert max(silence.levels_db) < -80


@given(st.lists(st.integers(0, 4000), max_size=20), st.integers(-500, 40_000))
@settings(max_examples=100, deadline=None)
def test_what_is_kept_is_bounded_and_exact(chunks: list[int], since: int) -> None:
    audio = AudioIn(16_000, keep_ms=500)
    everything = np.arange(sum(chunks) % 30_000 + sum(chunks), dtype=np.int64).astype(np.int16)
    at = 0
    for chunk in chunks:
        audio.push(everything[at : at + chunk].tobytes(), 0)
        at += chunk
    kept = np.frombuffer(audio.since(since), "<i2")
    assert len(kept) <= 8_000
    assert (kept == everything[at - len(kept) : at]).all()
    expected = min(8_000, at, max(0, at - max(0, since)))
    assert len(kept) == expected


def test_odd_bytes_and_empty_audio_harm_nothing() -> None:
    audio = AudioIn(8_000)
    assert audio.push(b"", 0) == []
    assert audio.push(b"\x01", 0) == []
    assert audio.push(b"\x01\x02\x03", 0) == []


def test_a_gap_in_what_comes_is_heard_as_silence_so_that_words_stay_apart() -> None:
    audio = AudioIn(8_000)
    tone = (np.sin(np.arange(160) * 0.6) * 9_000).astype("<i2").tobytes()
    now_ns = 0
    for _ in range(10):
        now_ns += 20_000_000
        audio.push(tone, now_ns)
    before = audio.position
    now_ns += 420_000_000
    audio.push(tone, now_ns)
    # 400 ms of silence and 20 ms of tone, at 16 kHz.
    assert abs(audio.position - before - 6_720) <= 64
    heard = np.frombuffer(audio.since(before), "<i2").astype(np.float64)
    assert np.abs(heard[800:5_600]).max() < 20
    assert np.abs(heard[-160:]).max() > 3_000
    # A peer that was away for a minute is a second of silence, not a minute.
    audio.push(tone, now_ns + 60_000_000_000)
    assert audio.position - before < 6_720 + 17_000
