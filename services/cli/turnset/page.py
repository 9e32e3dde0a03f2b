"""The turn-taking figures as a page for people: the curve of the three systems, tables, definitions. Pure."""

from collections.abc import Mapping
from html import escape
from typing import Any

from services.cli.benchmark.page import page, plot
from services.cli.benchmark.share_plot import Line, lines_svg

NAMES = {"trunkline": "Trunkline", "vad_timeout": "VAD timeout", "predict_turn": "turn model alone"}
_COLOURS = {"trunkline": 0, "vad_timeout": 3, "predict_turn": 1}
_ROWS = (
    ("false_cutoff_at_300ms", "false cut-offs where the median wait is 300 ms"),
    ("wait_at_5pct_cutoffs_ms", "median wait where 5 % of pauses are cut off, ms"),
    ("false_cutoff_at_default", "false cut-offs at the defaults"),
    ("wait_p50_ms", "wait P50 at the defaults, ms"),
    ("wait_p95_ms", "wait P95 at the defaults, ms"),
    ("false_barge_in_resumed", "coughs, laughs, “mhm”, background, echo: the agent went on"),
    ("resume_correct", "of those that paused it: went on rightly"),
    ("missed_barge_in", "interruptions missed"),
)
# Longer waits are of no interest to a caller.
_WIDEST_MS = 1500.0


def render(document: Mapping[str, Any]) -> str:
    """The page."""
    systems, made = document["systems"], document["set"]
    lines = [
        Line(
            NAMES[name],
            [
                (point["median_wait_ms"], point["false_cutoff"])
                for point in sorted(systems[name]["curve"], key=lambda p: (p["median_wait_ms"], -p["false_cutoff"]))
                if point["median_wait_ms"] <= _WIDEST_MS
            ],
            _COLOURS[name],
            bold=name == "trunkline",
            dots=name == "predict_turn",
        )
        for name in systems
    ]
    body = [
        f"<h1>Turn-taking, {escape(document['half'])} half</h1>",
        f"<p class=note>{escape(document['when'])} · {escape(document['commit'])} · "
        f"{made['holds']} pauses, {made['shifts']} ends of turns, {made['barge_ins']} sounds while the agent speaks · "
        f"espeak-ng voices {'in' if made['espeak'] else 'not in'} the set</p>",
        "<p>How often a caller who only pauses is cut off (vertical), against how long a caller who has finished waits "
        "(horizontal, median). Left and low is better. Every point is one setting of the system's knob.</p>",
        plot(lines_svg(lines, "ms", ((300.0, "300 ms"),), 0.05)),
        "<h2>Figures</h2>",
        _figures(systems),
        *(_breakdown(document[key], title) for key, title in _BREAKDOWNS),
        "<h2>Method</h2>",
        "<p>Generated callers and recorded readers with known truth; the real turn-taker is driven in audio time with "
        "the real answers of voice detector, turn model and recogniser, which arrive after the declared times "
        f"({escape(', '.join(f'{k} {v}' for k, v in document['latencies_ms'].items()))}). 95 % intervals are "
        "bootstrapped over callers. Definitions: benchmarks/README.md.</p>",
    ]
    return page("Trunkline: turn-taking", body)


_BREAKDOWNS = (("by_kind", "By kind"), ("by_line", "By line and noise"), ("by_voice", "By voice"))


def _figures(systems: Mapping[str, Any]) -> str:
    head = "".join(f"<th>{escape(NAMES[name])}" for name in systems)
    rows = [
        f"<tr><td>{escape(label)}" + "".join(f"<td>{escape(_cell(key, system[key]))}" for system in systems.values())
        for key, label in _ROWS
    ]
    return f'<div class="wide"><table><tr><th>{head}{"".join(rows)}</table></div>'


def _breakdown(values: Mapping[str, Any], title: str) -> str:
    rows = [
        "<tr><th><th>pauses<th>ends<th>cut off<th>wait P50, ms<th>cut off, VAD timeout<th>cut off, turn model alone"
    ]
    for name, by_system in values.items():
        ours = by_system["trunkline"]
        others = "".join(f"<td>{_percent(by_system[s]['false_cutoff'])}" for s in ("vad_timeout", "predict_turn"))
        rows.append(
            f"<tr><td>{escape(name)}<td>{ours['n_holds']}<td>{ours['n_shifts']}<td>{_percent(ours['false_cutoff'])}"
            f"<td>{ours['wait_p50_ms']:.0f}{others}"
        )
    return f"<h2>{escape(title)}, at the defaults</h2><div class=wide><table>{''.join(rows)}</table></div>"


def _cell(key: str, figure: Mapping[str, Any]) -> str:
    value, (low, high) = figure["value"], figure["ci95"]
    if value is None:
        return "–"
    if key.startswith("wait"):
        return f"{value:.0f}" + (f" ({low:.0f} to {high:.0f})" if low is not None else "")
    return f"{value:.1%}" + (f" ({low:.1%} to {high:.1%})" if low is not None else "")


def _percent(value: float | None) -> str:
    return "–" if value is None else f"{value:.0%}"
