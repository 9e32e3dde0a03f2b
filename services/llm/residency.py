"""How much of a prompt llama.cpp probably still has in its caches. Pure; a wrong guess costs time, never a wrong word.

The library keeps the last prompts (slots and its cache in memory) and reuses the longest common beginning of one.
Texts stand in for their tokens.
"""

from collections import deque

# Prompts remembered: they are callers' words, so few, and in memory only.
REMEMBERED = 12


class Residency:
    """Texts lately sent to the engine."""

    def __init__(self) -> None:
        self._recent: deque[str] = deque(maxlen=REMEMBERED)

    def remember(self, text: str) -> None:
        """`text` was prefilled, or generated after its prompt."""
        extended = [seen for seen in self._recent if text.startswith(seen)]
        for seen in extended:
            self._recent.remove(seen)
        self._recent.append(text)

    def known_chars(self, prompt: str) -> int:
        """Characters at the beginning of `prompt` that need no prefill."""
        return max((shared_chars(prompt, seen) for seen in self._recent), default=0)


def shared_chars(one: str, other: str) -> int:
    """Length of the common beginning of two texts."""
    low, high = 0, min(len(one), len(other))
    while low < high:
        middle = (low + high + 1) // 2
        if one.startswith(other[:middle]):
            low = middle
        else:
            high = middle - 1
    return low
