"""The caller's voice: the stack's own synthesiser, moved in pitch and pace so that two people are heard.

The pitch is a resampling (formants move with it, as with a smaller or larger head); the speaking rate makes up for the
tempo. It is synthetic, and said to be.
"""

from dataclasses import dataclass, replace

import numpy as np
import soxr

from services.cli.clips import Clip
from services.cli.speech_clients import speak
from services.common.clock import Clock
from services.common.settings import Settings


@dataclass(frozen=True, slots=True)
class Timbre:
    """Factors of the synthesiser's pitch and of its pace."""

    pitch: float = 1.06
    pace: float = 0.95


class Voice:
    """Lines as clips; each is made once."""

    def __init__(self, settings: Settings, clock: Clock, timbre: Timbre = Timbre()) -> None:
        self._settings = settings
        self._clock = clock
        self._timbre = timbre
        self._made: dict[str, Clip] = {}

    async def clip(self, text: str) -> Clip:
        """`text`, spoken. Raises UnavailableError or DeadlineError."""
        if text not in self._made:
            pitch, pace = self._timbre.pitch, self._timbre.pace
            clip = await speak(text, self._settings, self._clock, rate=pace / pitch)
            moved = np.asarray(
                soxr.resample(clip.pcm, clip.rate_hz * pitch, clip.rate_hz, quality="HQ"), dtype=np.int16
            )
            self._made[text] = replace(clip, name=text, pcm=moved)
        return self._made[text]
