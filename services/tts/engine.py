"""What an engine is: voices, and clauses rendered step by step."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from services.tts.spoken import SpokenWord
from services.tts.take import Plan, Rendering


@dataclass(frozen=True, slots=True)
class VoiceInfo:
    """A voice one can ask for. `version` is part of the cache key; `sha256` and `licence` are told by Describe."""

    name: str
    locale: str
    native_sample_rate_hz: int
    version: str
    sha256: str
    licence: str


@dataclass(frozen=True, slots=True)
class ClauseJob:
    """A clause to be made: words (never empty), voice, output rate, pace (1.0 is the voice's own)."""

    words: Sequence[SpokenWord]
    voice: str
    sample_rate_hz: int
    speaking_rate: float


class Engine(Protocol):
    """The model behind the service."""

    name: str
    version: str
    device: str

    @property
    def voices(self) -> Mapping[str, VoiceInfo]:
        """By name, in the order of the settings; the first of a locale is its default. Known before `load`."""
        ...

    def details(self) -> Mapping[str, str]:
        """Facts a reader of a benchmark wants."""
        ...

    def load(self) -> None:
        """Load all voices (blocking). Raises MissingModelError, SettingsError."""
        ...

    def render(self, job: ClauseJob) -> Rendering:
        """Start on a clause; nothing is computed before the first step."""
        ...

    def prerender(self, job: ClauseJob, rates_hz: Sequence[int]) -> Mapping[int, tuple[Plan, bytes]]:
        """A clause made once, at several rates (blocking; `job.sample_rate_hz` is not used)."""
        ...
