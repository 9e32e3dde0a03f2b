"""From spoken words to the phonemes a voice was trained on: a swappable front end.

This is the only file that imports piper (GPL-3.0-or-later), inside the one service that may. Another front end has
to satisfy `Phonemizer` and nothing else.
"""

import json
import threading
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Protocol

from services.common.errors import MissingModelError

_BOS, _EOS, _PAD = "^", "$", "_"
_FINAL = ".?!,;:"


class Phonemizer(Protocol):
    """Text in, phonemes out. One symbol per list item, " " between words, punctuation kept."""

    def phonemes(self, text: str) -> list[str]:
        """Phonemes of a clause in context. Empty when nothing is to be said."""
        ...

    def word(self, text: str) -> tuple[str, ...]:
        """Phonemes of one word alone: to find the word again in the clause. May be cached."""
        ...


@dataclass(frozen=True)
class VoiceConfig:
    """What a Piper voice's .onnx.json says of itself."""

    locale: str
    language: str
    sample_rate_hz: int
    hop_samples: int
    phoneme_ids: Mapping[str, Sequence[int]]
    noise_scale: float
    length_scale: float
    noise_w: float

    def ids(self, phonemes: Sequence[str]) -> tuple[list[int], list[int | None]]:
        """Model input for `phonemes` (start, padding between, end), and for each id the phoneme it belongs to.

        Symbols that the voice does not know are left out, as in its training.
        """
        pad = list(self.phoneme_ids[_PAD])
        ids: list[int] = [*self.phoneme_ids[_BOS], *pad]
        owners: list[int | None] = [None] * len(ids)
        for index, phoneme in enumerate(phonemes):
            own = [*self.phoneme_ids.get(phoneme, ())]
            if own:
                ids += [*own, *pad]
                owners += [index] * (len(own) + len(pad))
        ids += self.phoneme_ids[_EOS]
        owners += [None] * (len(ids) - len(owners))
        return ids, owners


def load_voice_config(path: Path) -> VoiceConfig:
    """Read a voice's .onnx.json. Raises MissingModelError naming the file and the key."""
    try:
        raw: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        if raw.get("phoneme_type", "espeak") != "espeak" or int(raw.get("num_speakers", 1)) != 1:
            raise MissingModelError(
                f"{path.name}: expected a single-speaker voice with espeak phonemes, got "
                f"{raw.get('phoneme_type')} and {raw.get('num_speakers')} speakers.",
                remedy="Choose another voice for tts.voices.",
            )
        inference = raw.get("inference", {})
        language = raw["espeak"]["voice"]
        return VoiceConfig(
            locale=str(raw.get("language", {}).get("code", language)).replace("_", "-"),
            language=language,
            sample_rate_hz=int(raw["audio"]["sample_rate"]),
            hop_samples=int(raw.get("hop_length", 256)),
            phoneme_ids={str(k): tuple(v) for k, v in raw["phoneme_id_map"].items()},
            noise_scale=float(inference.get("noise_scale", 0.667)),
            length_scale=float(inference.get("length_scale", 1.0)),
            noise_w=float(inference.get("noise_w", 0.8)),
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise MissingModelError(
            f"{path.name} is not a Piper voice configuration ({type(error).__name__}: {error}).",
            remedy="Fetch the voice again: `trunkline models fetch`.",
        ) from error


class EspeakPhonemizer:
    """espeak-ng as Piper bundles it. espeak has one global voice, so one lock serves all phonemizers."""

    _lock = threading.Lock()

    def __init__(self, language: str) -> None:
        from piper.phonemize_espeak import EspeakPhonemizer as Espeak

        self._espeak = Espeak()
        self._language = language
        self._word = lru_cache(maxsize=20_000)(self._sounds)

    def phonemes(self, text: str) -> list[str]:
        """Phonemes of a clause; its sentences are joined, so that a clause is one run of the model."""
        joined: list[str] = []
        with self._lock:
            sentences = self._espeak.phonemize(self._language, text)
        for sentence in sentences:
            if joined and joined[-1] != " ":
                joined.append(" ")
            joined += sentence
        while joined and joined[-1] == " ":
            joined.pop()
        return joined

    def word(self, text: str) -> tuple[str, ...]:
        """Phonemes of a word alone, without punctuation."""
        return self._word(text)

    def _sounds(self, text: str) -> tuple[str, ...]:
        return tuple(p for p in self.phonemes(text) if p == " " or is_sound(p))


def is_sound(phoneme: str) -> bool:
    """Whether a symbol stands for sound (letters of the IPA and their marks), not a pause or punctuation."""
    return phoneme not in _FINAL and unicodedata.category(phoneme[0])[0] in "LMS"
