"""What goes into a decoder and what comes out of it: plain values, no model."""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from services.common.personal import Personal

Pcm = NDArray[np.int16]


class Rejection(Enum):
    """Why a text is not believed (values of `asr.v1.Final.Rejection`)."""

    NO_SPEECH = 1
    REPETITION = 2
    LOW_CONFIDENCE = 3


@dataclass(frozen=True, slots=True)
class Recognition:
    """What a call asked for in its config."""

    sample_rate_hz: int = 16_000
    # BCP 47; empty: detected by the model.
    locale: str = ""
    hotwords: tuple[str, ...] = ()
    # Hypotheses wanted in a final, the best included.
    alternatives: int = 1


@dataclass(frozen=True, slots=True)
class DecodeRequest:
    """One utterance (or what is there of it) to decode. `pcm` is mono at `recognition.sample_rate_hz`."""

    pcm: Pcm = field(repr=False)
    recognition: Recognition
    # Word times cost one more pass of the decoder: only finals have them.
    words: bool = False

    @property
    def audio_ms(self) -> int:
        """Length of the audio."""
        return len(self.pcm) * 1000 // self.recognition.sample_rate_hz


@dataclass(frozen=True, slots=True)
class Word:
    """A word with its times from the start of the utterance's audio, and its probability given the audio."""

    text: Personal[str]
    start_ms: int
    end_ms: int
    probability: float


@dataclass(frozen=True, slots=True)
class Alternative:
    """One of the n best."""

    text: Personal[str]
    avg_logprob: float


@dataclass(frozen=True, slots=True)
class Hypothesis:
    """What the model heard, with its own scores. `rejection` says why the text is not to be believed."""

    text: Personal[str]
    avg_logprob: float
    no_speech_prob: float
    language: str
    language_probability: float
    audio_ms: int
    languages: tuple[tuple[str, float], ...] = ()
    alternatives: tuple[Alternative, ...] = ()
    words: tuple[Word, ...] = ()
    rejection: Rejection | None = None
    # That an utterance of these words is whole (endings.py); None: nobody asked, or no opinion.
    ending_log_odds: float | None = None

    def rejected(self, why: Rejection) -> "Hypothesis":
        """The same scores without the text."""
        return replace(
            self, text=Personal("", "transcript"), alternatives=(), words=(), rejection=why, ending_log_odds=None
        )


@dataclass(frozen=True)
class EngineInfo:
    """What runs: for Describe, health, logs and every benchmark."""

    name: str
    version: str
    device: str
    model: str
    details: dict[str, str]


class Decoded(Protocol):
    """Texts and scores of a batch, and whatever its engine needs to find the words' times."""

    @property
    def hypotheses(self) -> list[Hypothesis]:
        """One per request, in order, without words; not yet judged by `filters`."""
        ...


class Engine(Protocol):
    """A recogniser in three steps: what is no longer wanted is dropped between them, and a text needs not wait for
    the times of its words.

    All compute in the caller's thread (the scheduler's one worker) and never touch the event loop.
    """

    @property
    def info(self) -> EngineInfo:
        """What runs."""
        ...

    def check(self, recognition: Recognition) -> None:
        """Raise InvalidInputError when the model cannot do what a config asks."""
        ...

    def group(self, request: DecodeRequest) -> Hashable:
        """Requests of equal groups can be decoded in one batch."""
        ...

    def window_ms(self, request: DecodeRequest) -> int:
        """Length of the window the encoder sees for this request: most of what the work costs."""
        ...

    def encode(self, batch: Sequence[DecodeRequest]) -> Any:
        """The encoder's output for a batch of one group."""
        ...

    def decode(self, encoded: Any) -> Decoded:
        """The texts."""
        ...

    def align(self, decoded: Any) -> list[Hypothesis]:
        """The same hypotheses, with words where they were asked for."""
        ...
