"""The scripted engine: after a declared, fixed latency, tone bursts shaped like words. It measures our own overhead.

It is no voice, and says so wherever the engine is named. Nothing is computed per clause: every burst is made once.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import TypeVar

import numpy as np

from services.common.clock import Clock, sleep_s
from services.common.load import Load
from services.common.settings import ScriptedSettings
from services.tts.engine import ClauseJob, VoiceInfo
from services.tts.take import Plan, TimedWord

T = TypeVar("T")
_VOICE = "scripted"
# The fixed pace: a word lasts 60 ms and 50 ms more per character (up to 12), then 60 ms of silence.
_WORD_MS, _CHAR_MS, _GAP_MS, _LONGEST_CHARS = 60, 50, 60, 12


class ScriptedRunner:
    """Runs a step on the event loop after the declared latency."""

    def __init__(self, latency_ms: int, clock: Clock) -> None:
        self._latency_s = latency_ms / 1000
        self._clock = clock

    async def run(self, step: Callable[[], T], deadline_ns: int, call: str = "") -> T:
        """Wait, then run."""
        await sleep_s(self._clock, self._latency_s)
        return step()

    def load(self) -> Load:
        """Nothing waits."""
        return Load()

    def lateness_ms(self) -> float:
        """Never late."""
        return 0.0

    def close(self) -> None:
        """Nothing to free."""


class ScriptedEngine:
    """One voice: the one that the agent asks for, so that its settings work unchanged."""

    name = "scripted"
    version = "1"
    device = "none"

    def __init__(self, settings: ScriptedSettings, *, voice: str = "", locale: str = "en-US") -> None:
        self._ttfa_ms = settings.tts_ttfa_ms
        name = voice or _VOICE
        self._voices = {name: VoiceInfo(name, locale, 16000, self.version, "", "Apache-2.0")}

    @property
    def voices(self) -> Mapping[str, VoiceInfo]:
        """The one voice."""
        return self._voices

    def details(self) -> Mapping[str, str]:
        """The declared latency."""
        return {"tts_ttfa_ms": str(self._ttfa_ms)}

    def load(self) -> None:
        """Make the bursts of the usual rates."""
        for rate in (8000, 16000, 48000):
            for chars in range(1, _LONGEST_CHARS + 1):
                _burst(rate, chars)

    def render(self, job: ClauseJob) -> "ScriptedRendering":
        """Start on a clause."""
        return ScriptedRendering(job)

    def prerender(self, job: ClauseJob, rates_hz: Sequence[int]) -> Mapping[int, tuple[Plan, bytes]]:
        """See `Engine`."""
        return {rate: _made(job, rate) for rate in rates_hz}


class ScriptedRendering:
    """All of a clause in one step."""

    def __init__(self, job: ClauseJob) -> None:
        self.plan: Plan | None = None
        self.compute_ms = 0.0
        self.ended = False
        self._job = job
        self._cancelled = False

    def step(self) -> bytes:
        """Join the bursts of the words."""
        if self._cancelled:
            raise asyncio.CancelledError
        self.plan, pcm = _made(self._job, self._job.sample_rate_hz)
        self.ended = True
        return pcm

    def cancel(self) -> None:
        """The step will not run."""
        self._cancelled = True


def _made(job: ClauseJob, rate_hz: int) -> tuple[Plan, bytes]:
    gap = bytes(rate_hz * _GAP_MS // 1000 * 2)
    words: list[TimedWord] = []
    pieces: list[bytes] = []
    at = 0
    for word in job.words:
        burst = _burst(rate_hz, min(max(len(word.spoken), 1), _LONGEST_CHARS))
        words.append(TimedWord(word.written, word.offset, at, at + len(burst) // 2))
        pieces += (burst, gap)
        at += (len(burst) + len(gap)) // 2
    return Plan(at, tuple(words)), b"".join(pieces)


@lru_cache(maxsize=256)
def _burst(rate_hz: int, chars: int) -> bytes:
    """A 140 Hz buzz with falling harmonics, 5 Hz modulation and 3 ms edges: clear onset, level of speech."""
    samples = rate_hz * (_WORD_MS + _CHAR_MS * chars) // 1000
    t = np.arange(samples) / rate_hz
    harmonics = [k for k in range(1, 25) if 140 * k < min(3400, rate_hz / 2)]
    buzz = np.sum([np.sin(2 * np.pi * 140 * k * t) / k for k in harmonics], axis=0)
    envelope = 0.75 + 0.25 * np.cos(2 * np.pi * 5 * t)
    edge = max(1, rate_hz * 3 // 1000)
    envelope[:edge] *= np.linspace(0, 1, edge)
    envelope[-edge:] *= np.linspace(1, 0, edge)
    pcm: bytes = (buzz * envelope * 0.2 * 32767).clip(-32767, 32767).astype("<i2").tobytes()
    return pcm
