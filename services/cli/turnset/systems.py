"""The three systems over a half of the set: what each decides at its defaults and along its one knob. Pure.

Knobs: the turn-taker's `endpoint_shift_ms`, which moves every wait; the VAD timeout itself; for the turn model the
threshold, at two lengths of silence before it is asked.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from services.cli.turnset import baselines, figures
from services.cli.turnset.baselines import Silence
from services.cli.turnset.curve import Curve
from services.cli.turnset.figures import Barge, Turn
from services.cli.turnset.hearing import Hearing
from services.cli.turnset.outputs import Ask, Outputs
from services.cli.turnset.recipe import Item
from services.cli.turnset.replay import Replay, Step
from services.common.settings import TurnSettings

SHIFTS_MS = (-200, -150, -100, -50, 0, 50, 100, 150, 200, 300, 450, 700)
TIMEOUTS_MS = (*range(64, 600, 32), *range(600, 2001, 100))
THRESHOLDS = (0.02, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.98, 0.99, 0.995)
# What a VAD timeout is set to where nobody has tuned it (livekit 0.55 s, pipecat 0.8 s): between them.
VAD_DEFAULT_MS = 700


@dataclass(slots=True, eq=False)
class Entry:
    """One item that was made, and what the baselines need of it."""

    item: Item
    hearing: Hearing
    vad: Sequence[float] = ()
    heard: tuple[float | None, list[Silence]] = (None, [])


@dataclass(slots=True)
class Result:
    """What a system did: at its defaults, along its knob, and while the agent spoke."""

    default: list[Turn] = field(default_factory=list)
    curve: Curve | None = None
    barges: dict[str, list[Barge]] = field(default_factory=dict)
    knob: str = ""
    at_default: Any = None


def shifted(settings: TurnSettings, shift_ms: int) -> TurnSettings:
    """The turn-taker with every wait moved."""
    if not shift_ms:
        return settings
    knob = "endpoint_shift_ms"
    if knob in TurnSettings.model_fields:
        return settings.model_copy(update={knob: getattr(settings, knob) + shift_ms})
    names = ("endpoint_complete_ms", "endpoint_unsure_ms", "endpoint_incomplete_ms")
    return settings.model_copy(update={name: max(1, getattr(settings, name) + shift_ms) for name in names})


def replay(entry: Entry, outputs: Outputs, settings: TurnSettings) -> list[Step]:
    """The turn-taker's decisions on one item. Raises MissingOutputError."""
    return Replay(entry.item, entry.hearing, outputs, settings).run()


def questions(entry: Entry, outputs: Outputs, *, sweep: bool) -> Iterator[Ask]:
    """What the baselines must know of an item whose VAD is known, at their defaults or along their knobs."""
    if entry.item.barge_in:
        return
    first_ms, quiet = baselines.silences(entry.hearing, outputs.get(Ask("vad", entry.hearing.sha)))
    for stop_ms in baselines.VAD_STOPS_MS if sweep else baselines.VAD_STOPS_MS[:1]:
        yield from baselines.turn_asks(entry.hearing, first_ms, quiet, stop_ms)


def listen(entries: Sequence[Entry], outputs: Outputs) -> None:
    """Fill in what the VAD heard."""
    for entry in entries:
        entry.vad = outputs.get(Ask("vad", entry.hearing.sha))
        entry.heard = baselines.silences(entry.hearing, entry.vad)


def run_turn_taker(
    entries: Sequence[Entry],
    outputs: Outputs,
    settings: TurnSettings,
    shifts_ms: Sequence[int] = SHIFTS_MS,
    tell: Callable[[int], None] = lambda _: None,
) -> Result:
    """Defaults, sweep and interruptions. Raises MissingOutputError."""
    turns = [entry for entry in entries if not entry.item.barge_in]
    rows = []
    for shift_ms in shifts_ms:
        moved = shifted(settings, shift_ms)
        rows.append([figures.score_turn(e.hearing.truth, replay(e, outputs, moved)) for e in turns])
        tell(shift_ms)
    default = rows[shifts_ms.index(0)]
    barges = _barges(entries, lambda entry: replay(entry, outputs, settings))
    return Result(default, Curve(shifts_ms, rows), barges, "endpoint shift, ms", 0)


