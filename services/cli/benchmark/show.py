"""Benchmarks on the terminal: one cell in full, a sweep as one row per cell, comparisons and gates row by row."""

from collections.abc import Mapping, Sequence
from typing import Any

from rich.table import Table
from rich.text import Text

from services.cli.benchmark.documents import cells_of, name_of
from services.cli.benchmark.slo import verdict_of
from services.cli.benchmark.worker_table import worker_table

_TARGET_STYLE = {"met": "green", "unproven": "yellow", "missed": "bold red"}
_VERDICT_STYLE = {"better": "green", "worse": "bold red", "too few": "yellow", "seen once": "dim"}


def tables(document: Mapping[str, Any]) -> list[Table]:
    """All of a benchmark."""
    cells = cells_of(document)
    shown = [sweep_table(cells)] if len(cells) > 1 else []
    if len(cells) == 1:
        shown = cell_tables(cells[0])
    if document.get("targets"):
        shown.append(gate_table(document["targets"]))
    return shown


def cell_line(cell: Mapping[str, Any]) -> str:
    """One line when a cell has ended."""
    v2v = cell["stages"]["voice_to_voice"]
    outcomes = ", ".join(f"{count} {name}" for name, count in cell["outcomes"].items()) or "no turn"
    stopped = f"; stopped early: {cell['stopped']}" if cell.get("stopped") else ""
    return f"{name_of(cell)}: {outcomes}; voice to voice P50 {_ci(v2v, 'p50')}, P95 {_ci(v2v, 'p95')} ms{stopped}"


def sweep_table(cells: Sequence[Mapping[str, Any]]) -> Table:
    """One row per cell."""
    scripted = any(cell["overhead"] for cell in cells)
    table = Table(title="cells; ms with 95 % intervals", box=None, pad_edge=False, title_justify="left")
    for column in ("cell", "n", "V2V P50", "V2V P95", *(["overhead P95"] if scripted else []), "barge-in P95"):
        table.add_column(column, justify="left" if column == "cell" else "right")
    for column in ("wrong turns", "dropped", "CPU s/min", ""):
        table.add_column(column, justify="right" if column else "left")
    for cell in cells:
        v2v, stop = cell["stages"]["voice_to_voice"], cell["stages"]["barge_in_stop"]
        wrong = sum(count for name, count in cell["outcomes"].items() if name not in ("answered", "caller_late"))
        over = [_ci(cell["overhead"], "p95")] if scripted and cell["overhead"] else [""] if scripted else []
        cpu = sum(p["cpu_s_per_call_minute"] for name, p in cell["processes"].items() if not name.startswith("caller"))
        figures = [str(v2v["n"]), _ci(v2v, "p50"), _ci(v2v, "p95"), *over, _ci(stop, "p95")]
        note = "calls refused" if cell.get("stopped") else ""
        table.add_row(name_of(cell), *figures, str(wrong), str(cell["dropped_frames"]), f"{cpu:.1f}", note)
    return table


def cell_tables(cell: Mapping[str, Any]) -> list[Table]:
    """Stages, processes, counts of one cell."""
    stages = Table(title="latency, ms (95 % interval)", box=None, pad_edge=False, title_justify="left")
    for column in ("stage", "n", "P50", "P95", "P99", ""):
        stages.add_column(column, justify="left" if column in ("stage", "") else "right")
    heard = cell["method"]["from_audio"]
    for name, row in cell["stages"].items():
        source = "heard in the audio" if name in heard else "reported by the stack"
        stages.add_row(name, *_figures(row), source)
    for name, row in cell["stages_reported"].items():
        stages.add_row(f"  {name}", *_figures(row), "the stack's own figure")
    if (over := cell["overhead"]) is not None:
        note = f"voice to voice minus {over['declared']['total_ms']:.0f} ms declared"
        stages.add_row("overhead", *_figures(over), note)
    for kind, row in cell["situations"].items():
        if "hole" in row:
            stages.add_row(f"hole after a {kind}", *_figures(row["hole"]), "heard in the audio")
    return [stages, *_workers(cell), _processes(cell), _summary(cell)]


def _workers(cell: Mapping[str, Any]) -> list[Table]:
    head, rows = worker_table(cell, _ci)
    if not rows:
        return []
    table = Table(title="workers, ms (95 % interval)", box=None, pad_edge=False, title_justify="left")
    for column in head:
        table.add_column(column, justify="left" if column == "worker" else "right")
    for row in rows:
        table.add_row(*row)
    return [table]


