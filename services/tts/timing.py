"""Word times from phoneme durations.

Pure. The phonemizer gives a clause's phonemes without saying which word each belongs to: numbers become several
words, and small words are merged ("of the" is one). So every word is phonemized alone too, and the two sequences
are aligned by edit distance; each phoneme of the clause then belongs to a word, and the durations the model
predicted for it give the word's start and end.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from rapidfuzz.distance import Levenshtein

from services.tts.phonemes import is_sound


@dataclass(frozen=True, slots=True)
class WordSpan:
    """Frames [start, end) of one word, or an empty span where it makes no sound of its own."""

    start: int
    end: int


def phoneme_spans(owners: Sequence[int | None], durations: Sequence[int], count: int) -> list[WordSpan]:
    """Frames of each of `count` phonemes, from the frames of each model id; a phoneme left out has an empty span."""
    starts = [-1] * count
    ends = [0] * count
    frame = 0
    for owner, frames in zip(owners, durations, strict=True):
        if owner is not None:
            if starts[owner] < 0:
                starts[owner] = frame
            ends[owner] = frame + frames
        frame += frames
    return [
        WordSpan(max(0, start), end) if start >= 0 else WordSpan(0, 0) for start, end in zip(starts, ends, strict=True)
    ]


def assign_words(phonemes: Sequence[str], words: Sequence[Sequence[str]]) -> list[list[int]]:
    """For each word (given by its own phonemes), the indices of the clause's phonemes that are its sound.

    Order is kept: a phoneme that matches no word goes to the word of the phoneme before it.
    """
    # Spaces take part in the alignment, so that a vowel said differently in context stays in its word.
    heard = [index for index, phoneme in enumerate(phonemes) if phoneme == " " or is_sound(phoneme)]
    alone = [(phoneme, word) for word, own in enumerate(words) for phoneme in (*own, " ")]
    belongs: list[int | None] = [None] * len(heard)
    for op in Levenshtein.opcodes([phoneme for phoneme, _ in alone], [phonemes[index] for index in heard]):
        if op.tag in ("equal", "replace"):
            for step in range(op.dest_end - op.dest_start):
                belongs[op.dest_start + step] = alone[op.src_start + step][1]
    assigned: list[list[int]] = [[] for _ in words]
    current = 0
    for index, word in zip(heard, belongs, strict=True):
        current = max(current, word) if word is not None else current
        if words and phonemes[index] != " ":
            assigned[current].append(index)
    return assigned


def word_spans(phonemes: Sequence[str], words: Sequence[Sequence[str]], spans: Sequence[WordSpan]) -> list[WordSpan]:
    """Frames of each word. A word without a phoneme of its own is an empty span where the word before it ends."""
    result: list[WordSpan] = []
    end = 0
    for indices in assign_words(phonemes, words):
        used = [spans[index] for index in indices if spans[index].end > spans[index].start]
        start = used[0].start if used else end
        end = max(used[-1].end if used else end, end)
        result.append(WordSpan(min(start, end), end))
    return result
