"""A circuit breaker (Nygard, Release It!): after some failures in a row a back end is left alone for a while.

    closed ──failures in a row──► open ──open_s──► half-open ──success──► closed
                                    ▲                  │
                                    └─────failure──────┘

Pure: time comes as an argument. Only failures that say the back end is unwell count; a refusal (4xx) does not.
"""

from dataclasses import dataclass, field
from typing import Literal

from services.orchestrator.bundles.model import Tool

State = Literal["closed", "open", "half-open"]


@dataclass(slots=True)
class Breaker:
    """One back-end group. Ask `admits` before a request, tell `succeeded` or `failed` after it."""

    failures: int
    open_s: float
    _in_a_row: int = field(init=False, default=0)
    _opened_ns: int | None = field(init=False, default=None)
    _probing: bool = field(init=False, default=False)

    def state(self, now_ns: int) -> State:
        """As of now."""
        if self._opened_ns is None:
            return "closed"
        return "half-open" if now_ns - self._opened_ns >= self.open_s * 1e9 else "open"

    def admits(self, now_ns: int) -> bool:
        """Whether a request may be sent; while half-open exactly one may."""
        state = self.state(now_ns)
        if state == "half-open" and not self._probing:
            self._probing = True
            return True
        return state == "closed"

    def succeeded(self) -> None:
        """It answered, be it with a refusal."""
        self._in_a_row, self._opened_ns, self._probing = 0, None, False

    def failed(self, now_ns: int) -> None:
        """It did not, or not in time, or with 5xx."""
        self._in_a_row += 1
        if self._probing or self._in_a_row >= self.failures:
            self._opened_ns = now_ns
        self._probing = False

    def abandoned(self) -> None:
        """The request was never sent after all: a probe's place is free again."""
        self._probing = False


@dataclass(slots=True)
class Breakers:
    """One per back-end group, for all calls of a worker: what one call learned of a sick back end, the next knows."""

    _of: dict[str, Breaker] = field(default_factory=dict)

    def of(self, name: str, tool: Tool) -> Breaker:
        """The breaker of a tool's group; a tool without one has its own."""
        group = tool.breaker.group if tool.breaker is not None else name
        found = self._of.get(group)
        if found is None:
            failures, open_s = (tool.breaker.failures, tool.breaker.open_s) if tool.breaker is not None else (5, 20)
            found = self._of[group] = Breaker(failures, open_s)
        return found
