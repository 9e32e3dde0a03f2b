"""Speech found in audio, against signals whose truth is known."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.cli.caller import Pcm, Track
from services.cli.measure import Utterance, dropped_frames, hear_turns, speech_spans, trim
from tests.cli.signals import MS, burst, line, noise, packets

RATES = (8000, 16000, 48000)


def mulaw(pcm: Pcm) -> Pcm:
    """What G.711 µ-law leaves of the audio (ITU-T G.711 by its continuous formula; enough for levels)."""
    x = pcm / 32768
    y = np.sign(x) * np.log1p(255 * np.abs(x)) / np.log(256)
    y = np.round(y * 127) / 127
    return (np.sign(y) * (256 ** np.abs(y) - 1) / 255 * 32768).astype(np.int16)


@pytest.mark.parametrize("rate_hz", RATES)
def test_silence_and_comfort_noise_are_not_speech(rate_hz: int) -> None:
    assert speech_spans(np.zeros(rate_hz, dtype=np.int16), rate_hz) == []
    assert speech_spans(noise(2000, rate_hz, -52), rate_hz) == []
    assert speech_spans(np.zeros(0, dtype=np.int16), rate_hz) == []


def test_a_click_is_not_speech() -> None:
    pcm = line(1000, 8000, (500, burst(10, 8000, -6)))
    assert speech_spans(pcm, 8000) == []


@given(
    at_ms=st.integers(50, 900),
    long_ms=st.integers(80, 900),
    level=st.floats(-30, -6),
    floor=st.floats(-75, -52),
    rate_hz=st.sampled_from(RATES[:2]),
    coded=st.booleans(),
)
@settings(max_examples=60, deadline=None)
def test_onset_and_end_are_found_within_five_ms_on_noise_and_g711(
    at_ms: int, long_ms: int, level: float, floor: float, rate_hz: int, coded: bool
) -> None:
    pcm = line(2000, rate_hz, (0, noise(2000, rate_hz, floor)), (at_ms, burst(long_ms, rate_hz, level)))
    spans = speech_spans(mulaw(pcm) if coded else pcm, rate_hz)
    assert len(spans) == 1
    assert abs(spans[0].start / rate_hz * 1000 - at_ms) <= 5
    assert abs(spans[0].end / rate_hz * 1000 - (at_ms + long_ms)) <= 5


def test_words_with_pauses_are_one_utterance_and_silence_parts_two() -> None:
    pcm = line(4000, 8000, (100, burst(400, 8000)), (700, burst(300, 8000)), (2000, burst(500, 8000)))
    spans = speech_spans(pcm, 8000)
    assert [round(s.start / 8) for s in spans] == pytest.approx([100, 2000], abs=5)
    assert [round(s.end / 8) for s in spans] == pytest.approx([1000, 2500], abs=5)


def test_a_clip_is_trimmed_to_its_speech() -> None:
    span = trim(line(1500, 16000, (300, burst(700, 16000))), 16000)
    assert span is not None
    assert span.start / 16 == pytest.approx(300, abs=5)
    assert span.end / 16 == pytest.approx(1000, abs=5)
    assert trim(np.zeros(1000, dtype=np.int16), 16000) is None


def caller_track(*said: tuple[float, float]) -> tuple[Track, list[Utterance]]:
    """A caller who speaks from `at_ms` for `ms`; gaps are not in the track, as with a real leg."""
    track, utterances = Track(8000), []
    for turn, (at_ms, ms) in enumerate(said, start=1):
        start = track.samples
        pcm = burst(ms, 8000)
        for i in range(0, len(pcm), 160):
            track.add(pcm[i : i + 160], int(at_ms * MS) + i * 125_000)
        utterances.append(Utterance(turn, start, track.samples))
    return track, utterances


def test_voice_to_voice_runs_from_the_end_of_what_was_sent_to_the_first_speech_heard() -> None:
    sent, said = caller_track((1000, 800), (5000, 600))
    heard = packets(
        line(8000, 8000, (0, noise(8000, 8000, -65)), (2500, burst(1000, 8000)), (6220, burst(900, 8000))), 8000
    )
    first, second = hear_turns(said, sent, heard)
    assert first.outcome == second.outcome == "answered"
    assert first.voice_to_voice_ms == pytest.approx(700, abs=5)
    assert second.voice_to_voice_ms == pytest.approx(620, abs=5)


@given(shift_ms=st.integers(0, 1000), delay_ms=st.integers(30, 2500))
@settings(max_examples=40, deadline=None)
def test_voice_to_voice_does_not_depend_on_where_the_clock_starts(shift_ms: int, delay_ms: int) -> None:
    sent, said = caller_track((shift_ms, 500))
    audio = line(5000, 8000, (shift_ms + 500 + delay_ms, burst(800, 8000)))
    [turn] = hear_turns(said, sent, packets(audio, 8000))
    assert turn.voice_to_voice_ms == pytest.approx(delay_ms, abs=5)


def test_a_turn_nobody_answered_has_no_voice_to_voice() -> None:
    sent, said = caller_track((1000, 500))
    [turn] = hear_turns(said, sent, packets(line(4000, 8000), 8000))
    assert turn.outcome == "unanswered"
    assert turn.voice_to_voice_ms is None


def test_an_agent_that_begins_before_the_caller_is_done_cut_the_caller_off() -> None:
    sent, said = caller_track((1000, 2000))
    [turn] = hear_turns(said, sent, packets(line(6000, 8000, (2200, burst(1500, 8000))), 8000))
    assert turn.outcome == "cut_off"
    assert turn.voice_to_voice_ms is None


def test_barge_in_stop_is_from_the_callers_onset_to_the_last_agent_speech() -> None:
    sent, said = caller_track((2000, 1500))
    audio = line(8000, 8000, (500, burst(1710, 8000)), (4300, burst(900, 8000)))
    [turn] = hear_turns(said, sent, packets(audio, 8000))
    assert turn.outcome == "answered"
    assert turn.barge_in_stop_ms == pytest.approx(210, abs=5)
    assert turn.voice_to_voice_ms == pytest.approx(800, abs=5)


def test_an_agent_that_pauses_resumes_and_then_stops_is_measured_to_its_last_word() -> None:
    sent, said = caller_track((2000, 1500))
    audio = line(8000, 8000, (500, burst(1650, 8000)), (2500, burst(200, 8000)), (4300, burst(900, 8000)))
    [turn] = hear_turns(said, sent, packets(audio, 8000))
    assert turn.barge_in_stop_ms == pytest.approx(700, abs=5)


def test_an_agent_that_talks_on_is_said_to_talk_over_the_caller() -> None:
    sent, said = caller_track((2000, 1000))
    [turn] = hear_turns(said, sent, packets(line(8000, 8000, (500, burst(5000, 8000))), 8000))
    assert turn.outcome == "talked_over"
    assert turn.barge_in_stop_ms is None
    assert turn.voice_to_voice_ms is None


def test_an_interrupted_answer_still_counts_for_the_turn_it_answers() -> None:
    sent, said = caller_track((1000, 500), (2400, 800))
    audio = line(8000, 8000, (2100, burst(480, 8000)), (4000, burst(900, 8000)))
    first, second = hear_turns(said, sent, packets(audio, 8000))
    assert first.voice_to_voice_ms == pytest.approx(600, abs=5)
    assert second.barge_in_stop_ms == pytest.approx(180, abs=5)
    assert second.voice_to_voice_ms == pytest.approx(800, abs=5)


def test_late_packets_that_catch_up_are_not_dropped_frames() -> None:
    heard = packets(line(3000, 8000, (500, burst(2000, 8000))), 8000, jitter_ms=(0, 7, 35, 16, 2))
    assert dropped_frames(heard) == 0


def test_packets_that_never_came_are_dropped_frames() -> None:
    pcm = line(3000, 8000, (500, burst(2000, 8000)))
    track = Track(8000)
    for i, at in enumerate(range(0, len(pcm), 160)):
        if i not in (60, 61, 90):
            track.add(pcm[at : at + 160], i * 20 * MS)
    assert dropped_frames(track) == 3


def test_silence_inserted_by_a_starved_sender_is_dropped_frames() -> None:
    speech = burst(2000, 8000)
    pcm = line(3000, 8000, (500, speech))
    pcm[10_000 : 10_000 + 320] = 0
    assert dropped_frames(packets(pcm, 8000)) == 2


def test_a_pause_between_clauses_is_not_a_dropped_frame() -> None:
    fade = burst(600, 8000).astype(np.float64)
    fade[-400:] *= np.linspace(1, 0, 400) ** 2
    pcm = line(3000, 8000, (500, fade.astype(np.int16)), (1350, burst(600, 8000)))
    assert dropped_frames(packets(pcm, 8000)) == 0


def test_a_turn_in_which_our_own_caller_stumbled_does_not_count() -> None:
    sent = Track(8000)
    for i, at_ms in enumerate((1000, 1020, 1040, 1200, 1220)):
        sent.add(burst(20, 8000, seed=i), at_ms * MS)
    heard = packets(line(4000, 8000, (1700, burst(800, 8000))), 8000)
    [turn] = hear_turns([Utterance(1, 0, sent.samples)], sent, heard)
    assert turn.outcome == "caller_late"
    assert turn.voice_to_voice_ms is None
    assert turn.answer_ns is not None
