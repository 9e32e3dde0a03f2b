"""Two benchmark files side by side: what became better or worse, cell by cell, stage by stage. Pure.

A row is better or worse when the 95 % interval of the difference excludes zero and the difference is at least
`LEAST_MS`: below that no caller and no figure here can tell. With many rows one in twenty excludes zero by chance:
the verdict of a single row is a hint, several rows of one stage that agree are a finding.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from services.cli.benchmark.bootstrap import Interval, mean_difference, percentile_differences
from services.cli.benchmark.documents import Document, cells_of, key_of, name_of
from services.cli.stats import REPORTED_STAGES

LEAST_MS = 5.0
_PERCENTS = (50, 95)
# Shares of turns that went wrong.
_WRONG = ("cut_off", "unanswered", "talked_over")
_LEAST_SHARE = 0.005


def compare(a: Mapping[str, Any], b: Mapping[str, Any], least_ms: float = LEAST_MS) -> Document:
    """`{"a", "b", "cells": [{"cell", "rows": […]}], "only_in_a", "only_in_b", "differs": […]}`.

    Cells are paired by transport, script and calls; one cell each is a pair whatever it is. A row:
    `{"what", "unit", "n_a", "n_b", "a", "b", "difference", "interval", "verdict"}`; the difference is b minus a.
    """
    cells_a, cells_b = ({key_of(c): c for c in cells_of(d)} for d in (a, b))
    pairs = [(cells_a[key], cells_b[key]) for key in cells_a if key in cells_b]
    if not pairs and len(cells_a) == len(cells_b) == 1:
        pairs = [(next(iter(cells_a.values())), next(iter(cells_b.values())))]
    paired = {id(cell) for pair in pairs for cell in pair}
    return {
        "a": _about(a),
        "b": _about(b),
        "least_ms": least_ms,
        "cells": [{"cell": _pair_name(x, y), "rows": list(_rows(x, y, least_ms))} for x, y in pairs],
        "only_in_a": [name_of(c) for c in cells_a.values() if id(c) not in paired],
        "only_in_b": [name_of(c) for c in cells_b.values() if id(c) not in paired],
        "differs": list(_differs(a, b)),
    }


def verdicts(comparison: Mapping[str, Any]) -> dict[str, int]:
    """How many rows are better, worse …"""
    counts: dict[str, int] = {}
    for cell in comparison["cells"]:
        for row in cell["rows"]:
            counts[row["verdict"]] = counts.get(row["verdict"], 0) + 1
    return counts


def _about(document: Mapping[str, Any]) -> Document:
    return {key: document.get(key, "") for key in ("when", "commit", "profile", "scripted")}


def _pair_name(x: Mapping[str, Any], y: Mapping[str, Any]) -> str:
    return name_of(x) if key_of(x) == key_of(y) else f"{name_of(x)} against {name_of(y)}"


def _differs(a: Mapping[str, Any], b: Mapping[str, Any]) -> Iterator[str]:
    """What else is not the same, so that a difference may not be the code's."""
    for key in ("cpu", "cores", "gpu", "memory_gb"):
        if a["machine"].get(key) != b["machine"].get(key):
            yield f"machine {key}: {a['machine'].get(key)} and {b['machine'].get(key)}"
    for key in ("profile", "scripted"):
        if a.get(key) != b.get(key):
            yield f"{key}: {a.get(key)} and {b.get(key)}"
    workers = [d.get("stack", {}).get("workers") for d in (a, b)]
    if workers[0] != workers[1] and None not in workers:
        yield f"orchestrator workers: {workers[0]} and {workers[1]}"
    for service in sorted(set(a["models"]) & set(b["models"])):
        names = [_models(d["models"][service]) for d in (a, b)]
        if names[0] != names[1]:
            yield f"{service}: {names[0]} and {names[1]}"


