"""The gate that keeps a reply prepared too early from being heard.

    OPEN ──begin(text)──► HOLDING ──commit(same text)──► OPEN, the held reply may play
                             │
                             └──commit(other text) | drop()──► OPEN, the held reply must be cancelled

Synchronous and pure: it holds a token for the reply, the caller of the gate starts and cancels.
"""

from typing import Generic, TypeVar

from services.orchestrator.turns.lexicon.words import normalized

T = TypeVar("T")


class SpeculationGate(Generic[T]):
    """At most one held reply. Every reply that was begun comes back exactly once: from commit, or as dropped."""

    def __init__(self) -> None:
        self._held: tuple[str, T] | None = None

    @property
    def holding(self) -> bool:
        """A reply is being prepared that nobody may hear yet."""
        return self._held is not None

    def begin(self, text: str, reply: T) -> T | None:
        """Hold `reply`, prepared for `text`. Returns the one held before: cancel it."""
        dropped = self.drop()
        self._held = (normalized(text), reply)
        return dropped

    def commit(self, text: str) -> tuple[T | None, T | None]:
        """The turn ended with `text`: (reply to play, reply to cancel), at most one of them set."""
        if self._held is None:
            return None, None
        (prepared_for, reply), self._held = self._held, None
        return (reply, None) if prepared_for == normalized(text) else (None, reply)

    def drop(self) -> T | None:
        """The turn goes on, or the call ends: the reply to cancel, if one was held."""
        reply = self._held[1] if self._held else None
        self._held = None
        return reply
