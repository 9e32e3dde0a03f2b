"""From decisions and truth to figures. Pure; definitions in benchmarks/README.md.

Intervals are bootstrapped over items: a caller's pauses and end are drawn together.
"""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from services.cli.turnset.render import Truth
from services.cli.turnset.replay import ENDS, Step

# A turn that is never ended counts as waited for this long.
NEVER_MS = 3_400.0
BOOTSTRAPS = 500
# An agent must be heard again so soon after a sound that was nothing.
RESUMED_WITHIN_MS = 1_500.0
# Whose turn it is must be decided so soon after the onset.
DECIDE_WITHIN_MS = 500.0

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Turn:
    """One caller's turn as one system took it: which of its pauses were cut off, and the wait at its end."""

    cut: tuple[bool, ...]
    wait_ms: float | None
    # Ends before the true one that no pause of 300 ms and more explains.
    elsewhere: int = 0


def score_turn(truth: Truth, steps: Sequence[Step]) -> Turn:
    """A pause is cut off when the system ends the turn after its start and before the next pause or the true end."""
    ends = [step.at_ms for step in steps if step.what in ENDS]
    starts = [hold.start_ms for hold in truth.holds]
    limits = [*starts[1:], truth.end_ms][: len(starts)]
    cut = tuple(any(start <= at < limit for at in ends) for start, limit in zip(starts, limits, strict=True))
    wait = next((at - truth.end_ms for at in ends if at >= truth.end_ms), None)
    first = starts[0] if starts else truth.end_ms
    return Turn(cut, wait, sum(at < min(first, truth.end_ms) for at in ends))


@dataclass(frozen=True, slots=True)
class Barge:
    """One sound while the agent spoke. Times in ms after its first sample; None: it did not happen."""

    pause_ms: float | None
    resume_ms: float | None
    stop_ms: float | None
    resumed_right: bool
    # The first time that it was decided who has the floor, either way.
    decided_ms: float | None = None
    # What it was, and how long each pause of the agent lasted.
    decided: str = ""
    pauses_ms: tuple[float, ...] = ()


def score_barge(truth: Truth, steps: Sequence[Step]) -> Barge:
    """What became of the agent: exactly one resume within 1.5 s of the sound's end is right, and so is no pause."""

    def first(what: str) -> float | None:
        return next((step.at_ms - truth.onset_ms for step in steps if step.what == what), None)

    last_what = [step for step in steps if step.what in ("pause", "resume", "stop")]
    pauses = sum(step.what == "pause" for step in steps)
    resumes = sum(step.what == "resume" for step in steps)
    in_time = not last_what or last_what[-1].at_ms <= truth.end_ms + RESUMED_WITHIN_MS
    right = first("stop") is None and pauses == resumes and in_time
    resume = last_what[-1].at_ms - truth.onset_ms if last_what and last_what[-1].what == "resume" else None
    decided = next((step for step in last_what if step.what != "pause" and step.at_ms > truth.onset_ms), None)
    lengths = tuple(
        after.at_ms - before.at_ms for before, after in itertools.pairwise(last_what) if before.what == "pause"
    )
    decided_ms = decided.at_ms - truth.onset_ms if decided is not None else None
    what = decided.what if decided is not None else ""
    return Barge(first("pause"), resume, first("stop"), right, decided_ms, what, lengths)


def turns_at_defaults(turns: Sequence[Turn]) -> dict[str, Any]:
    """Cut-off rate and waits of one setting, with n and intervals."""
    waits = np.array([NEVER_MS if turn.wait_ms is None else turn.wait_ms for turn in turns])
    cut = np.array([float(sum(turn.cut)) for turn in turns])
    holds = np.array([float(len(turn.cut)) for turn in turns])
    out: dict[str, Any] = {"n_holds": int(holds.sum()), "n_shifts": len(turns)}
    out["false_cutoff"] = share(cut, holds)
    for name, quantile in (("wait_p50_ms", 50), ("wait_p95_ms", 95)):
        out[name] = {
            "value": rounded(float(np.percentile(waits, quantile))) if len(waits) else None,
            "ci95": interval(_drawn(waits, lambda x, q=quantile: float(np.percentile(x, q)))),
        }
    out["ended_elsewhere"] = sum(turn.elsewhere for turn in turns)
    out["never_ended"] = int(sum(turn.wait_ms is None for turn in turns))
    return out