def _models(described: Any) -> str:
    if not isinstance(described, Mapping):
        return str(described)
    names = ", ".join(str(m.get("name", "")) for m in described.get("models", []) if isinstance(m, Mapping))
    return f"{described.get('engine', '')} {names} on {described.get('device', '')}"


def _rows(x: Mapping[str, Any], y: Mapping[str, Any], least_ms: float) -> Iterator[Document]:
    stages = [s for s in REPORTED_STAGES if s in x["values"] or s in y["values"]]
    for stage in [*stages, *sorted((set(x["values"]) | set(y["values"])) - set(stages))]:
        yield from _stage_rows(stage, _groups(x["values"], stage), _groups(y["values"], stage), least_ms)
    for outcome in _WRONG:
        row = _share_row(outcome, _flags(x, outcome), _flags(y, outcome))
        if row["a"] or row["b"]:
            yield row
    yield _plain_row("dropped frames", x["dropped_frames"], y["dropped_frames"])
    for process in [p for p in x["processes"] if p in y["processes"]]:
        before, after = (cell["processes"][process]["cpu_s_per_call_minute"] for cell in (x, y))
        yield _plain_row(f"CPU of {process}", before, after, unit="s per call-minute")


def _stage_rows(
    stage: str, a: Sequence[Sequence[float]], b: Sequence[Sequence[float]], least_ms: float
) -> Iterator[Document]:
    flat_a, flat_b = ([v for call in groups for v in call] for groups in (a, b))
    intervals = percentile_differences(a, b, _PERCENTS)
    for percent, interval in zip(_PERCENTS, intervals, strict=True):
        at = [round(float(np.percentile(v, percent)), 1) if v else None for v in (flat_a, flat_b)]
        difference = round(at[1] - at[0], 1) if at[0] is not None and at[1] is not None else None
        yield {
            "what": f"{stage} P{percent}",
            "unit": "ms",
            "n_a": len(flat_a),
            "n_b": len(flat_b),
            "a": at[0],
            "b": at[1],
            "difference": difference,
            "interval": interval.to_json() if interval else None,
            "verdict": _verdict(difference, interval, least_ms),
        }


def _share_row(outcome: str, a: Sequence[Sequence[float]], b: Sequence[Sequence[float]]) -> Document:
    counts = [(sum(map(len, groups)), sum(map(sum, groups))) for groups in (a, b)]
    shares = [round(hits / n, 4) if n else None for n, hits in counts]
    interval = mean_difference(a, b)
    difference = round(shares[1] - shares[0], 4) if shares[0] is not None and shares[1] is not None else None
    return {
        "what": f"turns {outcome}",
        "unit": "share",
        "n_a": counts[0][0],
        "n_b": counts[1][0],
        "a": shares[0],
        "b": shares[1],
        "difference": difference,
        "interval": interval.to_json() if interval else None,
        "verdict": _verdict(difference, interval, _LEAST_SHARE),
    }


def _plain_row(what: str, a: float, b: float, unit: str = "") -> Document:
    """A figure that was seen once: no interval, so no verdict."""
    return {
        "what": what,
        "unit": unit,
        "n_a": 1,
        "n_b": 1,
        "a": a,
        "b": b,
        "difference": round(b - a, 3),
        "interval": None,
        "verdict": "seen once",
    }


def _verdict(difference: float | None, interval: Interval | None, least: float) -> str:
    if difference is None or interval is None:
        return "too few"
    if not interval.excludes(0) or abs(difference) < least:
        return "no difference"
    return "worse" if difference > 0 else "better"


def _groups(values: Mapping[str, Mapping[str, Sequence[float]]], stage: str) -> list[Sequence[float]]:
    return list(values.get(stage, {}).values())


def _flags(cell: Mapping[str, Any], outcome: str) -> list[list[float]]:
    by_call: dict[int, list[float]] = {}
    for turn in cell["turns"]:
        by_call.setdefault(turn["call"], []).append(float(turn["outcome"] == outcome))
    return list(by_call.values())
