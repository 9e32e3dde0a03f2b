"""Scripted engines: no model, only loudness. They exist to measure Trunkline's own overhead (`--models scripted`)."""

import numpy as np

from services import __version__
from services.vad.calls import CONTEXT_SAMPLES, Floats

# Loudness of a frame (dBFS) that is surely silence, and surely speech; between them the probability is linear.
SILENCE_DBFS = -50.0
SPEECH_DBFS = -30.0


class ScriptedSpeech:
    """Probability of speech from the frame's energy: the same audio always gives the same answer."""

    name = "scripted"
    version = __version__
    inline_frames = 1000

    def infer(self, audio: Floats, state: Floats) -> tuple[Floats, Floats]:
        """[B, 576] → probability [B]; the state is handed back as it came."""
        power = np.mean(np.square(audio[:, CONTEXT_SAMPLES:]), axis=1)
        dbfs = 10.0 * np.log10(np.maximum(power, 1e-12))
        probability = np.clip((dbfs - SILENCE_DBFS) / (SPEECH_DBFS - SILENCE_DBFS), 0.0, 1.0)
        return probability.astype(np.float32), state


class ScriptedTurn:
    """Every turn is complete; the turn-taker's declared endpoint time is then the only wait."""

    def complete(self, audio: Floats) -> float:
        """1.0."""
        return 1.0
