"""Waits between attempts to reach a service that is away."""

FIRST_MS = 50
LONGEST_MS = 1_000


class Backoff:
    """50 ms, doubling to 1 s; a restarted service is found again within a second."""

    def __init__(self) -> None:
        self._next_ms = FIRST_MS

    def next_ms(self) -> int:
        """The wait before the next attempt."""
        current = self._next_ms
        self._next_ms = min(LONGEST_MS, current * 2)
        return current

    def reset(self) -> None:
        """It answered."""
        self._next_ms = FIRST_MS
