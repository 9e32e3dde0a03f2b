"""How each orchestrator worker did its part of a cell's load, and how many workers a stack has.

A call's id names the worker that had it: the rows are of what the callers heard, not of what a worker says of itself.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from services.cli.api import Api
from services.cli.benchmark.result import CallResult, Values, figures, overhead
from services.cli.declared import Declared
from services.cli.up import RunningStack
from services.orchestrator.node import worker_name, worker_of

Row = dict[str, Any]


def worker_rows(
    calls: Sequence[CallResult],
    workers: Sequence[int],
    declared: Declared | None,
    processes: Mapping[str, Mapping[str, float]],
) -> list[Row]:
    """A row per worker, by number (`workers`; empty: one process, number 0).

    Its turns (all, and those answered), voice to voice and overhead as heard, CPU seconds (in all, and per minute of
    its own calls; None where its process could not be seen). `worker` None: calls that were not taken, or whose id is
    unknown.
    """
    found: dict[int | None, list[CallResult]] = {worker: [] for worker in workers or (0,)}
    for call in calls:
        # One process that does everything numbers nobody: what stands there in its ids is chance.
        number = worker_of(call.call_id) if workers else 0
        found.setdefault(number if number in found else None, []).append(call)
    order = sorted(found, key=lambda worker: (worker is None, worker or 0))
    return [_row(worker, found[worker], declared, processes) for worker in order]


def _row(
    worker: int | None,
    calls: Sequence[CallResult],
    declared: Declared | None,
    processes: Mapping[str, Mapping[str, float]],
) -> Row:
    heard: Values = {
        call.index: [
            round(t.voice_to_voice_ms, 1) for t in call.turns if t.voice_to_voice_ms is not None and t.answer_ns
        ]
        for call in calls
    }
    minutes = sum(call.minutes for call in calls)
    name = "" if worker is None else worker_name(worker)
    cpu_s = processes.get(name, {}).get("cpu_s")
    return {
        "worker": worker,
        "process": name,
        "calls": len(calls),
        "minutes": round(minutes, 2),
        "turns": sum(len(call.turns) for call in calls),
        "answered": sum(turn.outcome == "answered" for call in calls for turn in call.turns),
        "voice_to_voice": figures(heard),
        "overhead": overhead(heard, declared),
        "cpu_s": cpu_s,
        "cpu_s_per_call_minute": None if cpu_s is None or not minutes else round(cpu_s / minutes, 3),
    }


async def as_it_runs(stack: RunningStack) -> RunningStack:
    """The stack with the number of workers that it has, whatever the settings here say; asked where it is not ours."""
    if stack.ours:
        return stack
    async with Api(stack.launch.settings) as api:
        workers = await api.workers()
    return replace(stack, launch=stack.launch.with_overrides(f"orchestrator.workers={workers}"))
