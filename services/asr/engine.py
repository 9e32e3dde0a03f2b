"""Whisper on CTranslate2, used directly: a batch of utterances of any calls in, hypotheses out.

faster_whisper's own pipelines decode one file at a time and pad to 30 s; only its tokenizer and its mel
spectrogram are used. Their cost is the encoder's, which goes with the window, so the window is short:
max(6 s, speech + 2 s) of zero-padded mel instead of 30 s. In noise that makes the decoder loop now and then. Like
Whisper's own fallback, a final whose scores say so is decoded again, in max(10 s, speech + 4 s), where it does not.
Measured with tiny.en on 200 telephone prompts: disagreement with base 5.1 % (4.7 % in the long window alone), with
pink noise at 10 dB 12.0 % (12.5 %), 1 to 7 % decoded twice, CPU time 93 ms instead of 128 ms. `asr.window=safe` uses
the longer one from the start.
"""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import ctranslate2
import numpy as np
from faster_whisper.feature_extractor import FeatureExtractor
from numpy.typing import NDArray

from services.asr.audio import to_model_rate
from services.asr.filters import compression_ratio
from services.asr.hypothesis import Alternative, DecodeRequest, EngineInfo, Hypothesis, Recognition, Word
from services.asr.loading import device_name, load_whisper
from services.asr.vocabulary import Vocabulary
from services.asr.words import align_words
from services.common.personal import Personal
from services.common.settings import AsrSettings

MEL_FRAME_MS = 10
MAX_WINDOW_MS = 30_000
# (least window, least room after the speech) in ms: the first attempt, and the one that does not loop.
SHORT_WINDOW = (6_000, 2_000)
SAFE_WINDOW = (10_000, 4_000)
# Windows are rounded up, so that calls of about equal length share a batch.
WINDOW_STEP_MS = 2_000
# Whisper's own signs of a decode that went wrong.
FALLBACK_COMPRESSION_RATIO = 2.4
FALLBACK_LOGPROB = -1.0
SILENT = 0.6
# Whisper's decoder has 448 positions, half of them for the prompt.
MAX_POSITIONS = 448
# Fast speech is 6–7 tokens a second; more than this is a loop, and need not be computed.
MAX_TOKENS_PER_S = 12
SPARE_TOKENS = 16
# The spectrogram mirrors 200 samples at its edges, so it needs some.
MIN_SAMPLES = 1_600
TOP_LANGUAGES = 3
NBEST_BEAM = 5
Languages = list[tuple[str, float]]


@dataclass(frozen=True)
class _Encoded:
    requests: Sequence[DecodeRequest]
    features: Any


@dataclass(frozen=True, eq=False)
class _Draft:
    """A hypothesis without words, and where its words can be found: in a row of what was encoded."""

    hypothesis: Hypothesis
    tokens: list[int]
    request: DecodeRequest
    # The batch, or what was decoded again on its own.
    encoded: _Encoded
    row: int
    went_wrong: bool


@dataclass(frozen=True)
class _Decoded:
    drafts: Sequence[_Draft]

    @property
    def hypotheses(self) -> list[Hypothesis]:
        return [draft.hypothesis for draft in self.drafts]


