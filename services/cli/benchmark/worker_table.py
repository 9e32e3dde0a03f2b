"""The workers of a cell as a table, the same on the page and on the terminal. Pure."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

# (row of a stage, "p50") → what is shown.
Show = Callable[[Mapping[str, Any], str], str]


def worker_table(cell: Mapping[str, Any], show: Show) -> tuple[list[str], list[list[str]]]:
    """(head, rows); both empty where one process did everything."""
    rows: Sequence[Mapping[str, Any]] = cell.get("workers", [])
    if len(rows) < 2:
        return [], []
    scripted = cell["overhead"] is not None
    head = ["worker", "calls", "turns answered", "voice to voice P50 ms", "P95 ms"]
    head += ["overhead P50 ms", "P95 ms"] if scripted else []
    return [*head, "CPU s", "CPU s per minute of its calls"], [_row(row, scripted, show) for row in rows]


def _row(row: Mapping[str, Any], scripted: bool, show: Show) -> list[str]:
    figures = [row["voice_to_voice"], *([row["overhead"]] if scripted else [])]
    times = [show(one, percent) for one in figures for percent in ("p50", "p95")]
    cpu = ["–" if row[key] is None else f"{row[key]:.2f}" for key in ("cpu_s", "cpu_s_per_call_minute")]
    return [row["process"] or "not known", str(row["calls"]), f"{row['answered']} of {row['turns']}", *times, *cpu]
