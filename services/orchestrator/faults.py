"""What a call does when a service fails: say so once, try again with growing waits, end politely. Pure.

An outage begins with the first failure of a service and ends with its first answer.
"""

from dataclasses import dataclass
from typing import Literal

ServiceName = Literal["vad", "asr", "llm", "tts"]

FIRST_WAIT_MS = 250
LONGEST_WAIT_MS = 2_000


@dataclass(frozen=True, slots=True)
class FaultAction:
    """`apologise`: say the sentence, then try again after `wait_ms`; `give_up`: say goodbye and end the call."""

    kind: Literal["retry", "apologise", "give_up"]
    wait_ms: int = 0


@dataclass(slots=True)
class _Outage:
    since_ns: int
    failures: int = 0


class FaultPolicy:
    """One per call. The caller hears the apology once per outage, however many services are part of it."""

    def __init__(self, give_up_ms: int) -> None:
        self._give_up_ns = give_up_ms * 1_000_000
        self._outages: dict[ServiceName, _Outage] = {}
        self._apologised = False

    def failed(self, service: ServiceName, at_ns: int) -> FaultAction:
        """A failure, and what to do about it."""
        outage = self._outages.setdefault(service, _Outage(at_ns))
        outage.failures += 1
        if at_ns - outage.since_ns >= self._give_up_ns:
            return FaultAction("give_up")
        wait_ms = min(LONGEST_WAIT_MS, FIRST_WAIT_MS * 2 ** min(10, outage.failures - 1))
        if self._apologised:
            return FaultAction("retry", wait_ms)
        self._apologised = True
        return FaultAction("apologise", wait_ms)

    def answered(self, service: ServiceName) -> bool:
        """It answered; True when that ends an outage."""
        ended = self._outages.pop(service, None) is not None
        if ended and not self._outages:
            self._apologised = False
        return ended

    def down_for_ms(self, service: ServiceName, at_ns: int) -> int | None:
        """How long the service has been failing; None: it is not."""
        outage = self._outages.get(service)
        return None if outage is None else (at_ns - outage.since_ns) // 1_000_000
