"""An utterance longer than the model's window is decoded in segments; its final joins them."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from services.asr.hypothesis import Alternative, DecodeRequest, Hypothesis, Word
from services.common.personal import Personal


@dataclass(slots=True)
class Segment:
    """Part of an utterance, by stream positions. `end` is None while it is being spoken."""

    start: int
    end: int | None = None
    job_id: int | None = None
    # Kept until its hypothesis is there, so that refused work can be tried again.
    request: DecodeRequest | None = None
    hypothesis: Hypothesis | None = None


def join(parts: Sequence[tuple[int, Hypothesis]]) -> Hypothesis:
    """One hypothesis from (offset_ms, hypothesis) pairs: texts joined, words moved, scores weighted by length.

    Rejected parts add only their audio; when all are rejected the last rejection stands.
    """
    heard = [(offset, h) for offset, h in parts if h.rejection is None]
    offset, last = parts[-1]
    audio_ms = offset + last.audio_ms
    if len(heard) <= 1:
        offset, only = heard[0] if heard else parts[-1]
        return replace(only, words=_moved(only.words, offset), audio_ms=audio_ms)
    text = Personal(" ".join(h.text.reveal() for _, h in heard), "transcript")
    total = sum(h.audio_ms for _, h in heard)
    longest = max((h for _, h in heard), key=lambda h: h.audio_ms)
    avg_logprob = sum(h.avg_logprob * h.audio_ms for _, h in heard) / total
    return replace(
        longest,
        text=text,
        avg_logprob=avg_logprob,
        no_speech_prob=sum(h.no_speech_prob * h.audio_ms for _, h in heard) / total,
        audio_ms=audio_ms,
        ending_log_odds=heard[-1][1].ending_log_odds,
        alternatives=(Alternative(text, avg_logprob),),
        words=tuple(word for offset, h in heard for word in _moved(h.words, offset)),
    )


def _moved(words: Sequence[Word], by_ms: int) -> tuple[Word, ...]:
    return tuple(replace(w, start_ms=w.start_ms + by_ms, end_ms=w.end_ms + by_ms) for w in words)
