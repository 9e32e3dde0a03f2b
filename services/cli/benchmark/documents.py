"""Benchmark files: one cell as itself, several under `cells`; files of the first schema are read too. Pure but for I/O.

{"benchmark": "trunkline-voice-to-voice/2", "when", "commit", "profile", "scripted", "machine", "models", "request": …,
 "stack": {"started", "workers", "workers_asked"}, "complete": true, "targets": … or null, "not_run": [{"cell", "why"}],
 "cells": [{"cell": {"transport", "calls", "script", …}, "stages", "outcomes", "turns", "values",
            "workers": [{"worker", "turns", "voice_to_voice", "cpu_s", …}, …], …}, …]}
"""

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from services.cli.benchmark.bootstrap import percentile_intervals
from services.cli.benchmark.result import PERCENTS, SCHEMA
from services.common.errors import InvalidInputError

_FIRST = "trunkline-voice-to-voice/1"
_FAMILY = "trunkline-voice-to-voice/"
Document = dict[str, Any]
TRANSPORT_NAMES = {"sip": "SIP", "webrtc": "WebRTC"}
# What the file has once, whatever the number of cells.
_COMMON = ("benchmark", "when", "commit", "profile", "scripted", "request", "machine", "models", "stack")
_ABOUT_THE_RUN = ("complete", "targets", "not_run")


def join(facts: Mapping[str, Any], cells: Sequence[Mapping[str, Any]], *, planned: int) -> Document:
    """The file of these cells; `planned`: how many it shall have. One cell alone is written as itself."""
    head: Document = {**facts, "benchmark": SCHEMA, "complete": len(cells) == planned, "targets": None}
    return {**head, **cells[0]} if planned == 1 and cells else {**head, "cells": list(cells)}


def cells_of(document: Mapping[str, Any]) -> list[Document]:
    """The cells, whichever way the file has them."""
    if "cells" in document:
        return list(document["cells"])
    return [{key: value for key, value in document.items() if key not in (*_COMMON, *_ABOUT_THE_RUN)}]


def key_of(cell: Mapping[str, Any]) -> tuple[str, str, int]:
    """What two cells must share to be comparable: transport, script, calls."""
    about = cell["cell"]
    return str(about["transport"]), str(about["script"]), int(about["calls"])


def name_of(cell: Mapping[str, Any]) -> str:
    """ "16 SIP calls, plain"."""
    transport, script, calls = key_of(cell)
    return load_name(transport, calls, script)


def load_name(transport: str, calls: int, script: str) -> str:
    """ "16 SIP calls, plain"."""
    return f"{calls} {TRANSPORT_NAMES.get(transport, transport)} call{'s' if calls > 1 else ''}, {script}"


def save(path: Path, document: Mapping[str, Any]) -> None:
    """Replaces the file in one step: a run that is killed leaves the last whole one."""
    temporary = path.with_name(path.name + ".part")
    temporary.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    os.replace(temporary, path)


def load(path: Path) -> Document:
    """A benchmark file of any schema, as this version writes it. Raises InvalidInputError saying what to do."""
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InvalidInputError(
            str(path), expected="a file written by trunkline bench --out", got=type(error).__name__
        ) from error
    schema = document.get("benchmark", "") if isinstance(document, dict) else ""
    if schema == SCHEMA:
        return dict(document)
    if schema == _FIRST:
        return _from_first(document)
    if str(schema).startswith(_FAMILY):
        raise InvalidInputError(
            str(path),
            expected=f"schema {SCHEMA} or {_FIRST}",
            got=str(schema),
            remedy="Read it with the newer version.",
        )
    raise InvalidInputError(
        str(path),
        expected="a file written by trunkline bench --out",
        got="another kind of JSON",
        remedy="Name the JSON file of a benchmark, not its page.",
    )


def _from_first(old: Mapping[str, Any]) -> Document:
    """The first schema kept per call only what belonged to a whole turn: intervals are of those values."""
    request, values = old["request"], _values(old)
    stages = {name: _with_intervals(row, values.get(name, {})) for name, row in old["stages"].items()}
    over = old.get("overhead")
    return {
        **old,
        "benchmark": SCHEMA,
        "complete": True,
        "targets": None,
        "not_run": [],
        "cell": {
            "transport": request["transport"],
            "calls": request["calls"],
            "script": "plain",
            "turns_per_call": request["turns"],
            "codecs": request.get("codecs", []),
            "callers_preferred": request.get("callers_preferred", False),
        },
        "stopped": "",
        "stages": stages,
        "overhead": {**_with_intervals(over, {}), "p99_ms": over.get("p99_ms")} if over else None,
        "situations": {},
        "calls": {"refused": 0, **old["calls"]},
        "turns": [{"speech_ms": None, "timeline": {}, **turn} for turn in old["turns"]],
        "values": values,
    }


def _values(old: Mapping[str, Any]) -> dict[str, dict[str, list[float]]]:
    values: dict[str, dict[str, list[float]]] = {}
    for turn in old["turns"]:
        own = {k: v for k, v in turn["reported"].items() if k not in ("voice_to_voice", "barge_in_stop")}
        heard = {"voice_to_voice": turn["voice_to_voice_ms"], "barge_in_stop": turn["barge_in_stop_ms"]}
        if not turn["barge_in"]:
            heard["barge_in_stop"] = None
        for stage, ms in {**own, **heard}.items():
            if ms is not None:
                values.setdefault(stage, {}).setdefault(str(turn["call"]), []).append(ms)
    return values


def _with_intervals(row: Mapping[str, Any], by_call: Mapping[str, Sequence[float]]) -> Document:
    intervals = percentile_intervals(list(by_call.values()), PERCENTS)
    return {**row, **{f"p{p}_ci_ms": i.to_json() if i else None for p, i in zip(PERCENTS, intervals, strict=True)}}
