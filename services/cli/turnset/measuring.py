"""Runs `trunkline bench turns`: make the set, replay the decisions, compare with two baselines, write the figures."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, get_args

from rich.console import Console
from rich.table import Table

from services.cli.machine import commit, machine
from services.cli.stack import Launch
from services.cli.terminal import Interrupts, StackView
from services.cli.turnset import systems
from services.cli.turnset.making import Maker, model_names, services
from services.cli.turnset.outputs import MissingOutputError, Outputs
from services.cli.turnset.page import render
from services.cli.turnset.recipe import COUNTS, PAUSES, VERSION, Half
from services.cli.turnset.replay import LATENCIES
from services.common.clock import Clock
from services.common.errors import InvalidInputError, UnavailableError
from services.common.models import ModelStore
from services.common.settings import Settings

SYSTEMS = ("trunkline", "vad_timeout", "predict_turn")


async def bench_turns(
    half: str,
    out: Path,
    html: Path | None,
    launch: Launch,
    clock: Clock,
    interrupts: Interrupts,
    *,
    limit: int = 0,
    seed: int = 1,
    cache: Path | None = None,
    sweep: bool = True,
    as_json: bool = False,
) -> int:
    """Returns 0. Raises InvalidInputError, and what the services raise."""
    if half not in get_args(Half):
        raise InvalidInputError("--half", expected="tuning or test", got=repr(half))
    _require_folder(out)
    document = await measure(half, launch, clock, interrupts, limit, seed, cache, sweep)  # type: ignore[arg-type]
    _write(document, out, html)
    console = Console(stderr=True)
    if as_json:
        Console().print_json(json.dumps(_short(document)))
    else:
        console.print(table(document))
        console.print(f"written: {out}" + (f", {html}" if html else ""), highlight=False)
    return 0


def _require_folder(out: Path) -> None:
    if not out.absolute().parent.exists():
        raise InvalidInputError("--out", expected="an existing directory", got=str(out.parent))


def _write(document: Mapping[str, Any], out: Path, html: Path | None) -> None:
    out.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    if html is not None:
        html.write_text(render(document), encoding="utf-8")


async def measure(
    half: Half,
    launch: Launch,
    clock: Clock,
    interrupts: Interrupts,
    limit: int,
    seed: int,
    cache: Path | None,
    sweep: bool,
) -> dict[str, Any]:
    """Make, ask, replay: the whole document."""
    settings = launch.settings
    console = Console(stderr=True)
    folder = (cache or settings.data_dir / "cache" / "turnset").expanduser()
    names = model_names(settings, ModelStore(settings.models))
    outputs = Outputs(folder / f"answers-{half}.jsonl", names)
    maker = Maker(half, settings, folder, outputs, clock, seed, limit)
    shifts = systems.SHIFTS_MS if sweep else (0,)

    def tell(done: int, of: int) -> None:
        if done == of or done % 50 == 0:
            console.print(f"{half} half: {done} of {of} items made and asked about", highlight=False)

    try:
        entries = maker.made_before() or []
        results = _results(entries, outputs, settings, shifts) if entries else None
        if results is None:
            async with services(launch, clock, interrupts, StackView(console=console)):
                entries = await maker.make(shifts, tell)
            results = _results(entries, outputs, settings, shifts)
        if results is None:
            raise UnavailableError("The replay asks for what nobody was asked.", remedy="Please report this.")
    finally:
        await maker.close()
    document = figures_document(entries, results, sweep=sweep)
    facts = {
        "benchmark": "trunkline-turns/1",
        "when": clock.wall().isoformat(timespec="seconds"),
        "commit": commit(),
        "half": half,
        "set": {
            "version": VERSION,
            "seed": seed,
            "limit": limit,
            "items": len(entries),
            "holds": sum(len(e.hearing.truth.holds) for e in entries),
            "shifts": sum(not e.item.barge_in for e in entries),
            "barge_ins": sum(e.item.barge_in for e in entries),
            "counts": COUNTS,
            "pauses_ms_median_and_log_sigma": {kind: list(values) for kind, values in PAUSES.items()},
            "espeak": maker.speakers.espeak,
            "notes": maker.speakers.notes,
        },
        "models": dict(names),
        "latencies_ms": asdict(LATENCIES),
        "turn_settings": settings.orchestrator.turns.model_dump(),
        "machine": (await machine()).to_json(),
    }
    return facts | document


def _results(
    entries: Sequence[systems.Entry], outputs: Outputs, settings: Settings, shifts_ms: Sequence[int]
) -> dict[str, systems.Result] | None:
    """Every system over every item; None when an answer is missing."""
    try:
        systems.listen(entries, outputs)
        return {
            "trunkline": systems.run_turn_taker(entries, outputs, settings.orchestrator.turns, shifts_ms),
            "vad_timeout": systems.run_vad_timeout(entries),
            "predict_turn": systems.run_turn_model(entries, outputs, sweep=len(shifts_ms) > 1),
        }
    except MissingOutputError:
        return None


_TOP = (
    "false_cutoff_at_300ms",
    "wait_at_5pct_cutoffs_ms",
    "false_cutoff_at_default",
    "wait_p50_ms",
    "wait_p95_ms",
    "false_barge_in_resumed",
    "missed_barge_in",
    "resume_correct",
)


def figures_document(
    entries: Sequence[systems.Entry], results: Mapping[str, systems.Result], *, sweep: bool
) -> dict[str, Any]:
    """Every figure of every system, ours and the baselines' on top."""
    by_system = {name: systems.system_figures(result) for name, result in results.items()}
    ours = by_system["trunkline"]
    if not sweep:
        for key in ("false_cutoff_at_300ms", "wait_at_5pct_cutoffs_ms", "curve"):
            ours[key] = {"value": None, "ci95": [None, None]} if key != "curve" else []
    top: dict[str, Any] = {key: ours[key]["value"] for key in _TOP}
    top["barge_in_pause_ms"] = ours["barge_in_pause_ms"]
    top["baselines"] = {
        name: {key: by_system[name][key]["value"] for key in _TOP} for name in SYSTEMS if name != "trunkline"
    }
    breakdowns = {
        "by_kind": systems.breakdown(entries, results, lambda item: item.kind),
        "by_voice": systems.breakdown(entries, results, lambda item: item.voice),
        "by_line": systems.breakdown(entries, results, lambda item: item.condition),
    }
    return {**top, "systems": by_system, **breakdowns}