def run_vad_timeout(entries: Sequence[Entry]) -> Result:
    """The plain VAD timeout."""
    turns = [entry for entry in entries if not entry.item.barge_in]

    def row(timeout_ms: float) -> list[Turn]:
        return [figures.score_turn(e.hearing.truth, baselines.vad_timeout(e.heard[1], timeout_ms)) for e in turns]

    curve = Curve(TIMEOUTS_MS, [row(timeout_ms) for timeout_ms in TIMEOUTS_MS])
    barges = _barges(entries, lambda entry: baselines.vad_interrupts(entry.hearing, entry.vad))
    return Result(row(VAD_DEFAULT_MS), curve, barges, "timeout, ms", VAD_DEFAULT_MS)


def run_turn_model(entries: Sequence[Entry], outputs: Outputs, *, sweep: bool = True) -> Result:
    """PredictTurn alone; without `sweep` only the published silence before it is asked. Raises MissingOutputError."""
    turns = [entry for entry in entries if not entry.item.barge_in]

    def row(stop_ms: int, threshold: float) -> list[Turn]:
        return [
            figures.score_turn(e.hearing.truth, baselines.turn_model(e.hearing, outputs, e.heard, threshold, stop_ms))
            for e in turns
        ]

    knobs = [
        (stop_ms, threshold) for stop_ms in baselines.VAD_STOPS_MS[: None if sweep else 1] for threshold in THRESHOLDS
    ]
    curve = Curve(knobs, [row(*knob) for knob in knobs])
    published = (baselines.VAD_STOPS_MS[0], baselines.PUBLISHED_THRESHOLD)
    barges = _barges(entries, lambda entry: baselines.pipecat_interrupts(entry.hearing, entry.vad))
    return Result(row(*published), curve, barges, "VAD stop, ms, and threshold", list(published))


def _barges(entries: Sequence[Entry], steps_of: Callable[[Entry], list[Step]]) -> dict[str, list[Barge]]:
    out: dict[str, list[Barge]] = defaultdict(list)
    for entry in entries:
        if entry.item.barge_in:
            out[entry.item.kind].append(figures.score_barge(entry.hearing.truth, steps_of(entry)))
    return dict(out)


def system_figures(result: Result) -> dict[str, Any]:
    """The figures of one system."""
    out: dict[str, Any] = {"knob": result.knob, "knob_at_default": result.at_default}
    at_defaults = figures.turns_at_defaults(result.default)
    out["false_cutoff_at_default"] = at_defaults.pop("false_cutoff")
    out |= at_defaults
    if result.curve is not None:
        out["false_cutoff_at_300ms"] = result.curve.cutoffs_at_wait()
        out["wait_at_5pct_cutoffs_ms"] = result.curve.wait_at_cutoffs()
        waits, cut = result.curve.points()
        out["curve"] = [
            {"knob": knob, "median_wait_ms": round(float(w), 1), "false_cutoff": round(float(c), 4)}
            for knob, w, c in zip(result.curve.knobs, waits, cut, strict=True)
        ]
    return out | figures.barge_figures(result.barges)


def breakdown(entries: Sequence[Entry], results: Mapping[str, Result], by: Callable[[Item], str]) -> dict[str, Any]:
    """Cut-offs and waits at the defaults, per kind, voice or line."""
    turns = [entry for entry in entries if not entry.item.barge_in]
    out: dict[str, Any] = {}
    for value in sorted({by(entry.item) for entry in turns}):
        chosen = [index for index, entry in enumerate(turns) if by(entry.item) == value]
        out[value] = {}
        for name, result in results.items():
            row = figures.turns_at_defaults([result.default[index] for index in chosen])
            out[value][name] = {
                "n_holds": row["n_holds"],
                "n_shifts": row["n_shifts"],
                "false_cutoff": row["false_cutoff"]["value"],
                "wait_p50_ms": row["wait_p50_ms"]["value"],
                "wait_p95_ms": row["wait_p95_ms"]["value"],
            }
    return out
