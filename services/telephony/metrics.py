"""The worker's metrics: counts and times, never a caller."""

from typing import Final

from prometheus_client import Counter, Gauge, Histogram

# Milliseconds around a 5 ms poll and a 20 ms frame.
_LATE_BUCKETS: Final = tuple(ms / 1000 for ms in (0.5, 1, 2, 3, 5, 8, 12, 20, 30, 40, 60, 100, 200, 500))

ACTIVE_LEGS: Final = Gauge("trunkline_telephony_legs_active", "Legs from INVITE to end.")
REFUSED: Final = Counter("trunkline_telephony_calls_refused", "Calls refused by the worker.", ["reason"])
ENDED: Final = Counter("trunkline_telephony_legs_ended", "Legs ended.", ["cause"])
TX_STARVED: Final = Counter(
    "trunkline_telephony_tx_starved_ms", "Silence heard inside an utterance because audio came late, in ms."
)
RX_DROPPED: Final = Counter(
    "trunkline_telephony_rx_dropped_ms", "Received audio dropped because the client was slow, in ms."
)
PLAY_REFUSED: Final = Counter(
    "trunkline_telephony_play_refused_ms", "Audio to play refused because 60 ms were queued, in ms."
)
RATE_WAIT: Final = Histogram(
    "trunkline_telephony_rate_wait_seconds", "Answers and dials held by the rate limit.", buckets=_LATE_BUCKETS
)
TICK_LATE: Final = Histogram(
    "trunkline_telephony_tick_late_seconds", "How late a poll of the rings ran.", buckets=_LATE_BUCKETS
)
CLEAR_SECONDS: Final = Histogram(
    "trunkline_telephony_clear_seconds", "From Clear to the ring being empty.", buckets=_LATE_BUCKETS
)
