"""One voice on onnxruntime: a clause becomes frames, and the frames become samples a window at a time.

The time to the first audio is that of the text part plus one small window, however long the clause is. `cancel`
sets `RunOptions.terminate`, which ends a running computation within about a millisecond.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from services.common.errors import MissingModelError, SettingsError
from services.tts.graph import cut_voice
from services.tts.phonemes import EspeakPhonemizer, Phonemizer, VoiceConfig, is_sound, load_voice_config
from services.tts.shape import Kept, kept_frames
from services.tts.spoken import SpokenWord
from services.tts.timing import WordSpan, phoneme_spans, word_spans

Samples = NDArray[np.float32]

# Frames per window (11.6 ms each at 22.05 kHz). The first is small so that speech starts, yet lasts longer than the
# second takes to compute, and so on: speech must not stop after its first syllable. Larger ones save overlap.
_FIRST_WINDOW, _WINDOW_GROWTH, _LARGEST_WINDOW = 12, 3, 96
_LARGEST_FLOW_WINDOW = 192
_HEARD_FLOW_REACH = 24
_CUDA = "CUDAExecutionProvider"


class CancelledClauseError(Exception):
    """The clause was given up while it was computed."""


@dataclass(frozen=True)
class ClausePlan:
    """What is known once the text part ran: how many native samples come, and when each word sounds in them."""

    samples: int
    words: tuple[WordSpan, ...]  # In native samples from the clause's first sample.


class Voice:
    """A loaded voice: three ONNX sessions and a phonemizer. Thread-safe; computation runs in the caller's thread."""

    def __init__(self, model: Path, *, threads: int, cuda: bool, phonemizer: Phonemizer | None = None) -> None:
        self.config: VoiceConfig = load_voice_config(Path(f"{model}.json"))
        self.phonemizer = phonemizer or EspeakPhonemizer(self.config.language)
        parts = cut_voice(model)
        # What lies farther away changes the audio by less than -80 dB (a test holds that on a real voice).
        reach = min(parts.flow_reach, _HEARD_FLOW_REACH)
        # The sessions hold the weights from here on.
        self._parts = replace(parts, text=b"", flow=b"", decoder=b"", flow_reach=reach)
        self._text = _session(parts.text, threads, cuda)
        self._flow = _session(parts.flow, threads, cuda)
        self._decoder = _session(parts.decoder, threads, cuda)
        self.gain = 1.0

    def begin(self, words: Sequence[SpokenWord], speaking_rate: float = 1.0) -> "Computation":
        """Start on a clause; nothing is computed yet."""
        return Computation(self, words, speaking_rate)

    def calibrate(self, words: Sequence[SpokenWord], level: float = 0.063) -> None:
        """Set the gain from one sentence so that its RMS is `level` (-24 dB of full scale, as telephones expect).

        Voices differ, and a gain per clause would pump.
        """
        self.gain = 1.0
        computation = self.begin(words)
        computation.plan()
        samples = np.concatenate([np.zeros(0, np.float32), *computation.windows()])
        rms = float(np.sqrt(np.mean(samples**2))) if len(samples) else 0.0
        self.gain = float(np.clip(level / rms, 0.25, 8.0)) if rms > 0 else 1.0


