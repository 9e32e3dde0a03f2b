"""The Piper engine: voices of the manifest on onnxruntime, resampled to the caller's rate."""

from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path

import numpy as np

from services.common.clock import Clock
from services.common.errors import MissingModelError, TrunklineError, UnavailableError
from services.common.models import ModelStore
from services.common.settings import TtsSettings
from services.tts.engine import ClauseJob, VoiceInfo
from services.tts.phonemes import load_voice_config
from services.tts.resample import ClauseResampler, converted_length
from services.tts.spoken import spoken_words
from services.tts.take import Plan, Rendering, TimedWord
from services.tts.voice import CancelledClauseError, ClausePlan, Voice

# Sets a voice's level and pays the first run's allocations, in the voice's own language where we have one.
_CALIBRATION = {
    "en": "The quick brown fox jumps over the lazy dog, and asks for more.",
    "de": "Franz jagt im komplett verwahrlosten Taxi quer durch Bayern.",
}


class PiperEngine:
    """See the module. `load` once, then `render` from any thread."""

    name = "piper"

    def __init__(self, settings: TtsSettings, store: ModelStore, clock: Clock) -> None:
        self.version = f"piper-tts {version('piper-tts')}, onnxruntime {version('onnxruntime')}"
        self.device = "cuda:0" if settings.cuda else "cpu"
        self._settings = settings
        self._clock = clock
        self._models = {name: _model_file(store, name) for name in settings.voices}
        self._voices = {name: _info(store, name, model) for name, model in self._models.items()}
        self._loaded: dict[str, Voice] = {}

    @property
    def voices(self) -> Mapping[str, VoiceInfo]:
        """Voices by name."""
        return self._voices

    def details(self) -> Mapping[str, str]:
        """Threads of one computation, computations at once."""
        return {"threads": str(self._settings.threads), "workers": str(self._settings.workers)}

    def load(self) -> None:
        """Load every voice and set its level. Blocking."""
        for name, model in self._models.items():
            voice = Voice(model, threads=self._settings.threads, cuda=self._settings.cuda)
            language = self._voices[name].locale.split("-")[0]
            voice.calibrate(spoken_words(_CALIBRATION.get(language, _CALIBRATION["en"]), self._voices[name].locale))
            self._loaded[name] = voice

    def render(self, job: ClauseJob) -> Rendering:
        """Start on a clause. Raises UnavailableError while the voice is being loaded."""
        voice = self._loaded.get(job.voice)
        if voice is None:
            raise UnavailableError("The voice is still being loaded.", remedy="Try again when health says SERVING.")
        return PiperRendering(voice, job, self._clock)

    def prerender(self, job: ClauseJob, rates_hz: Sequence[int]) -> Mapping[int, tuple[Plan, bytes]]:
        """See `Engine`."""
        voice = self._loaded[job.voice]
        native_hz = voice.config.sample_rate_hz
        computation = voice.begin(job.words, job.speaking_rate)
        plan = computation.plan()
        samples = np.concatenate([np.zeros(0, np.float32), *computation.windows()])
        made: dict[int, tuple[Plan, bytes]] = {}
        for rate in rates_hz:
            resampler = ClauseResampler(native_hz, rate)
            pcm = resampler.feed(samples) + resampler.flush()
            made[rate] = (_timed(plan, job, native_hz, rate), pcm)
        return made


class PiperRendering:
    """One clause: the first step runs the text part and the first window, each later step one window."""

    def __init__(self, voice: Voice, job: ClauseJob, clock: Clock) -> None:
        self.plan: Plan | None = None
        self.compute_ms = 0.0
        self._job = job
        self._clock = clock
        self._native_hz = voice.config.sample_rate_hz
        self._computation = voice.begin(job.words, job.speaking_rate)
        self._resampler = ClauseResampler(self._native_hz, job.sample_rate_hz)
        self.ended = False

    def cancel(self) -> None:
        """Stop a running step within a millisecond or so."""
        self._computation.cancel()

    def step(self) -> bytes:
        """See `Rendering`."""
        start_ns = self._clock.now_ns()
        try:
            return self._step()
        except CancelledClauseError:
            raise TrunklineError("The clause was cancelled.") from None
        finally:
            self.compute_ms += (self._clock.now_ns() - start_ns) / 1e6

    def _step(self) -> bytes:
        if self.plan is None:
            self.plan = _timed(self._computation.plan(), self._job, self._native_hz, self._job.sample_rate_hz)
        samples = self._computation.window()
        self.ended = self._computation.exhausted
        pcm = self._resampler.feed(samples) if samples is not None else b""
        return pcm + self._resampler.flush() if self.ended else pcm


def _timed(plan: ClausePlan, job: ClauseJob, native_hz: int, rate_hz: int) -> Plan:
    """The plan in samples of the output rate, with the words as written."""
    words = tuple(
        TimedWord(word.written, word.offset, span.start * rate_hz // native_hz, span.end * rate_hz // native_hz)
        for word, span in zip(job.words, plan.words, strict=True)
    )
    return Plan(converted_length(plan.samples, native_hz, rate_hz), words)


def _model_file(store: ModelStore, name: str) -> Path:
    files = [file.name for file in store.entry(name).files if file.name.endswith(".onnx")]
    if len(files) != 1:
        raise MissingModelError(
            f"{name} has {len(files)} .onnx files; a Piper voice has one.",
            remedy="Name only Piper voices in tts.voices; see `trunkline models list`.",
        )
    return store.path(name) / files[0]


def _info(store: ModelStore, name: str, model: Path) -> VoiceInfo:
    entry = store.entry(name)
    config = load_voice_config(Path(f"{model}.json"))
    return VoiceInfo(name, config.locale, config.sample_rate_hz, entry.version, entry.sha256, entry.licence)
