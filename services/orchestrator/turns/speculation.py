"""Replies prepared before the turn is over: when one may be begun, and the gate that keeps it from being heard.

    OPEN ──begin(text)──► HOLDING ──commit(same text)──► OPEN, the held reply may play
                             │
                             └──commit(other text) | drop()──► OPEN, the held reply must be cancelled

Synchronous and pure: the gate holds a token for the reply, its caller starts and cancels. Preparing means reading and
writing text only; nothing with an effect runs before the turn has ended.
"""

from dataclasses import dataclass
from typing import Generic, TypeVar

from services.common.settings import TurnSettings
from services.orchestrator.turns.lexicon.words import normalized
from services.orchestrator.turns.utterance import Utterance

MS = 1_000_000
# Each further reply in one pause is prepared so much later: the words change, and the earlier ones were for nothing. A
# new pause begins anew, for it is as likely the end as the first was.
LATER_EACH_MS = 200

T = TypeVar("T")


def speculation_due_ns(
    settings: TurnSettings, utterance: Utterance, log_odds: float, last_voiced_ns: int
) -> int | None:
    """When a reply may be prepared for the text so far: at once when the turn has probably ended, else after a while.

    None: not at all; there is no text, one is prepared already, or too many were for nothing.
    """
    if not utterance.text or utterance.doubt is not None or utterance.speculations >= settings.max_speculations:
        return None
    if utterance.speculated is not None and normalized(utterance.speculated) == normalized(utterance.text):
        return None
    probable_ns = 0
    if log_odds < 0:
        probable_ns = last_voiced_ns + (settings.endpoint_complete_ms + settings.endpoint_unsure_ms) // 2 * MS
    return max(probable_ns, utterance.text_ns + utterance.in_this_dip * LATER_EACH_MS * MS)


@dataclass(slots=True)
class SpeculationCount:
    """Every reply that was begun ends as committed or dropped; `held` is at most one."""

    begun: int = 0
    committed: int = 0
    dropped: int = 0

    @property
    def held(self) -> int:
        """Begun and not yet decided."""
        return self.begun - self.committed - self.dropped


class SpeculationGate(Generic[T]):
    """At most one held reply. Every reply that was begun comes back exactly once: from commit, or as dropped."""

    def __init__(self) -> None:
        self._held: tuple[str, T] | None = None
        self.count = SpeculationCount()

    @property
    def holding(self) -> bool:
        """A reply is being prepared that nobody may hear yet."""
        return self._held is not None

    def begin(self, text: str, reply: T) -> T | None:
        """Hold `reply`, prepared for `text`. Returns the one held before: cancel it."""
        dropped = self.drop()
        self._held = (normalized(text), reply)
        self.count.begun += 1
        return dropped

    def commit(self, text: str) -> tuple[T | None, T | None]:
        """The turn ended with `text`: (reply to play, reply to cancel), at most one of them set."""
        if self._held is None:
            return None, None
        prepared_for, reply = self._held
        if prepared_for != normalized(text):
            return None, self.drop()
        self._held = None
        self.count.committed += 1
        return reply, None

    def drop(self) -> T | None:
        """The turn goes on, or the call ends: the reply to cancel, if one was held."""
        if self._held is None:
            return None
        reply, self._held = self._held[1], None
        self.count.dropped += 1
        return reply
