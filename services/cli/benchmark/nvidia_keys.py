"""Our stage names beside the keys of NVIDIA's published voice-agent benchmark, where they mean the same thing.

Source: NVIDIA-AI-Blueprints/nemotron-voice-agent, docs/04-evaluation-and-performance.md (the published table: means in
seconds for 1 to 64 parallel streams on four B200) and benchmarking_tools/scaling-perf/README.md (the keys of the tool),
as read in November 2026.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

SOURCE = (
    "NVIDIA-AI-Blueprints/nemotron-voice-agent on GitHub, docs/04-evaluation-and-performance.md (table) and "
    "benchmarking_tools/scaling-perf/README.md (keys), read in November 2026"
)


@dataclass(frozen=True, slots=True)
class Key:
    """`published`: their mean over 1 to 64 streams, seconds; None where their table does not have it."""

    ours: str
    theirs: str
    column: str
    published: float | None
    difference: str


KEYS: tuple[Key, ...] = (
    Key(
        "voice_to_voice",
        "server_e2e",
        "Server E2E Latency",
        0.89,
        "theirs is what the server reports from user stop to first bot speech; ours is heard by the caller",
    ),
    Key("asr_final", "asr_ttfb", "ASR TTFB", 0.49, "both up to the final text"),
    Key("llm_ttft", "llm_ttft", "LLM TTFT", 0.16, "the same"),
    Key("tts_ttfa", "tts_ttfb", "TTS TTFB", 0.08, "the same: the first audio of the first text"),
    Key("endpoint", "vad_smart_turn", "not published", None, "time of voice detection and turn model"),
    Key("dropped frames", "audio glitch", "not published", None, "theirs: the player's buffer ran dry"),
)


def key_rows(cell: Mapping[str, Any]) -> list[list[str]]:
    """Rows for a table: ours, theirs, their column, our mean in this cell (s), their mean (s), what differs."""
    rows = []
    for key in KEYS:
        theirs = "" if key.published is None else f"{key.published:.2f}"
        rows.append([key.ours, key.theirs, key.column, _mean(cell, key.ours), theirs, key.difference])
    return rows


def _mean(cell: Mapping[str, Any], stage: str) -> str:
    values: Sequence[float] = [v for call in cell["values"].get(stage, {}).values() for v in call]
    return f"{sum(values) / len(values) / 1000:.2f}" if values else ""
