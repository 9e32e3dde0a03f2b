"""The fault switch: how this back end misbehaves, for how many requests, on which operations.

latency     answers after `ms`
error       answers 500, nothing done
drop        does it, then closes the connection without an answer
duplicate   takes the request twice, as a proxy that retries would deliver it
stale       answers reads from before the last write
down        closes the connection, nothing done
"""

from dataclasses import dataclass, replace

MODES = ("latency", "error", "drop", "duplicate", "stale", "down")


@dataclass(frozen=True)
class Fault:
    """One switched-on fault. `operation` "*" is every operation; `count` -1 is until it is switched off."""

    mode: str
    operation: str = "*"
    count: int = 1
    ms: int = 0


class FaultSwitch:
    """Faults apply in the order in which they were set; each request uses up at most one of each mode."""

    def __init__(self) -> None:
        self._faults: list[Fault] = []

    def set(self, fault: Fault) -> None:
        """Switch one on. Raises ValueError for a mode that does not exist."""
        if fault.mode not in MODES:
            raise ValueError(f"mode: expected one of {', '.join(MODES)}, got {fault.mode!r}")
        self._faults.append(fault)

    def clear(self) -> None:
        """All off."""
        self._faults.clear()

    def take(self, operation: str, modes: tuple[str, ...]) -> dict[str, Fault]:
        """The faults that this request meets, counted down."""
        met: dict[str, Fault] = {}
        left: list[Fault] = []
        for fault in self._faults:
            hit = fault.mode in modes and fault.mode not in met and fault.operation in ("*", operation)
            if hit:
                met[fault.mode] = fault
            if not hit or fault.count < 0:
                left.append(fault)
            elif fault.count > 1:
                left.append(replace(fault, count=fault.count - 1))
        self._faults = left
        return met
