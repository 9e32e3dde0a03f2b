"""Percentiles as reported everywhere, and how well the stack's own figures agree with what was heard.

Percentiles interpolate linearly between order statistics (Hyndman and Fan's type 7, numpy's default). With few
samples a high percentile is close to the maximum: read `n` beside it.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

# The stages a benchmark reports, in the order a turn passes through them.
REPORTED_STAGES = (
    "vad_onset",
    "endpoint",
    "asr_final",
    "understand",
    "tool",
    "llm_ttft",
    "llm_first_clause",
    "tts_ttfa",
    "playout",
    "voice_to_voice",
    "barge_in_stop",
)
# Two samples of one turn are the same event when their ends are this close.
_SAME_TURN_NS = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Distribution:
    """n and percentiles in ms; None without samples."""

    n: int
    p50_ms: float | None
    p95_ms: float | None
    p99_ms: float | None

    def to_json(self) -> dict[str, float | int | None]:
        """As in the benchmark file."""
        return {"n": self.n, "p50_ms": self.p50_ms, "p95_ms": self.p95_ms, "p99_ms": self.p99_ms}


@dataclass(frozen=True, slots=True)
class StageSample:
    """One latency the stack reported about itself (`GET /api/stages`)."""

    call_id: str
    turn: int
    stage: str
    ms: float
    at_ns: int


def distribution(values_ms: Iterable[float]) -> Distribution:
    """P50, P95, P99 of `values_ms`, rounded to 0.1 ms."""
    values = np.array([float(v) for v in values_ms])
    if not len(values):
        return Distribution(0, None, None, None)
    p50, p95, p99 = (round(float(p), 1) for p in np.percentile(values, (50, 95, 99)))
    return Distribution(len(values), p50, p95, p99)


def parse_samples(rows: Iterable[Mapping[str, object]]) -> list[StageSample]:
    """Rows of `/api/stages`; rows of an unknown shape are left out rather than guessed."""
    samples = []
    for row in rows:
        call_id, turn, stage, ms, at_ns = (row.get(k) for k in ("call_id", "turn", "stage", "ms", "at_ns"))
        if isinstance(ms, int | float) and isinstance(at_ns, int) and isinstance(turn, int):
            samples.append(StageSample(str(call_id), turn, str(stage), float(ms), at_ns))
    return samples


def by_stage(samples: Iterable[StageSample]) -> dict[str, list[float]]:
    """Latencies per stage, reported stages first and in their order."""
    stages: dict[str, list[float]] = {stage: [] for stage in REPORTED_STAGES}
    for sample in samples:
        stages.setdefault(sample.stage, []).append(sample.ms)
    return {stage: values for stage, values in stages.items() if values}


def matched(
    answers: Sequence[tuple[str, int, float]], samples: Sequence[StageSample], stage: str = "voice_to_voice"
) -> list[tuple[float, float]]:
    """Pairs (heard ms, reported ms) of one stage for the same turn.

    `answers` are (call id, or "" when unknown, when the agent was heard in ns, ms). Each sample is used once, the
    nearest in time within one second; with the call's id only samples of that call are looked at.
    """
    free = [s for s in samples if s.stage == stage]
    pairs = []
    for call_id, at_ns, ms in sorted(answers, key=lambda a: a[1]):
        same = [s for s in free if not call_id or s.call_id == call_id]
        best = min(same, key=lambda s: abs(s.at_ns - at_ns), default=None)
        if best is not None and abs(best.at_ns - at_ns) <= _SAME_TURN_NS:
            free.remove(best)
            pairs.append((ms, best.ms))
    return pairs


def agreement(pairs: Sequence[tuple[float, float]], within_ms: float) -> dict[str, float | int | None]:
    """Heard minus reported: median and P95 of the size, and the share within `within_ms`."""
    differences = [heard - reported for heard, reported in pairs]
    sizes = distribution(abs(d) for d in differences)
    return {
        "n": len(differences),
        "median_ms": distribution(differences).p50_ms,
        "p95_abs_ms": sizes.p95_ms,
        "within_ms": within_ms,
        "share_within": round(sum(abs(d) <= within_ms for d in differences) / len(differences), 3)
        if differences
        else None,
    }
