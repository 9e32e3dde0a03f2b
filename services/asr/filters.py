"""The classic Whisper faults, found by its own scores: text invented in silence, loops, named noises.

Thresholds were set on 549 recorded prompts through G.711 (words and letters as short as 0.4 s: four rejected)
and on silence, noise, tones, hum, clicks and music (all rejected) with tiny.en and base. A short real word can
have a poor avg_logprob, so that score alone rejects only far below Whisper's own threshold.
"""

import re
import zlib
from dataclasses import dataclass, replace

from services.asr.hypothesis import Alternative, Hypothesis, Rejection, Word
from services.common.personal import Personal

# Nobody says more than this; the decoder in a loop does.
MAX_WORDS_PER_S = 5.5
MAX_CHARS_PER_S = 30.0
# Added to the audio when a rate is taken, because a single quick word is no rate.
RATE_SLACK_S = 0.6
MIN_REPEATS = 3
MAX_LOOP_WORDS = 12
# Below the logprob threshold by this much: no words whatever the other score says; and with a doubtful one.
FLOOR_BELOW = 0.7
DOUBTFUL_BELOW = 0.4
DOUBTFUL_NO_SPEECH = 0.45
# A phrase of the training data's subtitles is believed unless one of these says otherwise.
PHRASE_NO_SPEECH = 0.5

_NAMED_NOISE = re.compile(r"[\[(*♪♫]+[^\])*♪♫]*[\])*♪♫]+|[♪♫]+")
_SUBTITLE_PHRASES = frozenset(
    """you|thank you|thank you very much|thank you for watching|thanks for watching|thanks|bye|bye bye|the end|so|
    i'm sorry|please subscribe|like and subscribe|see you next time|beep|beep beep|boop|buzz|music|applause|silence|
    subtitles by the amara org community|subtitles by|transcribed by|oh|hmm|uh|the|i|i'm|and""".replace("\n", "").split(
        "|"
    )
)
_PHRASES = frozenset(phrase.strip() for phrase in _SUBTITLE_PHRASES)


@dataclass(frozen=True, slots=True)
class Thresholds:
    """Whisper's own scores, as `settings.asr` names them."""

    no_speech: float = 0.6
    logprob: float = -1.0
    compression_ratio: float = 2.4


def judge(hypothesis: Hypothesis, limits: Thresholds) -> Hypothesis:
    """The hypothesis with named noises and trailing loops cut away, or without text and with a `rejection`."""
    cleaned = _without_named_noise(hypothesis)
    collapsed = _without_loop(cleaned)
    reason = _reason(collapsed, limits, looped=collapsed is not cleaned)
    return hypothesis.rejected(reason) if reason else collapsed


def compression_ratio(text: str) -> float:
    """Bytes of the text over bytes compressed (Whisper's measure of repetition); 0 for no text."""
    raw = text.encode()
    return len(raw) / len(zlib.compress(raw)) if raw else 0.0


def _reason(hypothesis: Hypothesis, limits: Thresholds, *, looped: bool) -> Rejection | None:
    text = hypothesis.text.reveal()
    logprob, no_speech = hypothesis.avg_logprob, hypothesis.no_speech_prob
    silent = no_speech > limits.no_speech
    if not any(char.isalnum() for char in text):
        return Rejection.NO_SPEECH
    if looped and (silent or _bare(text) in _PHRASES):
        return Rejection.REPETITION
    if silent and logprob < limits.logprob:
        return Rejection.NO_SPEECH
    doubtful = no_speech > PHRASE_NO_SPEECH or logprob < limits.logprob
    if doubtful and _bare(text) in _PHRASES:
        return Rejection.NO_SPEECH
    if compression_ratio(text) > limits.compression_ratio or _too_fast(text, hypothesis.audio_ms):
        return Rejection.REPETITION
    floor = DOUBTFUL_BELOW if no_speech > DOUBTFUL_NO_SPEECH else FLOOR_BELOW
    if logprob < limits.logprob - floor:
        return Rejection.LOW_CONFIDENCE
    return None


def _bare(text: str) -> str:
    """Words in lower case without punctuation."""
    return " ".join(_key(word) for word in text.split() if _key(word))


def _key(word: str) -> str:
    return re.sub(r"[^\w']", "", word.lower())


def _too_fast(text: str, audio_ms: int) -> bool:
    seconds = audio_ms / 1000 + RATE_SLACK_S
    return len(text.split()) > MAX_WORDS_PER_S * seconds or len(text) > MAX_CHARS_PER_S * seconds


def _without_named_noise(hypothesis: Hypothesis) -> Hypothesis:
    """`[Music]`, `(applause)`, `*beep*` and notes are what is heard, not what is said."""
    text = hypothesis.text.reveal()
    if not _NAMED_NOISE.search(text):
        return hypothesis
    cut = " ".join(_NAMED_NOISE.sub(" ", text).split())
    kept = tuple(word for word in hypothesis.words if not _NAMED_NOISE.search(word.text.reveal()))
    return _with_text(hypothesis, cut, kept)


def _without_loop(hypothesis: Hypothesis) -> Hypothesis:
    """A run of repeats faster than speech, at the end of the text, becomes one occurrence.

    What was really said stands before the loop (or is its first occurrence); a caller who says "no no no no"
    takes the time to say it and is left alone.
    """
    text = hypothesis.text.reveal()
    if not _too_fast(text, hypothesis.audio_ms):
        return hypothesis
    words = text.split()
    keys = [_key(word) for word in words]
    for size in range(1, MAX_LOOP_WORDS + 1):
        repeats = _tail_repeats(keys, size)
        if repeats >= MIN_REPEATS:
            keep = _loop_start(keys, size, repeats) + size
            return _with_text(hypothesis, " ".join(words[:keep]), hypothesis.words[:keep])
    return hypothesis


def _tail_repeats(keys: list[str], size: int) -> int:
    """How often the last complete n-gram of `size` words stands in a row; a cut-off last repeat is looked through."""
    best = 0
    for cut in range(size):
        end = len(keys) - cut
        gram = keys[end - size : end]
        if len(gram) < size or keys[end:] != gram[: len(keys) - end]:
            continue
        count = 1
        while keys[end - (count + 1) * size : end - count * size] == gram and end >= (count + 1) * size:
            count += 1
        best = max(best, count)
    return best


def _loop_start(keys: list[str], size: int, repeats: int) -> int:
    """Index of the first word of the loop: the earliest from which every word equals the one `size` before the end."""
    start = len(keys) - repeats * size
    while start > 0 and keys[start - 1] == keys[start - 1 + size]:
        start -= 1
    return max(0, start)


def _with_text(hypothesis: Hypothesis, text: str, words: tuple[Word, ...]) -> Hypothesis:
    best = (Alternative(Personal(text, "transcript"), hypothesis.avg_logprob),) if text else ()
    return replace(
        hypothesis, text=Personal(text, "transcript"), words=words, alternatives=best + hypothesis.alternatives[1:]
    )
