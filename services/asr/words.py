"""Word times from the decoder's cross-attention: which frames each token looked at (Whisper, appendix on DTW)."""

import string
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from services.asr.hypothesis import Word
from services.common.personal import Personal

# One position of the encoder's output.
FRAME_MS = 20
_OPENING = "\"'“¿([{-"
# Written without spaces: every piece of the tokenizer is a word.
_UNSPACED = frozenset({"zh", "ja", "th", "lo", "my", "yue"})


class WordTokenizer(Protocol):
    """The part of Whisper's tokenizer that is needed here."""

    language_code: str

    @property
    def eot(self) -> int:
        """The token after the text."""
        ...

    def split_to_word_tokens(self, tokens: list[int]) -> tuple[list[str], list[list[int]]]:
        """Words (with their leading spaces) and the tokens of each."""
        ...


@dataclass(slots=True)
class _Span:
    text: str
    first: int
    last: int


def align_words(
    tokenizer: WordTokenizer,
    tokens: Sequence[int],
    path: Sequence[tuple[int, int]],
    probabilities: Sequence[float],
    audio_ms: int,
) -> tuple[Word, ...]:
    """Words with times and probabilities. `path` is the alignment as (token index, frame) pairs in order."""
    starts = _token_starts(path, len(tokens))
    words = []
    for span in _spans(tokenizer, list(tokens)):
        scores = probabilities[span.first : span.last + 1]
        start_ms = min(starts[span.first] * FRAME_MS, audio_ms)
        end_ms = min(starts[span.last + 1] * FRAME_MS, audio_ms)
        probability = sum(scores) / len(scores) if scores else 0.0
        words.append(Word(Personal(span.text, "word"), start_ms, max(start_ms, end_ms), probability))
    return tuple(words)


def _token_starts(path: Sequence[tuple[int, int]], count: int) -> list[int]:
    """First frame of each token and, last, of the end-of-text token; a token that was skipped starts with the next."""
    first: dict[int, int] = {}
    for token, frame in path:
        first.setdefault(token, frame)
    starts = [0] * (count + 1)
    known = path[-1][1] if path else 0
    for token in range(count, -1, -1):
        known = first.get(token, known)
        starts[token] = known
    return starts


def _spans(tokenizer: WordTokenizer, tokens: list[int]) -> list[_Span]:
    """Words as ranges of token indices; an opening mark belongs to the word after it, what else has no space before."""
    texts, groups = tokenizer.split_to_word_tokens([*tokens, tokenizer.eot])
    spans: list[_Span] = []
    index = 0
    opening: _Span | None = None
    spaced = tokenizer.language_code not in _UNSPACED
    for text, group in zip(texts[:-1], groups[:-1], strict=True):
        span = _Span(text, index, index + len(group) - 1)
        index += len(group)
        bare = text.strip()
        if text.startswith(" ") and bare and all(c in _OPENING for c in bare):
            opening = span
            continue
        if opening is not None:
            span = _Span(opening.text + text, opening.first, span.last)
            opening = None
        attached = not text.startswith(" ") and (spaced or all(c in string.punctuation for c in bare))
        if spans and attached:
            spans[-1] = _Span(spans[-1].text + text, spans[-1].first, span.last)
        else:
            spans.append(span)
    return [_Span(span.text.strip(), span.first, span.last) for span in spans if span.text.strip()]
