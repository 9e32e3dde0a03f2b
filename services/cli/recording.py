"""The two-channel WAV of a test call: left the caller as sent, right the agent as it arrived, on one timeline."""

import wave
from pathlib import Path

import numpy as np
import soxr

from services.cli.caller import Pcm, Track
from services.common.errors import InvalidInputError

_RATE_HZ = 16_000


def save_stereo(path: Path, sent: Track, heard: Track) -> float:
    """Write both tracks; returns the length in seconds. Raises InvalidInputError when the file cannot be written."""
    tracks = [track for track in (sent, heard) if track.samples]
    if not tracks:
        raise InvalidInputError("recording", expected="audio", got="none")
    start_ns = min(track.time_ns(0) for track in tracks)
    end_ns = max(track.time_ns(track.samples) for track in tracks)
    left, right = (_channel(track, start_ns, end_ns) for track in (sent, heard))
    length = min(len(left), len(right))
    stereo = np.stack([left[:length], right[:length]], axis=1).astype("<i2")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with wave.open(str(path), "wb") as out:
            out.setnchannels(2)
            out.setsampwidth(2)
            out.setframerate(_RATE_HZ)
            out.writeframes(stereo.tobytes())
    except OSError as error:
        raise InvalidInputError("--record", expected="a file that can be written", got=f"{path}: {error}") from error
    return length / _RATE_HZ


def _channel(track: Track, start_ns: int, end_ns: int) -> Pcm:
    if not track.samples:
        return np.zeros((end_ns - start_ns) * _RATE_HZ // 10**9, dtype=np.int16)
    line = track.on_timeline(start_ns, end_ns)
    if track.rate_hz == _RATE_HZ:
        return line
    return np.asarray(soxr.resample(line, track.rate_hz, _RATE_HZ), dtype=np.int16)
