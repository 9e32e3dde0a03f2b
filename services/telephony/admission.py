"""Which calls the worker takes, and when: the per-worker cap and the pace the engine can bear.

baresip loses CALL_ESTABLISHED events when 40 calls are set up in a second, so every answer and every dial asks for
a slot of a token bucket first; a burst is spread over time, and what would wait too long is refused.
"""

from dataclasses import dataclass
from typing import Literal

# The last three come from the clients: all that are attached say so.
Refusal = Literal["cap", "rate", "no_client", "draining", "not_ready", "overload", "client"]


class TokenBucket:
    """A token bucket that grants reservations: the caller is told how long to wait for its token.

    At most `rate_per_s` tokens a second leave it, `burst` of them at once after a quiet time. A reservation that
    would wait longer than `max_wait_ns` is refused and takes no token (the generic cell rate algorithm, ITU-T
    I.371, in its virtual-scheduling form).
    """

    def __init__(self, rate_per_s: float, *, burst: int = 1, max_wait_ns: int = 0) -> None:
        self._interval_ns = int(1e9 / rate_per_s)
        self._tolerance_ns = self._interval_ns * (burst - 1)
        self._max_wait_ns = max_wait_ns
        # Theoretical arrival time of the next conforming request.
        self._next_ns: int | None = None

    def wait_ns(self, now_ns: int) -> int:
        """How long a token reserved now would have to be waited for."""
        if self._next_ns is None:
            return 0
        return max(0, self._next_ns - self._tolerance_ns - now_ns)

    def reserve(self, now_ns: int) -> int | None:
        """Take a token: nanoseconds to wait before using it, or None when that would be too long."""
        wait_ns = self.wait_ns(now_ns)
        if wait_ns > self._max_wait_ns:
            return None
        self._next_ns = max(now_ns, self._next_ns or now_ns) + self._interval_ns
        return wait_ns


@dataclass(slots=True)
class Admission:
    """Decides on an incoming INVITE and on a dial; holds no reference to calls, only counts."""

    max_calls: int
    bucket: TokenBucket
    client_present: bool = False
    draining: bool = False

    def refusal(self, active_calls: int) -> Refusal | None:
        """Why a new call beside `active_calls` others is refused; None when it is welcome."""
        if self.draining:
            return "draining"
        if not self.client_present:
            return "no_client"
        if active_calls >= self.max_calls:
            return "cap"
        return None
