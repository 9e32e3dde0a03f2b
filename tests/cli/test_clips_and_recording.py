"""Clips cut to their speech, and the recording of a call."""

import wave
from pathlib import Path

import numpy as np
import pytest

from services.cli.caller import Track
from services.cli.clips import LEVEL_DBFS, Clip, load_clip, make_clip
from services.cli.measure import dbfs
from services.cli.recording import save_stereo
from services.common.errors import InvalidInputError
from tests.cli.signals import MS, burst, line, noise, packets


def write_wav(path: Path, pcm: np.ndarray, rate_hz: int = 16000, channels: int = 1, width: int = 2) -> Path:
    with wave.open(str(path), "wb") as out:
        out.setnchannels(channels)
        out.setsampwidth(width)
        out.setframerate(rate_hz)
        out.writeframes(pcm.tobytes())
    return path


@pytest.mark.parametrize("level", [-45.0, -24.0, -8.0])
def test_a_clip_is_brought_to_the_usual_level_and_cut_to_its_speech_whatever_its_own_level(level: float) -> None:
    hiss = noise(2000, 16000, level - 32)
    made = make_clip("c", "", line(2000, 16000, (0, hiss), (400, burst(800, 16000, level))), 16000)
    assert made.seconds == pytest.approx(0.8, abs=0.006)
    assert dbfs(made.pcm) == pytest.approx(LEVEL_DBFS, abs=0.5)


def test_a_stereo_wav_gives_its_first_channel(tmp_path: Path) -> None:
    voice = burst(500, 8000)
    both = np.stack([voice, np.zeros_like(voice)], axis=1)
    clip = load_clip(write_wav(tmp_path / "s.wav", both, 8000, 2))
    assert clip.rate_hz == 8000
    assert clip.seconds == pytest.approx(0.5, abs=0.006)


@pytest.mark.parametrize("what", ["missing", "text", "eight", "silent"])
def test_a_file_that_is_no_speech_is_refused_by_name(tmp_path: Path, what: str) -> None:
    path = tmp_path / "x.wav"
    if what == "text":
        path.write_text("hello")
    if what == "eight":
        write_wav(path, np.zeros(800, dtype=np.uint8), width=1)
    if what == "silent":
        write_wav(path, np.zeros(8000, dtype=np.int16))
    with pytest.raises(InvalidInputError, match=r"x\.wav"):
        load_clip(path)


def test_under_noise_a_clip_ends_where_its_last_sounds_sink_into_it() -> None:
    loud, faint = burst(800, 16000, LEVEL_DBFS), burst(200, 16000, LEVEL_DBFS - 16)
    made = Clip("c", "", np.concatenate([loud, faint]), 16000)
    assert made.audible_samples(25.0) / 16 == pytest.approx(1000, abs=20)
    assert made.audible_samples(12.0) / 16 == pytest.approx(800, abs=20)


def test_resampling_keeps_the_length_in_time() -> None:
    made = make_clip("c", "", burst(1000, 16000), 16000)
    assert made.at(8000).seconds == pytest.approx(made.seconds, abs=0.001)
    assert made.at(16000) is made


def test_the_recording_has_the_caller_left_and_the_agent_right_on_one_timeline(tmp_path: Path) -> None:
    sent = packets(burst(400, 8000), 8000, start_ns=1000 * MS)
    heard = packets(line(2000, 48000, (1200, burst(300, 48000))), 48000, start_ns=500 * MS)
    length = save_stereo(tmp_path / "call.wav", sent, heard)
    with wave.open(str(tmp_path / "call.wav")) as stream:
        assert (stream.getnchannels(), stream.getframerate()) == (2, 16000)
        both = np.frombuffer(stream.readframes(stream.getnframes()), dtype="<i2").reshape(-1, 2)
    assert length == pytest.approx(2.0, abs=0.01)
    left = np.flatnonzero(np.abs(both[:, 0]) > 300) / 16
    right = np.flatnonzero(np.abs(both[:, 1]) > 300) / 16
    assert left[0] == pytest.approx(500, abs=5)
    assert left[-1] == pytest.approx(900, abs=5)
    assert right[0] == pytest.approx(1200, abs=5)


def test_a_call_without_audio_cannot_be_recorded(tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError):
        save_stereo(tmp_path / "call.wav", Track(8000), Track(8000))
