"""Benchmark documents with planted figures, made by the code that makes real ones."""

from typing import Any

import numpy as np

from services.cli.benchmark.documents import join
from services.cli.benchmark.result import BenchData, CallResult, cell_result
from services.cli.declared import declared
from services.cli.measure import TurnHeard
from services.cli.stack import SCRIPTED, Launch
from services.cli.stats import StageSample

MS = 1_000_000
FACTS: dict[str, Any] = {
    "when": "2026-11-22T12:00:00+00:00",
    "commit": "0.1.0 abc",
    "profile": "cpu",
    "scripted": True,
    "request": {"seed": 1, "warmup": 1, "barge_in_every": 5, "interrupt_after_ms": 900},
    "machine": {"cpu": "<b>CPU</b>", "cores": 2, "memory_gb": 8.0, "gpu": "none"},
    "models": {"asr": {"engine": "scripted", "models": [{"name": "scripted"}], "device": "none"}},
}
USE = {"vad": {"cpu_s_per_call_minute": 1.0, "cpu_s": 1.5, "rss_mb": 100.0}}
_STAGES = {"endpoint": 300.0, "asr_final": 250.0, "llm_ttft": 100.0, "tts_ttfa": 55.0, "playout": 20.0}


def about(transport: str = "sip", calls: int = 2, script: str = "plain") -> dict[str, Any]:
    cell = {"transport": transport, "calls": calls, "script": script, "turns_per_call": 3, "codecs": ["pcmu"]}
    return {"cell": cell, "stopped": ""}


def turn(number: int, v2v: float | None, at_ms: int = 0, stop: float | None = None, outcome="answered") -> TurnHeard:
    """`at_ms`: when it was answered; the caller spoke for two seconds."""
    answer = at_ms * MS if v2v is not None else None
    end = answer - int(v2v * MS) if answer is not None and v2v is not None else at_ms * MS
    return TurnHeard(number, stop is not None, outcome, end - 2000 * MS, end, answer, v2v, stop)


def sample(call: str, number: int, stage: str, ms: float, at_ms: float) -> StageSample:
    return StageSample(call, number, stage, ms, int(at_ms * MS))


def planted_cell(
    calls: int = 4,
    turns: int = 40,
    transport: str = "sip",
    script: str = "plain",
    extra: dict[str, float] | None = None,
    cut_off: float = 0.0,
    seed: int = 1,
) -> dict[str, Any]:
    """Log-normal stages whose sum is voice to voice; `extra` ms in a stage, `cut_off` the share of such turns."""
    rng, results, samples = np.random.default_rng(seed), [], []
    for number in range(1, calls + 1):
        call = CallResult(number, 0, 60_000 * MS, f"c{number}")
        for index in range(1, turns + 1):
            at_ms = index * 10_000.0
            took = {s: ms * float(np.exp(rng.normal(0, 0.08))) + (extra or {}).get(s, 0.0) for s, ms in _STAGES.items()}
            v2v = took["endpoint"] + took["llm_ttft"] + took["tts_ttfa"] + took["playout"]
            wrong = rng.random() < cut_off
            stop = 120.0 if index % 5 == 0 else None
            outcome = "cut_off" if wrong else "answered"
            call.turns.append(turn(index, None if wrong else v2v, int(at_ms), stop, outcome))
            samples += [sample(call.call_id, index, s, ms, at_ms - 20) for s, ms in took.items()]
            samples.append(sample(call.call_id, index, "voice_to_voice", v2v - 10, at_ms - 10))
        results.append(call)
    path = declared(Launch.load(None, "cpu", SCRIPTED).settings, 1)
    return cell_result(BenchData(results, samples, path), about(transport, calls, script), USE)


def document(*cells: dict[str, Any]) -> dict[str, Any]:
    return join(FACTS, cells, planned=len(cells))
