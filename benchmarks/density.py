"""Calls per core: what Trunkline itself costs, with models that cost nothing (`--models scripted`).

    python -m benchmarks.density --transport sip --calls 4,8,16,25 --out density.json [--turns 3]

Runs `trunkline bench` for each number of calls on the stack that is up, or on one of its own, and answers twice:

by CPU       60 / (CPU seconds per call-minute of the processes that every call passes through: orchestrator, and for
             SIP the telephony worker). It says how many calls one core of those processes' work can carry; the model
             services (here scripted) and the callers are not in it, and stand beside it.
by latency   the most calls with overhead P95 of at most 40 ms and no dropped frame, on this machine as it is: stack,
             scripted models and callers on the same cores. Divided by all of its cores it is a lower bound.

A figure by CPU alone would hide queueing; one by latency alone would count our own callers as Trunkline.
"""

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from services.cli.benchmark.documents import cells_of, load, save

MOST_OVERHEAD_MS = 40.0
# Every call's audio passes through these.
PATH = {"sip": ("orchestrator", "telephony", "front"), "webrtc": ("orchestrator", "front")}
Cell = Mapping[str, Any]


def measure(transport: str, calls: int, turns: int) -> dict[str, Any]:
    """One run of the benchmark. Exits with its message when it did not work."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "cell.json"
        command = ["trunkline", "bench", "--models", "scripted", "--transport", transport, "--barge-in-every", "0"]
        command += ["--calls", str(calls), "--turns", str(turns), "--out", str(out)]
        done = subprocess.run(command, stdout=subprocess.DEVNULL, check=False)
        if not out.exists():
            sys.exit(f"trunkline bench wrote nothing (exit status {done.returncode}).")
        document = load(out)
    return {**cells_of(document)[0], "machine": document["machine"], "commit": document["commit"]}


def judge(transport: str, calls: int, cell: Cell) -> dict[str, Any]:
    """The line of one cell: costs by process, overhead, and whether it keeps the promise."""
    cpu = {name: float(use["cpu_s_per_call_minute"]) for name, use in cell["processes"].items()}
    on_path = sum(cost for name, cost in cpu.items() if name.startswith(PATH[transport]))
    callers = sum(cost for name, cost in cpu.items() if name.startswith("caller"))
    over = cell["overhead"] or {"n": 0, "p50_ms": None, "p95_ms": None}
    p95_ms, dropped = over["p95_ms"], cell["dropped_frames"]
    return {
        "calls": calls,
        "overhead_n": over["n"],
        "overhead_p50_ms": over["p50_ms"],
        "overhead_p95_ms": p95_ms,
        "dropped_frames": dropped,
        "outcomes": cell["outcomes"],
        "kept": p95_ms is not None and p95_ms <= MOST_OVERHEAD_MS and dropped == 0,
        "cpu_s_per_call_minute": {name: round(cost, 3) for name, cost in cpu.items()},
        "path_cpu_s_per_call_minute": round(on_path, 3),
        "stack_cpu_s_per_call_minute": round(sum(cpu.values()) - callers, 3),
        "calls_per_core_by_cpu": round(60 / on_path, 1) if on_path else None,
    }


def summary(transport: str, rows: list[dict[str, Any]], cores: int) -> dict[str, Any]:
    """Both answers, from the cells there are."""
    kept = [row["calls"] for row in rows if row["kept"]]
    most = max(kept, default=0)
    # Costs are shared by more calls in the largest cell: that is the one density is about.
    largest = max(rows, key=lambda row: int(row["calls"]))
    return {
        "transport": transport,
        "cores": cores,
        "calls_per_core_by_cpu": largest["calls_per_core_by_cpu"],
        "measured_at_calls": largest["calls"],
        "most_calls_within_promise": most,
        "calls_per_core_by_latency": round(most / cores, 1),
        "promise": f"overhead P95 <= {MOST_OVERHEAD_MS:.0f} ms, no dropped frames, callers on the same cores",
    }


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--transport", choices=sorted(PATH), default="sip")
    parser.add_argument("--calls", default="4,8,16,25", help="numbers of calls, each a run of its own")
    parser.add_argument("--turns", type=int, default=3, help="turns per call")
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    rows: list[dict[str, Any]] = []
    facts: dict[str, Any] = {}
    for calls in (int(part) for part in args.calls.split(",")):
        cell = measure(args.transport, calls, args.turns)
        facts = {"machine": cell["machine"], "commit": cell["commit"]}
        row = judge(args.transport, calls, cell)
        rows.append(row)
        print(
            f"{calls:3} calls: {row['path_cpu_s_per_call_minute']:.2f} CPU s per call-minute on the path "
            f"({row['calls_per_core_by_cpu']} calls a core), overhead P50 {row['overhead_p50_ms']} P95 "
            f"{row['overhead_p95_ms']} ms (n={row['overhead_n']}), {row['dropped_frames']} dropped frames",
            flush=True,
        )
        answers = summary(args.transport, rows, int(facts["machine"]["cores"]))
        save(args.out, {"what": "density, scripted models", **facts, "summary": answers, "cells": rows})
    print(
        f"by CPU: {answers['calls_per_core_by_cpu']} calls a core; within the promise on this machine: "
        f"{answers['most_calls_within_promise']} calls on {answers['cores']} cores"
    )


if __name__ == "__main__":
    main()
