"""Is what was recognised only the agent's own voice, come back through the caller's loudspeaker?"""

import functools
from collections.abc import Sequence

from services.orchestrator.turns.level import ECHO_DB, FAINT_DB
from services.orchestrator.turns.lexicon.words import words_of

# Without a known level one or two words prove nothing: the caller may be repeating them ("the second?").
LEAST_WORDS = 3
# A recogniser mishears echo: so many of its words must be found in order.
LEAST_FOUND = 0.8
# Of a faint sound, so many: what is left of the echo is mostly misheard.
LEAST_FOUND_FAINT = 0.5
# Misheard words keep their sound: so alike are the letters of an echo and of what is said ("do we set those up" for "to
# reset the router"); of interruptions of three words and more on the tuning half 19 of 20 texts are less so.
LEAST_ALIKE = 0.58
# Where echo of this loudness was known for one before, words must be so different to be the caller's, or louder.
LEAST_ALIKE_KNOWN = 0.46
KNOWN_WITHIN_DB = 4.0


def is_echo(text: str, saying: str, below_usual_db: float | None, echo_below_db: float | None = None) -> bool:
    """`text` is a run of the words the agent is saying, and not as loud as the caller is otherwise.

    `echo_below_db`: how far below the caller's usual level the loudest echo of this call was; None: there was none.
    """
    heard, said = words_of(text), words_of(saying)
    if not heard or not said:
        return False
    if below_usual_db is not None and below_usual_db < ECHO_DB:
        return False
    if below_usual_db is None and len(heard) < LEAST_WORDS:
        return False
    faint = below_usual_db is not None and below_usual_db >= FAINT_DB
    if _longest_run(heard, said) >= (LEAST_FOUND_FAINT if faint else LEAST_FOUND) * len(heard):
        return True
    if below_usual_db is None:
        return False
    known = echo_below_db is not None and below_usual_db >= echo_below_db - KNOWN_WITHIN_DB
    if len(heard) < LEAST_WORDS:
        return known
    return most_alike(tuple(heard), tuple(said)) >= (LEAST_ALIKE_KNOWN if known else LEAST_ALIKE)


def alike(heard: Sequence[str], said: Sequence[str]) -> float:
    """How much two texts sound alike, from 0 to 1: their letters in common, in order, of all their letters (Dice)."""
    return _dice("".join(heard), "".join(said))


@functools.lru_cache(maxsize=256)
def most_alike(heard: tuple[str, ...], said: tuple[str, ...]) -> float:
    """How alike `heard` is to the stretch of `said` that is most so, of about its own length in letters."""
    letters = "".join(heard)
    best = 0.0
    for start in range(len(said)):
        stretch = ""
        for word in said[start:]:
            if len(stretch) >= len(letters):
                break
            stretch += word
        best = max(best, _dice(letters, stretch))
    return best


def _dice(one: str, other: str) -> float:
    return 2 * _letters_in_common(one, other) / max(1, len(one) + len(other))


def _letters_in_common(one: str, other: str) -> int:
    """Length of the longest common subsequence, all rows at once in the bits of an integer (Hyyrö, 2004)."""
    places: dict[str, int] = {}
    for index, letter in enumerate(one):
        places[letter] = places.get(letter, 0) | 1 << index
    everything = (1 << len(one)) - 1
    row = everything
    for letter in other:
        matched = row & places.get(letter, 0)
        row = ((row + matched) | (row - matched)) & everything
    return len(one) - row.bit_count()


def _longest_run(heard: list[str], said: list[str]) -> int:
    """Most words of `heard` found in order within a stretch of `said` not much longer than `heard` itself."""
    window = len(heard) + 2
    return max(_common(heard, said[start : start + window]) for start in range(len(said)))


def _common(one: list[str], other: list[str]) -> int:
    """Length of the longest common subsequence, in words."""
    previous = [0] * (len(other) + 1)
    for word in one:
        row = [0]
        for index, candidate in enumerate(other, 1):
            row.append(previous[index - 1] + 1 if word == candidate else max(row[-1], previous[index]))
        previous = row
    return previous[-1]
