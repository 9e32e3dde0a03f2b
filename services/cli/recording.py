"""The two-channel WAV of a test call: left the caller as sent, right the agent as it arrived, on one timeline."""

import io
import wave
from pathlib import Path

import numpy as np
import soxr

from services.cli.caller import Pcm, Track
from services.common.errors import InvalidInputError

_RATE_HZ = 16_000


def stereo_wav(sent: Track, heard: Track, start_ns: int, end_ns: int, rate_hz: int = _RATE_HZ) -> bytes:
    """Both tracks from `start_ns` to `end_ns` as a WAV file: left what was sent, right what was heard."""
    left, right = (_channel(track, start_ns, end_ns, rate_hz) for track in (sent, heard))
    length = min(len(left), len(right))
    out = io.BytesIO()
    with wave.open(out, "wb") as stream:
        stream.setnchannels(2)
        stream.setsampwidth(2)
        stream.setframerate(rate_hz)
        stream.writeframes(np.stack([left[:length], right[:length]], axis=1).astype("<i2").tobytes())
    return out.getvalue()


def save_stereo(path: Path, sent: Track, heard: Track) -> float:
    """Write both tracks; returns the length in seconds. Raises InvalidInputError when the file cannot be written."""
    tracks = [track for track in (sent, heard) if track.samples]
    if not tracks:
        raise InvalidInputError("recording", expected="audio", got="none")
    start_ns = min(track.time_ns(0) for track in tracks)
    end_ns = max(track.time_ns(track.samples) for track in tracks)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(stereo_wav(sent, heard, start_ns, end_ns))
    except OSError as error:
        raise InvalidInputError("--record", expected="a file that can be written", got=f"{path}: {error}") from error
    return (end_ns - start_ns) / 1e9


def _channel(track: Track, start_ns: int, end_ns: int, rate_hz: int) -> Pcm:
    if not track.samples:
        return np.zeros((end_ns - start_ns) * rate_hz // 10**9, dtype=np.int16)
    line = track.on_timeline(start_ns, end_ns)
    if track.rate_hz == rate_hz:
        return line
    return np.asarray(soxr.resample(line, track.rate_hz, rate_hz), dtype=np.int16)