def _short(document: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in document.items() if key not in ("by_kind", "by_voice", "by_line", "systems")}


def table(document: Mapping[str, Any]) -> Table:
    """The three systems side by side."""
    made = Table(title=f"turn-taking, {document['half']} half", box=None, pad_edge=False)
    for column in ("", "Trunkline", "VAD timeout", "turn model alone", "n"):
        made.add_column(column, justify="left" if not column else "right")
    by_system = document["systems"]
    rows = {
        "false_cutoff_at_300ms": "false cut-offs at 300 ms median wait",
        "wait_at_5pct_cutoffs_ms": "median wait at 5 % cut-offs, ms",
        "false_cutoff_at_default": "false cut-offs at defaults",
        "wait_p50_ms": "wait P50 at defaults, ms",
        "wait_p95_ms": "wait P95 at defaults, ms",
        "false_barge_in_resumed": "nothing said: agent went on",
        "missed_barge_in": "interruptions missed",
    }
    for key, label in rows.items():
        cells = [_cell(key, by_system[name][key]) for name in SYSTEMS]
        ours = by_system["trunkline"]
        n = ours[key].get("n") or (ours["n_holds"] if "cutoff_at" in key else ours["n_shifts"])
        made.add_row(label, *cells, str(n))
    pause = [by_system[name]["barge_in_pause_ms"] for name in SYSTEMS]
    made.add_row(
        "agent pauses after an onset, P50 / P95 ms",
        *(f"{_ms(p['p50'])} / {_ms(p['p95'])}" for p in pause),
        str(pause[0]["n"]),
    )
    return made


def _cell(key: str, figure: Mapping[str, Any]) -> str:
    value, (low, high) = figure["value"], figure["ci95"]
    if value is None:
        return "–"
    if key.startswith("wait"):
        return f"{value:.0f} ({_ms(low)}–{_ms(high)})"
    return f"{value:.1%}" + (f" ({low:.0%}–{high:.0%})" if low is not None else "")


def _ms(value: float | None) -> str:
    return "–" if value is None else f"{value:.0f}"
