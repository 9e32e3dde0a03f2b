"""Is what was recognised only the agent's own voice, come back through the caller's loudspeaker?"""

from services.orchestrator.turns.level import ECHO_DB, FAINT_DB
from services.orchestrator.turns.lexicon.words import words_of

# Without a known level one or two words prove nothing: the caller may be repeating them ("the second?").
LEAST_WORDS = 3
# A recogniser mishears echo: so many of its words must be found in order.
LEAST_FOUND = 0.8
# Of a faint sound, so many: what is left of the echo is mostly misheard.
LEAST_FOUND_FAINT = 0.5


def is_echo(text: str, saying: str, below_usual_db: float | None) -> bool:
    """`text` is a run of the words the agent is saying, and not as loud as the caller is otherwise."""
    heard, said = words_of(text), words_of(saying)
    if not heard or not said:
        return False
    if below_usual_db is not None and below_usual_db < ECHO_DB:
        return False
    if below_usual_db is None and len(heard) < LEAST_WORDS:
        return False
    faint = below_usual_db is not None and below_usual_db >= FAINT_DB
    return _longest_run(heard, said) >= (LEAST_FOUND_FAINT if faint else LEAST_FOUND) * len(heard)


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
