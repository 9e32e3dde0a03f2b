"""Recorded human speech (the `speech-test` model), telephone audio made of it, and sounds that are not speech."""

import wave
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import jiwer
import numpy as np
import soxr
from numpy.typing import NDArray
from whisper_normalizer.english import EnglishTextNormalizer

from services.asr.engine import WhisperEngine
from services.asr.hypothesis import DecodeRequest, Hypothesis, Pcm, Recognition
from services.common.models import ModelStore
from services.common.settings import load_settings

_normal = EnglishTextNormalizer()


@dataclass(frozen=True)
class Clip:
    """A recording at 16 kHz and what is said in it."""

    name: str
    pcm: Pcm
    words: str

    @property
    def ms(self) -> int:
        return len(self.pcm) // 16


@cache
def clips() -> tuple[Clip, ...]:
    """Five sentences of a LibriVox reader and five spoken commands."""
    root = ModelStore(load_settings(env={}).models).path("speech-test")
    lists = (root / "librivox" / "transcription", root / "cards" / "cards.transcription")
    return tuple(clip for path in lists for clip in _read_list(path))


def librivox() -> tuple[Clip, ...]:
    return clips()[:5]


def card(number: int) -> Clip:
    return next(clip for clip in clips() if clip.name == f"{number:03}")


def _read_list(path: Path) -> Iterator[Clip]:
    for line in path.read_text(encoding="utf-8").splitlines():
        words, _, name = line.rpartition("(")
        name = name.strip(" )")
        with wave.open(str(path.parent / f"{name}.wav")) as file:
            pcm = np.frombuffer(file.readframes(file.getnframes()), dtype="<i2")
        yield Clip(name, pcm, words.replace("<s>", "").replace("</s>", "").strip())


def telephone(pcm: Pcm) -> Pcm:
    """8 kHz through G.711 µ-law (ITU-T G.711's continuous form, 8 bits)."""
    narrow = soxr.resample(pcm.astype(np.float32) / 32768, 16_000, 8_000)
    squeezed = np.sign(narrow) * np.log1p(255 * np.minimum(1, np.abs(narrow))) / np.log(256)
    coarse = np.round(squeezed * 127) / 127
    return (np.sign(coarse) * (np.power(256, np.abs(coarse)) - 1) / 255 * 32767).astype(np.int16)


def in_noise(pcm: Pcm, snr_db: float) -> Pcm:
    """Speech with pink noise `snr_db` below it."""
    speech = pcm.astype(np.float64)
    noise = noises(len(pcm) / 16_000 + 0.01)["pink"][: len(pcm)].astype(np.float64)
    noise *= np.sqrt((speech**2).mean() / (noise**2).mean()) / 10 ** (snr_db / 20)
    return np.clip(speech + noise, -32768, 32767).astype(np.int16)


def wer(pairs: list[tuple[str, str]]) -> float:
    """Word error rate of (said, heard) pairs after Whisper's own normalisation of English."""
    return float(jiwer.wer([_normal(said) for said, _ in pairs], [_normal(heard) for _, heard in pairs]))


def decode(engine: WhisperEngine, pcm: Pcm, *, words: bool = True, **config: object) -> Hypothesis:
    request = DecodeRequest(pcm, Recognition(**{"locale": "en-US", **config}), words)  # type: ignore[arg-type]
    return engine.recognise([request])[0]


def text(engine: WhisperEngine, pcm: Pcm, **config: object) -> str:
    return decode(engine, pcm, **config).text.reveal()


def noises(seconds: float) -> dict[str, Pcm]:
    """Sounds a telephone line carries when nobody speaks."""
    rng = np.random.default_rng(7)
    n = int(seconds * 16_000)
    t = np.arange(n) / 16_000

    def tone(*hz: float) -> NDArray[np.float64]:
        return sum((0.2 * np.sin(2 * np.pi * f * t) for f in hz), np.zeros(n))

    spectrum = np.fft.rfft(rng.standard_normal(n)) / np.sqrt(np.maximum(1, np.arange(n // 2 + 1)))
    pink = np.fft.irfft(spectrum, n)
    clicks = np.zeros(n)
    clicks[::8000] = 0.9
    notes = np.concatenate([np.full(4000, f) for f in (262, 330, 392, 523, 440, 349)] * 30)[:n]
    decay = np.exp(-(np.arange(n) % 4000) / 3000)
    sounds = {
        "silence": np.zeros(n),
        "room": rng.standard_normal(n) * 0.0005,
        "white": rng.standard_normal(n) * 0.1,
        "pink": pink / np.abs(pink).max() * 0.4,
        "440 Hz": tone(440),
        "1 kHz": tone(1000),
        "dial tone": tone(350, 440),
        "ringing": tone(440, 480) * ((t % 1.5) < 0.7),
        "hum": sum((0.15 / k * np.sin(2 * np.pi * 50 * k * t) for k in range(1, 8)), np.zeros(n)),
        "clicks": clicks,
        "music": sum((0.15 / h * np.sin(2 * np.pi * notes * h * t) for h in (1, 2, 3)), np.zeros(n)) * decay,
        "breath": pink / np.abs(pink).max() * np.hanning(n) * 0.6,
    }
    return {name: (np.clip(sound, -1, 1) * 32767).astype(np.int16) for name, sound in sounds.items()}