class WhisperEngine:
    """`services.asr.hypothesis.Engine` on a CTranslate2 Whisper model in `path`.

    Raises SettingsError for a device or compute type that this machine lacks.
    """

    def __init__(self, settings: AsrSettings, path: Path) -> None:
        self._model = load_whisper(settings, path)
        self._multilingual = bool(self._model.is_multilingual)
        self._vocabulary = Vocabulary(path, multilingual=self._multilingual)
        self._mel = FeatureExtractor(feature_size=self._model.n_mels)
        # A GPU has no need to save on the encoder.
        short = settings.device == "cpu" and settings.window == "short"
        self._window = SHORT_WINDOW if short else SAFE_WINDOW
        self.info = EngineInfo(
            name="ctranslate2",
            version=ctranslate2.__version__,
            device=device_name(settings),
            model=settings.model,
            details={
                "compute_type": str(self._model.compute_type),
                "threads": str(settings.threads),
                "max_batch": str(settings.max_batch),
                "decoding": "greedy, repetition_penalty 1.1",
                "window": "max({} s, speech + {} s)".format(*(ms // 1000 for ms in self._window)),
                "multilingual": str(self._multilingual).lower(),
            },
        )

    def check(self, recognition: Recognition) -> None:
        """Raise InvalidInputError for a locale the model does not know or hotwords that leave it no room."""
        self._vocabulary.check(recognition)

    def group(self, request: DecodeRequest) -> Hashable:
        """Window, prompt length, beam and alignment are one for a batch.

        The window is part of it so that what a caller is heard to say never depends on who else speaks.
        """
        best_of = request.recognition.alternatives if request.words else 1
        hotwords = len(self._vocabulary.hotwords(request.recognition))
        return self.window_ms(request), hotwords, best_of, request.words

    def window_ms(self, request: DecodeRequest) -> int:
        """max(6 s, speech + 2 s) in steps of 2 s, at most the 30 s that Whisper was trained on.

        With hotwords the longer one: in the short window they won 7 of 12 times, in the long one 10.
        """
        return _window_ms(request.audio_ms, *(SAFE_WINDOW if request.recognition.hotwords else self._window))

    def encode(self, batch: Sequence[DecodeRequest]) -> _Encoded:
        """The encoder's output for all requests, which share a group and with it the window."""
        return self._encode(batch, self.window_ms(batch[0]))

    def decode(self, encoded: _Encoded) -> _Decoded:
        """Texts and scores, without words; a final that went wrong is decoded again on its own."""
        return _Decoded([self._or_again(draft) for draft in self._decode(encoded)])

    def align(self, decoded: _Decoded) -> list[Hypothesis]:
        """The hypotheses with word times and probabilities where they were asked for."""
        drafts = decoded.drafts
        if not drafts[0].request.words:
            return decoded.hypotheses
        words: dict[_Draft, tuple[Word, ...]] = {}
        for encoded in {id(draft.encoded): draft.encoded for draft in drafts}.values():
            words |= self._align(encoded, [d for d in drafts if d.encoded is encoded and d.tokens])
        return [replace(draft.hypothesis, words=words.get(draft, ())) for draft in drafts]

    def recognise(self, batch: Sequence[DecodeRequest]) -> list[Hypothesis]:
        """All three steps: one hypothesis per request, in order."""
        return self.align(self.decode(self.encode(batch)))

    def _or_again(self, draft: _Draft) -> _Draft:
        window_ms = _window_ms(draft.request.audio_ms, *SAFE_WINDOW)
        if not (draft.went_wrong and draft.request.words) or window_ms == self.window_ms(draft.request):
            return draft
        return self._decode(self._encode([draft.request], window_ms))[0]

    def _encode(self, batch: Sequence[DecodeRequest], window_ms: int) -> _Encoded:
        frames = window_ms // MEL_FRAME_MS
        mels = np.zeros((len(batch), self._model.n_mels, frames), dtype=np.float32)
        for index, request in enumerate(batch):
            mel = self._log_mel(request)
            length = min(frames, mel.shape[1])
            mels[index, :, :length] = mel[:, :length]
        return _Encoded(batch, self._model.encode(ctranslate2.StorageView.from_array(mels)))

    def _decode(self, encoded: _Encoded) -> list[_Draft]:
        requests = encoded.requests
        languages = self._languages(encoded)
        prompts = [
            self._vocabulary.prompt(r.recognition, found[0][0]) for r, found in zip(requests, languages, strict=True)
        ]
        best_of = requests[0].recognition.alternatives if requests[0].words else 1
        most_tokens = _most_tokens(max(r.audio_ms for r in requests))
        results = self._model.generate(
            encoded.features,
            prompts,
            beam_size=1 if best_of == 1 else max(NBEST_BEAM, best_of),
            num_hypotheses=best_of,
            repetition_penalty=1.1,
            max_length=_max_length(most_tokens, max(map(len, prompts))),
            suppress_tokens=self._vocabulary.suppressed,
            return_scores=True,
            return_no_speech_prob=True,
        )
        drafts = []
        for row, (request, result, found) in enumerate(zip(requests, results, languages, strict=True)):
            hypothesis = self._hypothesis(request, result, found)
            tokens = [token for token in result.sequences_ids[0] if token < self._vocabulary.eot]
            went_wrong = len(tokens) >= most_tokens or _went_wrong(hypothesis)
            drafts.append(_Draft(hypothesis, tokens, request, encoded, row, went_wrong))
        return drafts

    def _log_mel(self, request: DecodeRequest) -> NDArray[np.float32]:
        samples = to_model_rate(request.pcm, request.recognition.sample_rate_hz)
        samples = np.pad(samples, (0, max(0, MIN_SAMPLES - len(samples))))
        mel: NDArray[np.float32] = self._mel(samples)
        return mel

    def _languages(self, encoded: _Encoded) -> list[Languages]:
        """Languages by falling probability; one certain entry where the config or the model fixes it."""
        fixed = [self._vocabulary.language(request.recognition) for request in encoded.requests]
        if all(fixed):
            return [[(code, 1.0)] for code in fixed]
        detected = self._model.detect_language(encoded.features)
        return [
            [(code, 1.0)] if code else [(token[2:-2], float(p)) for token, p in scores[:TOP_LANGUAGES]]
            for code, scores in zip(fixed, detected, strict=True)
        ]

    def _hypothesis(self, request: DecodeRequest, result: Any, languages: Languages) -> Hypothesis:
        tokenizer = self._vocabulary.tokenizer(languages[0][0])
        nbest: dict[str, float] = {}
        for ids, score in zip(result.sequences_ids, result.scores, strict=True):
            nbest.setdefault(tokenizer.decode(ids).strip(), _avg_logprob(score, len(ids)))
        text, avg_logprob = next(iter(nbest.items()))
        return Hypothesis(
            text=Personal(text, "transcript"),
            avg_logprob=avg_logprob,
            no_speech_prob=float(result.no_speech_prob),
            language=languages[0][0],
            language_probability=languages[0][1],
            languages=tuple(languages),
            audio_ms=request.audio_ms,
            alternatives=tuple(Alternative(Personal(t, "transcript"), p) for t, p in nbest.items()),
        )

    def _align(self, encoded: _Encoded, drafts: Sequence[_Draft]) -> dict[_Draft, tuple[Word, ...]]:
        if not drafts:
            return {}
        # All rows of what was encoded must be there: no tokens for those that are not wanted.
        tokens: list[list[int]] = [[] for _ in encoded.requests]
        for draft in drafts:
            tokens[draft.row] = draft.tokens
        alignments = self._model.align(
            encoded.features,
            # One language for all: it sways the attention little.
            self._vocabulary.tokenizer(drafts[0].hypothesis.language).sot_sequence,
            tokens,
            [max(1, min(r.audio_ms, MAX_WINDOW_MS) // MEL_FRAME_MS) for r in encoded.requests],
        )
        words = {}
        for draft in drafts:
            found = alignments[draft.row]
            tokenizer = self._vocabulary.tokenizer(draft.hypothesis.language)
            words[draft] = align_words(
                tokenizer, draft.tokens, found.alignments, found.text_token_probs, draft.request.audio_ms
            )
        return words


def _avg_logprob(score: float, count: int) -> float:
    """Mean log probability per token, the end of text counted (as OpenAI's whisper has it); `score` is per token."""
    return score * count / (count + 1)


def _window_ms(audio_ms: int, least_ms: int, tail_ms: int) -> int:
    wanted = max(least_ms, audio_ms + tail_ms)
    return min(MAX_WINDOW_MS, -(-wanted // WINDOW_STEP_MS) * WINDOW_STEP_MS)


def _went_wrong(hypothesis: Hypothesis) -> bool:
    looped = compression_ratio(hypothesis.text.reveal()) > FALLBACK_COMPRESSION_RATIO
    unsure = hypothesis.avg_logprob < FALLBACK_LOGPROB and hypothesis.no_speech_prob < SILENT
    return looped or unsure


def _most_tokens(audio_ms: int) -> int:
    return min(MAX_POSITIONS // 2, SPARE_TOKENS + audio_ms * MAX_TOKENS_PER_S // 1000)


def _max_length(tokens: int, prompt: int) -> int:
    """CTranslate2's `max_length` for so many new tokens: it generates min(max_length / 2, max_length - prompt)."""
    return min(MAX_POSITIONS, max(2 * tokens, tokens + prompt))
