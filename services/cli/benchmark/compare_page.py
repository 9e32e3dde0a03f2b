"""A comparison of two benchmarks as a page: what changed, by how much, how sure that is. Pure."""

from collections.abc import Mapping
from html import escape
from typing import Any

from services.cli.benchmark import bootstrap
from services.cli.benchmark.compare import verdicts
from services.cli.benchmark.page import page, table
from services.cli.benchmark.show import difference_text, value_text

_HEAD = ["what", "n A", "n B", "A", "B", "B − A", "95 % interval", "verdict"]


def render_comparison(comparison: Mapping[str, Any]) -> str:
    """One file, no script."""
    counts = verdicts(comparison)
    said = f"{counts.get('worse', 0)} figures became worse, {counts.get('better', 0)} better"
    a, b = comparison["a"], comparison["b"]
    body = [
        f"<h1>{escape(said)}</h1>",
        f'<p class="note">A: {escape(str(a["commit"]))}, {escape(str(a["when"]))}. '
        f"B: {escape(str(b['commit']))}, {escape(str(b['when']))}.</p>",
    ]
    if comparison["differs"]:
        body.append('<p class="bad">Not the same in both, so a difference may not be the code\'s:</p>')
        body.append("<ul>" + "".join(f"<li>{escape(d)}</li>" for d in comparison["differs"]) + "</ul>")
    for cell in comparison["cells"]:
        body += [f"<h2>{escape(cell['cell'])}</h2>", _rows(cell)]
    for label, names in (("Only in A", comparison["only_in_a"]), ("Only in B", comparison["only_in_b"])):
        if names:
            body.append(f"<p>{label}: {escape('; '.join(names))}.</p>")
    body.append(
        f'<p class="note">A row is better or worse when the interval of the difference excludes zero and the '
        f"difference is at least {comparison['least_ms']:g} ms. One row in twenty does so by chance: believe several "
        f"that agree. Intervals: {escape(bootstrap.METHOD)}. A figure seen once has no interval and no verdict.</p>"
    )
    return page("Trunkline: two benchmarks", body)


def _rows(cell: Mapping[str, Any]) -> str:
    rows = []
    for row in cell["rows"]:
        counts = ["" if row["verdict"] == "seen once" else str(row[key]) for key in ("n_a", "n_b")]
        unit = f", {row['unit']}" if row["unit"] and row["unit"] != "share" else ""
        values = [value_text(row[key], row["unit"]) for key in ("a", "b")]
        rows.append([row["what"] + unit, *counts, *values, *difference_text(row), row["verdict"]])
    shown = table(_HEAD, rows, text=(0, 7))
    for word, style in (("better", "good"), ("worse", "bad")):
        shown = shown.replace(f'<td class="t">{word}</td>', f'<td class="t {style}">{word}</td>')
    return shown
