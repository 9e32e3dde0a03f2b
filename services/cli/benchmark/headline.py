"""The first sentences of a report: what was run, what came out, whether the targets are met. Pure; returns HTML."""

from collections.abc import Iterator, Mapping, Sequence
from html import escape
from typing import Any

from services.cli.benchmark.documents import TRANSPORT_NAMES, key_of, name_of
from services.cli.benchmark.slo import verdict_of

Cell = Mapping[str, Any]
# Above this an answer reads as a problem, whatever the targets say.
_NEVER_ABOVE_MS = 800.0


def title(document: Mapping[str, Any], cells: Sequence[Cell]) -> str:
    """Of the page."""
    models = "scripted models" if document["scripted"] else "real models"
    if not cells:
        return f"Voice agent benchmark, {models}"
    return f"Voice agent benchmark: {_load(cells)}, {models}"


def headline(document: Mapping[str, Any], cells: Sequence[Cell]) -> Iterator[str]:
    """Sentences, HTML."""
    if not cells:
        return
    turns = sum(sum(cell["outcomes"].values()) for cell in cells)
    answered = sum(cell["outcomes"].get("answered", 0) for cell in cells)
    machine = document["machine"]
    run = f"{_load(cells)}, {turns:,} turns of recorded human speech on a machine with {machine['cores']} cores"
    run += " and no GPU" if machine["gpu"] == "none" else f" and {machine['gpu']}"
    yield escape(f"{run[0].upper()}{run[1:]}: {answered:,} were answered. ") + _result(document, cells)
    yield _verdict(document)


def reply_limit_ms(document: Mapping[str, Any]) -> tuple[float, str]:
    """The line in the plots: the P95 target of voice to voice, else what is never good."""
    for row in (document.get("targets") or {}).get("rows", []):
        if row["what"] == "voice_to_voice P95":
            return float(row["expected"].split()[2]), "target for P95"
    return _NEVER_ABOVE_MS, f"{_NEVER_ABOVE_MS:.0f} ms: reads as a problem"


def _load(cells: Sequence[Cell]) -> str:
    keys = [key_of(cell) for cell in cells]
    transports = " and ".join(TRANSPORT_NAMES.get(t, t) for t in dict.fromkeys(transport for transport, _, _ in keys))
    calls = sorted({count for _, _, count in keys})
    load = f"{calls[0]}" if len(calls) == 1 else f"{calls[0]} to {calls[-1]}"
    word = "call" if calls[-1] == 1 else "calls at once"
    scripts = list(dict.fromkeys(script for _, script, _ in keys))
    said = "" if scripts == ["plain"] else f" ({', '.join(scripts)})"
    return f"{load} {transports} {word}{said}"


def _result(document: Mapping[str, Any], cells: Sequence[Cell]) -> str:
    if len(cells) == 1:
        row = cells[0]["stages"]["voice_to_voice"]
        if not row["n"]:
            return "No turn could be measured."
        return (
            f"Half of the answers were heard within <b>{row['p50_ms']:.0f} ms</b> of the caller's last word, "
            f"95 % within <b>{row['p95_ms']:.0f} ms</b>."
        )
    limit_ms, _ = reply_limit_ms(document)
    reached = []
    for transport in dict.fromkeys(key_of(cell)[0] for cell in cells):
        most = _most_within([c for c in cells if key_of(c)[0] == transport and key_of(c)[1] == "plain"], limit_ms)
        if most:
            reached.append(f"{most} {TRANSPORT_NAMES.get(transport, transport)} call{'s' if most > 1 else ''}")
    refused = [name_of(cell) for cell in cells if cell.get("stopped")]
    said = f"95 % of the answers were heard within {limit_ms:.0f} ms up to <b>{escape(' and '.join(reached))}</b>. "
    if not reached:
        said = ""
        if any(key_of(cell)[1] == "plain" for cell in cells):
            said = f"In no plain cell were 95 % of the answers heard within {limit_ms:.0f} ms. "
    return said + (f"Calls were refused at {escape('; '.join(refused))}." if refused else "")


def _most_within(cells: Sequence[Cell], limit_ms: float) -> int:
    """The most calls at which P95 is within the limit, and was at every smaller load."""
    most = 0
    for cell in sorted(cells, key=lambda c: key_of(c)[2]):
        p95 = cell["stages"]["voice_to_voice"]["p95_ms"]
        if p95 is None or p95 > limit_ms or cell.get("stopped"):
            break
        most = key_of(cell)[2]
    return most


def _verdict(document: Mapping[str, Any]) -> str:
    targets = document.get("targets")
    if not targets:
        return "No targets were given (<code>--slo FILE</code>)."
    name = escape(targets["title"])
    missed = [row for row in targets["rows"] if verdict_of(row) == "missed"]
    unproven = sum(verdict_of(row) == "unproven" for row in targets["rows"])
    total = len(targets["rows"])
    if not targets["rows"]:
        return f"The targets “{name}” are for other loads than these: nothing was judged."
    few = f" {unproven} of {total} were kept in too few turns to be believed: unproven." if unproven else ""
    if missed:
        worst = "; ".join(f"{row['what']} {row['got']}, {row['expected']}" for row in missed[:3])
        return (
            f'<span class="bad">{len(missed)} of {total} targets of “{name}” are missed: {escape(worst)}.{few}</span>'
        )
    if unproven:
        return f'<span class="few">None of the {total} targets of “{name}” is missed.{few}</span>'
    return f'<span class="good">All {total} targets of “{name}” are met.</span>'
