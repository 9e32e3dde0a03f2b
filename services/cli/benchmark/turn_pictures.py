"""Single turns in a report: the waterfall of a typical and of the slowest one, and the worst ten to listen to. Pure."""

import base64
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from services.cli.benchmark.documents import name_of
from services.cli.benchmark.excerpts import Excerpt
from services.cli.benchmark.page import plot
from services.cli.benchmark.plots import Bar, waterfall_svg

Cell = Mapping[str, Any]
Turn = Mapping[str, Any]
# What is shown, in order; the onset of the caller lies seconds before.
_ROWS = ("endpoint", "asr_final", "llm_ttft", "llm_first_clause", "tts_ttfa", "playout")
_SPOKEN_MS = 300.0
_WHY = {
    "slow": "slow",
    "typical": "a typical turn, for comparison",
    "unanswered": "not answered",
    "cut_off": "the agent spoke into the caller's turn",
    "talked_over": "the agent did not stop for the caller",
}
# A page with its sounds in it stays below 5 MB.
_MOST_SOUND_BYTES = 3_500_000


def waterfalls(cells: Sequence[Cell]) -> str:
    """A typical turn of the first cell, and the slowest of all."""
    shown = [(cell, turn) for cell in cells for turn in cell["turns"] if _drawable(turn)]
    if not shown:
        return ""
    first = [pair for pair in shown if pair[0] is shown[0][0]]
    by_time = sorted(first, key=lambda pair: pair[1]["voice_to_voice_ms"])
    typical = by_time[len(by_time) // 2]
    slowest = max(shown, key=lambda pair: pair[1]["voice_to_voice_ms"])
    return (
        "<h2>Where the time of a turn goes</h2>"
        '<p class="note">Zero is the end of the caller\'s speech. Each bar is a stage from its real start to its real '
        "end: what lies under another bar costs the caller nothing.</p>"
        f"<h3>A typical turn ({_which(*typical)})</h3>{plot(_waterfall(typical[1]))}"
        f"<h3>The slowest turn ({_which(*slowest)})</h3>{plot(_waterfall(slowest[1]))}"
    )


def listening(excerpts: Sequence[Excerpt]) -> str:
    """Worst first; left the caller, right the agent."""
    if not excerpts:
        return ""
    parts, used = [], 0
    for excerpt in excerpts:
        used += len(excerpt.wav)
        if used > _MOST_SOUND_BYTES:
            break
        parts.append(_heard(excerpt))
    return (
        "<h2>The worst turns, to listen to</h2>"
        '<p class="note">Left ear the caller as sent, right ear the agent as received.</p>' + "".join(parts)
    )


def _drawable(turn: Turn) -> bool:
    return turn["voice_to_voice_ms"] is not None and bool(turn.get("timeline"))


def _which(cell: Cell, turn: Turn) -> str:
    return escape(f"{name_of(cell)}: call {turn['call']}, turn {turn['turn']}, {turn['voice_to_voice_ms']:.0f} ms")


def _waterfall(turn: Turn) -> str:
    spoken = min(_SPOKEN_MS, turn["speech_ms"] or _SPOKEN_MS)
    bars = [Bar("caller speaks", -spoken, 0, 8)]
    for colour, stage in enumerate(_ROWS):
        if stage in turn["timeline"]:
            start, end = turn["timeline"][stage]
            bars.append(Bar(stage, start, end, colour % 8, f"{end - start:.0f}"))
    heard = turn["voice_to_voice_ms"]
    return waterfall_svg(bars, [(heard, f"heard after {heard:.0f} ms")], "ms")


def _heard(excerpt: Excerpt) -> str:
    cell = excerpt.cell
    said = f"{cell.name}: call {excerpt.call}, turn {excerpt.turn}"
    slow = "" if excerpt.wrong else f", answer after {excerpt.badness:.0f} ms"
    at = f"The caller's last word ends {excerpt.zero_ms / 1000:.1f} s into it."
    sound = base64.b64encode(excerpt.wav).decode("ascii")
    return (
        f'<div class="turn"><b>{escape(_WHY.get(excerpt.why, excerpt.why))}</b> · {escape(said)}{slow}. {escape(at)}'
        f'<br><audio controls preload="none" src="data:audio/wav;base64,{sound}"></audio></div>'
    )