def _processes(cell: Mapping[str, Any]) -> Table:
    use = Table(title="processes", box=None, pad_edge=False, title_justify="left")
    for column in ("process", "CPU s per call-minute", "RSS MB"):
        use.add_column(column, justify="left" if column == "process" else "right")
    for name, row in cell["processes"].items():
        use.add_row(name, f"{row['cpu_s_per_call_minute']:.2f}", f"{row['rss_mb']:.0f}")
    return use


def _summary(cell: Mapping[str, Any]) -> Table:
    agree, calls = cell["agreement"]["voice_to_voice"], cell["calls"]
    share = agree["share_within"]
    within = "no pairs" if share is None else f"{share:.0%} within {agree['within_ms']:.0f} ms"
    median = "–" if agree["median_ms"] is None else f"{agree['median_ms']:.0f}"
    summary = Table(box=None, pad_edge=False, show_header=False)
    summary.add_row("calls", f"{calls['started']} started, {calls['failed']} failed, {calls['refused']} refused")
    summary.add_row("turns", counted(cell["outcomes"]))
    for kind, row in cell["situations"].items():
        summary.add_row(kind, counted(row["outcomes"]))
    summary.add_row("dropped frames", f"{cell['dropped_frames']} (lost packets {cell['lost_packets']})")
    summary.add_row("heard and reported", f"{within} (n={agree['n']}, median {median} ms)")
    for error in calls["errors"]:
        summary.add_row("failed", error)
    if cell.get("stopped"):
        summary.add_row("stopped early", cell["stopped"])
    return summary


def compare_tables(comparison: Mapping[str, Any]) -> list[Table]:
    """A table per pair of cells."""
    shown = []
    for cell in comparison["cells"]:
        table = Table(title=f"{cell['cell']}: A, B and B − A", box=None, pad_edge=False, title_justify="left")
        for column in ("what", "n A", "n B", "A", "B", "B − A", "95 % interval", "verdict"):
            table.add_column(column, justify="left" if column in ("what", "verdict") else "right")
        for row in cell["rows"]:
            values = [value_text(row[key], row["unit"]) for key in ("a", "b")]
            verdict = Text(row["verdict"], style=_VERDICT_STYLE.get(row["verdict"], ""))
            counts = ["" if row["verdict"] == "seen once" else str(row[key]) for key in ("n_a", "n_b")]
            table.add_row(row["what"], *counts, *values, *difference_text(row), verdict)
        shown.append(table)
    return shown


def gate_table(targets: Mapping[str, Any]) -> Table:
    """Each target: expected and got."""
    table = Table(title=f"targets: {targets['title']}", box=None, pad_edge=False, title_justify="left")
    for column in ("", "cell", "what", "expected", "got", "n", ""):
        table.add_column(column, justify="right" if column == "n" else "left")
    for row in targets["rows"]:
        verdict = verdict_of(row)
        mark = Text("MISSED" if verdict == "missed" else verdict, style=_TARGET_STYLE[verdict])
        table.add_row(mark, row["cell"], row["what"], row["expected"], row["got"], str(row["n"]), row["note"])
    if not targets["rows"]:
        table.add_row("", "no cell of this result is one that these targets are for", "", "", "", "", "")
    return table


def counted(outcomes: Mapping[str, int]) -> str:
    """ "49 answered, 1 cut_off"."""
    return ", ".join(f"{count} {name}" for name, count in outcomes.items()) or "none"


def value_text(value: float | None, unit: str) -> str:
    """A figure of a comparison."""
    if value is None:
        return "–"
    return f"{100 * value:.1f} %" if unit == "share" else f"{value:.0f}" if unit == "ms" else f"{value:g}"


def difference_text(row: Mapping[str, Any]) -> tuple[str, str]:
    """The difference and its interval."""
    if row["difference"] is None:
        return "–", ""
    scale, places = (100, 1) if row["unit"] == "share" else (1, 0 if row["unit"] == "ms" else 2)
    interval = row["interval"]
    shown = f"{scale * interval[0]:+.{places}f} to {scale * interval[1]:+.{places}f}" if interval else ""
    return f"{scale * row['difference']:+.{places}f}", shown


def _figures(row: Mapping[str, Any]) -> list[str]:
    return [str(row["n"]), *(_ci(row, percent) for percent in ("p50", "p95", "p99"))]


def _ci(row: Mapping[str, Any], percent: str) -> str:
    """ "440 [431–452]"."""
    value, interval = row.get(f"{percent}_ms"), row.get(f"{percent}_ci_ms")
    if value is None:
        return "–"
    return f"{value:.0f} [{interval[0]:.0f}–{interval[1]:.0f}]" if interval else f"{value:.0f}"
