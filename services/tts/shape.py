"""The silence around a clause: almost none before it, after it a pause by punctuation, and no click at the edges.

Pure. Works on frames known from phoneme durations, so the length of a clause is known before its first sample.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from services.tts.timing import WordSpan

# Frames kept before the first phoneme: its onset may start a little early (one frame is about 12 ms).
_LEAD_FRAMES = 1
# The last phoneme rings on for about this long after its predicted end.
_RELEASE_MS = 50
# Least and most silence after a clause in ms: the voice's own pause, kept within what sounds natural.
_PAUSES_MS = {".": (180, 380), "!": (180, 380), "?": (180, 380), ";": (120, 300), ":": (120, 300), ",": (60, 220)}
_NO_PAUSE_MS = (0, 40)
_FADE_MS = 4


@dataclass(frozen=True, slots=True)
class Kept:
    """Frames [start, end) are kept and `silence` frames of zeros follow."""

    start: int
    end: int
    silence: int
    fade_samples: int = 0

    def without_silence(self) -> "Kept":
        """The same with the closing silence spent."""
        return replace(self, silence=0)

    def faded(self, samples: NDArray[np.float32], start: int, end: int, hop: int) -> NDArray[np.float32]:
        """Fade in at the clause's first frame and out at its last; `samples` are frames [start, end)."""
        length = min(self.fade_samples, len(samples))
        if length == 0 or (start > self.start and end < self.end):
            return samples
        ramp = np.linspace(0.0, 1.0, length, dtype=np.float32)
        shaped = samples.copy()
        if start == self.start:
            shaped[:length] *= ramp
        if end == self.end:
            shaped[len(shaped) - length :] *= ramp[::-1]
        return shaped


def kept_frames(sounds: Sequence[WordSpan], frames: int, final: str, frames_per_s: float, hop: int) -> Kept:
    """Which frames to keep, from the spans of the sounding phonemes and the clause's last character."""
    heard = [span for span in sounds if span.end > span.start]
    if not heard:
        return Kept(0, 0, 0)
    per_ms = frames_per_s / 1000
    least, most = _PAUSES_MS.get(final, _NO_PAUSE_MS)
    start = max(0, heard[0].start - _LEAD_FRAMES)
    speech_end = heard[-1].end
    end = min(frames, speech_end + round((_RELEASE_MS + most) * per_ms))
    silence = max(0, round((_RELEASE_MS + least) * per_ms) - (end - speech_end))
    return Kept(start, end, silence, round(_FADE_MS * per_ms * hop))