class Computation:
    """One clause being computed. `plan`, then `window` until it gives None. Only `cancel` may come from elsewhere."""

    def __init__(self, voice: Voice, words: Sequence[SpokenWord], speaking_rate: float) -> None:
        self._voice = voice
        self._words = words
        self._rate = speaking_rate
        self._options = onnxruntime.RunOptions()
        self._cancelled = False
        self._prior: Samples = np.zeros((1, 0, 0), np.float32)
        self._latent: list[Samples] = []
        self._latent_frames = 0
        self._at = 0
        self._kept = Kept(0, 0, 0)
        self._window_frames = _FIRST_WINDOW

    def cancel(self) -> None:
        """Stop as soon as possible (thread-safe). Later calls raise CancelledClauseError."""
        self._cancelled = True
        self._options.terminate = True

    def plan(self) -> ClausePlan:
        """Run the text part. Raises CancelledClauseError."""
        config, parts = self._voice.config, self._voice._parts
        text = " ".join(word.spoken for word in self._words)
        phonemes = self._voice.phonemizer.phonemes(text)
        ids, owners = config.ids(phonemes)
        scales = [config.noise_scale, config.length_scale / self._rate, config.noise_w]
        feed = {
            "input": np.array([ids], np.int64),
            "input_lengths": np.array([len(ids)], np.int64),
            "scales": np.array(scales, np.float32),
        }
        self._prior, durations = self._run(self._voice._text, [parts.prior_name, parts.durations_name], feed)
        spans = phoneme_spans(owners, durations.reshape(-1).astype(np.int64).tolist(), len(phonemes))
        own = [self._voice.phonemizer.word(word.spoken) for word in self._words]
        self._kept = kept_frames(
            [span for phoneme, span in zip(phonemes, spans, strict=True) if is_sound(phoneme)],
            self._prior.shape[2],
            next((c for c in reversed(text) if not c.isspace()), ""),
            config.sample_rate_hz / config.hop_samples,
            config.hop_samples,
        )
        self._at = self._kept.start
        return self._plan(word_spans(phonemes, own, spans))

    def _plan(self, spans: Sequence[WordSpan]) -> ClausePlan:
        hop, kept = self._voice.config.hop_samples, self._kept
        words = tuple(
            WordSpan(max(0, span.start - kept.start) * hop, max(0, min(span.end, kept.end) - kept.start) * hop)
            for span in spans
        )
        return ClausePlan((kept.end - kept.start + kept.silence) * hop, words)

    def window(self) -> Samples | None:
        """The next samples at the voice's own rate, in [-1, 1]; None at the end. Raises CancelledClauseError."""
        if self._at >= self._kept.end:
            return self._closing_silence()
        reach, hop = self._voice._parts.decoder_reach, self._voice.config.hop_samples
        start, end = self._at, min(self._at + self._window_frames, self._kept.end)
        latent = self._latent_between(max(0, start - reach), min(self._prior.shape[2], end + reach))
        parts = self._voice._parts
        (audio,) = self._run(self._voice._decoder, [parts.output_name], {parts.latent_name: latent})
        lead = (start - max(0, start - reach)) * hop
        samples = audio.reshape(-1)[lead : lead + (end - start) * hop] * self._voice.gain
        self._at = end
        self._window_frames = min(self._window_frames * _WINDOW_GROWTH, _LARGEST_WINDOW)
        return self._kept.faded(_limited(samples), start, end, hop)

    @property
    def exhausted(self) -> bool:
        """Whether `window` has nothing more to give."""
        return self._at >= self._kept.end and not self._kept.silence

    def windows(self) -> Iterator[Samples]:
        """All windows that are left."""
        while (samples := self.window()) is not None:
            yield samples

    def _closing_silence(self) -> Samples | None:
        frames, self._kept = self._kept.silence, self._kept.without_silence()
        return np.zeros(frames * self._voice.config.hop_samples, np.float32) if frames else None

    def _latent_between(self, start: int, end: int) -> Samples:
        while self._latent_frames < end:
            self._extend_latent(end)
        whole = self._latent[0] if len(self._latent) == 1 else np.concatenate(self._latent, axis=2)
        self._latent = [whole]
        return np.ascontiguousarray(whole[:, :, start:end])

    def _extend_latent(self, needed: int) -> None:
        """Run the flow on the next window: exactly what is needed at first, then as much again and more."""
        parts, frames = self._voice._parts, self._prior.shape[2]
        start = self._latent_frames
        end = min(frames, max(needed, start + min(2 * start, _LARGEST_FLOW_WINDOW)))
        left, right = max(0, start - parts.flow_reach), min(frames, end + parts.flow_reach)
        prior = np.ascontiguousarray(self._prior[:, :, left:right])
        feed = {parts.prior_name: prior, parts.mask_name: np.ones((1, 1, right - left), np.float32)}
        (latent,) = self._run(self._voice._flow, [parts.latent_name], feed)
        self._latent.append(latent[:, :, start - left : end - left])
        self._latent_frames = end

    def _run(self, session: Any, outputs: list[str], feed: dict[str, Any]) -> list[Samples]:
        if self._cancelled:
            raise CancelledClauseError
        try:
            results: list[Samples] = session.run(outputs, feed, self._options)
        except Exception as error:
            # onnxruntime raises classes of its own, without a common base, when told to terminate.
            if self._cancelled:
                raise CancelledClauseError from error
            raise
        return results


def _limited(samples: Samples) -> Samples:
    """Samples above 0.9 are bent smoothly below 1 (a hard clip crackles on a telephone)."""
    loud = np.abs(samples) > 0.9
    if not loud.any():
        return samples
    bent = np.sign(samples) * (0.9 + 0.1 * np.tanh((np.abs(samples) - 0.9) / 0.1))
    return np.where(loud, bent, samples).astype(np.float32)


def _session(model: bytes, threads: int, cuda: bool) -> Any:
    """A session that does not spin: its idle threads would burn the cores of every other service."""
    if cuda and _CUDA not in onnxruntime.get_available_providers():
        raise SettingsError(
            "tts.cuda is true, but this onnxruntime has no CUDA provider "
            f"(it has {', '.join(onnxruntime.get_available_providers())}).",
            remedy="Install onnxruntime-gpu in place of onnxruntime, or set tts.cuda = false.",
        )
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
    options.log_severity_level = 3
    # Every clause has another length: a memory pattern per shape would only grow.
    options.enable_mem_pattern = False
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    providers: list[Any] = [(_CUDA, {"cudnn_conv_algo_search": "HEURISTIC"})] if cuda else ["CPUExecutionProvider"]
    try:
        session = onnxruntime.InferenceSession(model, options, providers=providers)
    except Exception as error:
        # onnxruntime's errors share no base class; whatever it says, this voice cannot be used.
        raise MissingModelError(
            f"The voice cannot be loaded: {error}.", remedy="Run `trunkline models verify`."
        ) from error
    if cuda and session.get_providers()[0] != _CUDA:
        raise SettingsError(
            "tts.cuda is true, but the CUDA provider did not start (driver or cuDNN missing).",
            remedy="Check `nvidia-smi` and the CUDA libraries, or set tts.cuda = false.",
        )
    return session
