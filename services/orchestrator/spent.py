"""What speculation costs: replies begun before the turn was decided, how many were of use, what the others wasted.

Bounded in three ways: so many speculations a turn, one at a time, and each no further ahead than the speech service
makes audio for a listener (tts.ahead_ms) while it is held.
"""

from dataclasses import dataclass

from prometheus_client import Counter

# Every word more in a long pause is another text to bet on; after so many bets the turn is waited for.
MAX_PER_TURN = 3

SPECULATIONS = Counter(
    "trunkline_speculations", "Replies begun before the turn was decided, by what became of them.", ["outcome"]
)
WASTED_TOKENS = Counter("trunkline_speculation_wasted_tokens", "Tokens of replies that nobody will hear.")
WASTED_SPEECH = Counter("trunkline_speculation_wasted_speech_seconds", "Speech made for replies that nobody will hear.")


@dataclass(slots=True)
class SpeculationAccount:
    """Of one call: begun = committed + dropped, once nothing is held any more."""

    begun: int = 0
    committed: int = 0
    dropped: int = 0
    wasted_tokens: int = 0
    wasted_speech_ms: int = 0
    _this_turn: int = 0

    def may_begin(self) -> bool:
        """Another bet on this turn is allowed."""
        return self._this_turn < MAX_PER_TURN

    def began(self) -> None:
        """A reply is being prepared."""
        self.begun += 1
        self._this_turn += 1

    def turn_over(self) -> None:
        """The turn was decided: bets on the next one may begin."""
        self._this_turn = 0

    def used(self) -> None:
        """The turn ended as was bet."""
        self.committed += 1
        SPECULATIONS.labels(outcome="committed").inc()

    def void(self, tokens: int, speech_ms: int) -> None:
        """It did not: this much was made for nothing."""
        self.dropped += 1
        self.wasted_tokens += tokens
        self.wasted_speech_ms += speech_ms
        SPECULATIONS.labels(outcome="dropped").inc()
        WASTED_TOKENS.inc(tokens)
        WASTED_SPEECH.inc(speech_ms / 1000)