def share(hits: Floats, of: Floats) -> dict[str, Any]:
    """A rate with its interval; `of` is the number of chances per item."""
    total = float(of.sum())
    pairs = np.stack((hits, of), axis=1) if len(hits) else np.zeros((0, 2))
    drawn = _drawn(pairs, lambda x: float(x[:, 0].sum() / max(1.0, x[:, 1].sum())))
    return {"value": rounded(float(hits.sum()) / total) if total else None, "n": int(total), "ci95": interval(drawn)}


def barge_figures(by_kind: Mapping[str, Sequence[Barge]]) -> dict[str, Any]:
    """False and missed barge-ins, how soon the agent paused, whether it went on rightly."""
    false = [event for kind, events in by_kind.items() if kind != "interruption" for event in events]
    real = list(by_kind.get("interruption", ()))
    paused = [event for event in false if event.pause_ms is not None]
    pauses_ms = [ms for event in paused for ms in event.pauses_ms]
    over_ms = [
        event.stop_ms - event.decided_ms
        for event in real
        if event.decided == "resume" and event.stop_ms is not None and event.decided_ms is not None
    ]
    return {
        "false_barge_in_resumed": _rate([event.stop_ms is None and event.resumed_right for event in false]),
        "false_barge_in_undisturbed": _rate([event.pause_ms is None and event.stop_ms is None for event in false]),
        "resume_correct": _rate([event.resumed_right for event in paused]),
        "missed_barge_in": _rate([event.stop_ms is None for event in real]),
        "barge_in_pause_ms": percentiles([event.pause_ms for event in real]),
        "barge_in_stop_ms": percentiles([event.stop_ms for event in real]),
        "barge_in_stopped_in_time": _rate([in_time(event.stop_ms) for event in real]),
        "barge_in_decided_ms": percentiles([event.decided_ms for event in real]),
        "barge_in_decided_in_time": _rate([in_time(event.decided_ms) for event in real]),
        "barge_in_first_stopped": _rate([event.decided == "stop" for event in real]),
        "barge_in_talked_over_ms": percentiles(over_ms),
        "false_pause_length_ms": percentiles(
            [e.resume_ms - e.pause_ms for e in paused if e.resume_ms is not None and e.pause_ms is not None]
        ),
        "false_pause_each_ms": percentiles(pauses_ms),
        "false_pause_in_time": _rate([ms <= DECIDE_WITHIN_MS for ms in pauses_ms]),
        "resumed_by_kind": {
            kind: _rate([event.stop_ms is None and event.resumed_right for event in events])
            for kind, events in by_kind.items()
            if kind != "interruption"
        },
    }


def in_time(ms: float | None) -> bool:
    """Within the time that the design gives barge-in."""
    return ms is not None and ms <= DECIDE_WITHIN_MS


def percentiles(values: Sequence[float | None]) -> dict[str, Any]:
    """n, P50 and P95 of what happened."""
    known = [value for value in values if value is not None]
    if not known:
        return {"n": 0, "p50": None, "p95": None}
    p50, p95 = np.percentile(known, (50, 95))
    return {"n": len(known), "p50": round(float(p50), 1), "p95": round(float(p95), 1)}


def _rate(flags: Sequence[bool]) -> dict[str, Any]:
    return share(np.array([float(flag) for flag in flags]), np.ones(len(flags)))


def _drawn(values: Floats, statistic: Any) -> list[float]:
    if not len(values):
        return []
    chance = np.random.default_rng(1)
    return [statistic(values[chance.integers(0, len(values), len(values))]) for _ in range(BOOTSTRAPS)]


def interval(values: Sequence[float]) -> list[float | None]:
    """The middle 95 % of bootstrapped values."""
    if not values:
        return [None, None]
    low, high = np.percentile(values, (2.5, 97.5))
    return [rounded(float(low)), rounded(float(high))]


def rounded(value: float | None) -> float | None:
    """Four digits are more than any interval here has."""
    return None if value is None else round(value, 4)
