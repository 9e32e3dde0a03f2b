"""The latest stage times of all calls, for the API and the benchmark: a bounded ring, newest last."""

from collections import deque
from dataclasses import asdict, dataclass
from typing import Any

from services.common.metrics import observe_stage
from services.orchestrator.events import Stage, StageMeasured

MAX_SAMPLES = 20_000


@dataclass(frozen=True, slots=True)
class StageSample:
    """One measured stage: `ms` long, ended at `at_ns` (CLOCK_MONOTONIC), in `turn` of `call_id`."""

    call_id: str
    turn: int
    stage: Stage
    ms: float
    at_ns: int


class StageRing:
    """Keeps the last 20,000 samples and feeds the Prometheus histogram."""

    def __init__(self, limit: int = MAX_SAMPLES) -> None:
        self._samples: deque[StageSample] = deque(maxlen=limit)

    def add(self, call_id: str, event: StageMeasured) -> None:
        """Record one measurement."""
        self._samples.append(StageSample(call_id, event.turn, event.stage, event.ms, event.at_ns))
        observe_stage(event.stage, event.ms)

    def since(self, since_ns: int = 0) -> list[StageSample]:
        """Samples that ended after `since_ns`, oldest first."""
        return [sample for sample in self._samples if sample.at_ns > since_ns]

    def to_json(self, since_ns: int = 0) -> dict[str, list[dict[str, Any]]]:
        """`{"samples": [{"call_id", "turn", "stage", "ms", "at_ns"}, …]}`."""
        return {"samples": [asdict(sample) for sample in self.since(since_ns)]}
