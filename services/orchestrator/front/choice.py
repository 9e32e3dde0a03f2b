"""Which worker is asked first, and how the workers' answers become one. Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class WorkerState:
    """What a worker says at /readyz. `ready` False: no answer, or it takes no calls for a while."""

    worker: int
    ready: bool
    calls: int = 0
    capacity: int = 0
    refusing: str = ""
    reason: str = ""

    @classmethod
    def of(cls, worker: int, status: int, body: Mapping[str, Any]) -> "WorkerState":
        """From the answer's status (0: none came) and JSON."""
        if status != 200:
            error = body.get("error")
            said = error.get("message", "") if isinstance(error, Mapping) else ""
            return cls(worker, False, reason=str(said) or "no answer")
        return cls(worker, True, int(body["calls"]), int(body["capacity"]), str(body["refusing"]))

    def to_json(self) -> dict[str, Any]:
        """For /readyz of the machine."""
        shown = {"worker": self.worker, "ready": self.ready}
        if not self.ready:
            return {**shown, "reason": self.reason}
        return {**shown, "calls": self.calls, "capacity": self.capacity, "refusing": self.refusing}


def by_preference(states: Iterable[WorkerState]) -> list[int]:
    """Workers to offer a call to, in order: least loaded first, those that would refuse last (their answer says why).

    Those that are not ready are left out.
    """
    ready = [state for state in states if state.ready]
    ready.sort(key=lambda state: (bool(state.refusing), state.calls / max(1, state.capacity), state.worker))
    return [state.worker for state in ready]


def merged_calls(bodies: Iterable[Mapping[str, Any]]) -> list[Any]:
    """/api/calls of all workers: calls in progress first, each part oldest first."""
    calls = [call for body in bodies for call in body["calls"]]
    return sorted(calls, key=lambda call: (call["ended"], call["started_ns"]))


def merged_samples(bodies: Iterable[Mapping[str, Any]]) -> list[Any]:
    """/api/stages of all workers, oldest first."""
    return sorted((sample for body in bodies for sample in body["samples"]), key=lambda sample: sample["at_ns"])
