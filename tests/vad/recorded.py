"""Recorded human speech (model `speech-test`) as 16 kHz samples, and the frames Detect takes."""

import wave
from pathlib import Path

import numpy as np
import pytest
import soxr

from services.common.errors import MissingModelError
from services.common.models import ModelStore
from services.common.settings import load_settings
from services.pb.trunkline.vad.v1 import vad_pb2

RATE_HZ = 16_000
FRAME = 512
READINGS = ("0870", "0880", "0890", "0920", "0930")


def model_dir(name: str) -> Path:
    try:
        return ModelStore(load_settings(env={}).models).path(name)
    except MissingModelError as error:
        pytest.skip(str(error))


def reading(number: str) -> np.ndarray:
    """One LibriVox sentence, int16."""
    path = model_dir("speech-test") / "librivox" / f"sense_and_sensibility_01_austen_64kb-{number}.wav"
    with wave.open(str(path)) as stream:
        assert stream.getframerate() == RATE_HZ
        return np.frombuffer(stream.readframes(stream.getnframes()), dtype="<i2")


def silence(ms: float) -> np.ndarray:
    return np.zeros(int(RATE_HZ * ms / 1000), dtype="<i2")


def frames(call_id: str, samples: np.ndarray, first_seq: int = 0) -> list[vad_pb2.Frame]:
    """Whole 32 ms frames; a rest is left out."""
    count = len(samples) // FRAME
    return [
        vad_pb2.Frame(call_id=call_id, seq=first_seq + i, pcm=samples[i * FRAME : (i + 1) * FRAME].tobytes())
        for i in range(count)
    ]


def over_g711(samples: np.ndarray) -> np.ndarray:
    """What is left of 16 kHz audio after a µ-law leg: 8 kHz and back, 8 bits a sample (ITU-T G.711, µ = 255)."""
    narrow = soxr.resample(samples.astype(np.float32) / 32768, RATE_HZ, 8_000)
    squeezed = np.sign(narrow) * np.log1p(255 * np.abs(narrow)) / np.log(256)
    coarse = np.round(squeezed * 127) / 127
    line = np.sign(coarse) * np.expm1(np.abs(coarse) * np.log(256)) / 255
    wide = soxr.resample(line.astype(np.float32), 8_000, RATE_HZ)
    return np.clip(wide * 32768, -32768, 32767).astype("<i2")
