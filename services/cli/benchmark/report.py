"""A benchmark as one HTML page for a stranger: no script, no foreign asset, plots as SVG, turns to hear. Pure."""

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from services.cli.benchmark import bootstrap
from services.cli.benchmark.documents import TRANSPORT_NAMES, cells_of, key_of, name_of
from services.cli.benchmark.excerpts import Excerpt
from services.cli.benchmark.headline import headline, reply_limit_ms, title
from services.cli.benchmark.nvidia_keys import SOURCE, key_rows
from services.cli.benchmark.page import cards, number, page, plot, table, with_interval
from services.cli.benchmark.plots import LoadLine, LoadPoint, Series, cdf_svg, load_svg
from services.cli.benchmark.scripts import MEANING
from services.cli.benchmark.slo import verdict_of
from services.cli.benchmark.turn_pictures import listening, waterfalls
from services.cli.benchmark.worker_table import worker_table

Cell = Mapping[str, Any]
STAGE_MEANING = {
    "vad_onset": "the caller began to speak → it was known",
    "endpoint": "the caller stopped → the turn was decided to be over",
    "asr_final": "the caller stopped → the final text was there",
    "understand": "words → acts of the dialogue (begun before the turn is over, as a rule)",
    "tool": "a back end was asked → it answered",
    "llm_ttft": "the language model was asked → its first token",
    "llm_first_clause": "first token → first clause to speak",
    "tts_ttfa": "first clause → first audio of it",
    "playout": "first audio ready (and allowed) → first packet",
    "voice_to_voice": "the caller stopped → the agent was heard",
    "barge_in_stop": "the caller interrupted → the agent was last heard",
}
# A table of more targets than this shows those that were met only when asked.
_FEW_ROWS = 8
_OUTCOMES = {
    "answered": "the agent answered after the caller's last word",
    "unanswered": "no answer before the caller went on",
    "cut_off": "the agent began while the caller was still speaking",
    "talked_over": "the agent did not stop for an interruption",
    "caller_late": "our own caller was late (busy machine): says nothing about the stack, has no figures",
    "held": "the agent waited through the pause",
    "false_cut_off": "the agent spoke into the pause or over the rest",
    "stopped_and_answered": "the agent stopped and answered what was said",
    "agent_was_silent": "the agent was not speaking at that moment: not counted",
    "went_on": "no silence beyond a natural pause",
    "resumed": "fell silent and went on with the same answer within 1.5 s",
    "answered_instead": "gave up its answer and said something else",
    "stopped": "gave up its answer and said nothing",
}


def render(document: Mapping[str, Any], excerpts: Sequence[Excerpt] = ()) -> str:
    """The page. `excerpts`: the turns to listen to, worst first."""
    cells = cells_of(document)
    body = [f"<h1>{escape(title(document, cells))}</h1>", _where(document)]
    body += [f'<p class="lead">{sentence}</p>' for sentence in headline(document, cells)]
    if not cells:
        return page("Trunkline benchmark", [*body, '<p class="note">Nothing was measured.</p>'])
    body += [_cards(cells), _targets(document), _loads(document, cells), _situations(cells)]
    body += [waterfalls(cells), listening(excerpts)]
    body += ["<h2>Every cell</h2>" if len(cells) > 1 else "", *(_cell(c, len(cells) == 1) for c in cells)]
    body += [_models(document["models"]), _nvidia(cells), _method(document, cells)]
    return page(f"Trunkline: {title(document, cells)}", [part for part in body if part])


def _where(document: Mapping[str, Any]) -> str:
    machine = document["machine"]
    models = "scripted models (fixed, declared answer times)" if document["scripted"] else "real models"
    said = (
        f"{models}, profile {document['profile']} · {machine['cpu']}, {machine['cores']} cores, "
        f"{machine['memory_gb']} GB, GPU: {machine['gpu']} · version {document['commit']} · {document['when']}"
    )
    workers = document.get("stack", {}).get("workers", 1)
    if workers > 1:
        said += f" · {workers} orchestrator workers"
    partial = "" if document.get("complete", True) else " <b>The run is not complete: more cells were planned.</b>"
    not_run = "".join(f"<li>{escape(r['cell'])}: {escape(r['why'])}</li>" for r in document.get("not_run", []))
    return f'<p class="note">{escape(said)}.{partial}</p>' + (f"<ul>{not_run}</ul>" if not_run else "")


def _cards(cells: Sequence[Cell]) -> str:
    """Of one cell: its figures. A sweep has its table instead."""
    if len(cells) > 1:
        return ""
    (cell,) = cells
    v2v, stop, outcomes = cell["stages"]["voice_to_voice"], cell["stages"]["barge_in_stop"], cell["outcomes"]
    items = [
        ("answer heard after, half of the turns", f"{number(v2v['p50_ms'])} ms"),
        ("answer heard after, 95 % of the turns", f"{number(v2v['p95_ms'])} ms"),
    ]
    if cell["overhead"] is not None:
        items.append(("of which our own, 95 %", f"{number(cell['overhead']['p95_ms'])} ms"))
    if stop["n"]:
        items.append(("silent after an interruption, 95 %", f"{number(stop['p95_ms'])} ms"))
    items.append(("turns answered", f"{outcomes.get('answered', 0)} of {sum(outcomes.values())}"))
    items.append(("dropped 20 ms frames", str(cell["dropped_frames"])))
    return cards(items)


def _targets(document: Mapping[str, Any]) -> str:
    targets = document.get("targets")
    if not targets or not targets["rows"]:
        return ""
    rows = {word: [row for row in targets["rows"] if verdict_of(row) == word] for word in ("missed", "unproven", "met")}
    met = rows["met"]
    parts = [f"<h2>Targets: {escape(targets['title'])}</h2>"]
    parts += [_target_rows(rows[word], word, style) for word, style in (("missed", "bad"), ("unproven", "few"))]
    if met and len(targets["rows"]) > _FEW_ROWS:
        parts.append(f"<details><summary>{len(met)} met</summary>{_target_rows(met, 'met', 'good')}</details>")
    elif met:
        parts.append(_target_rows(met, "met", "good"))
    return "".join(parts)


def _target_rows(rows: Sequence[Mapping[str, Any]], word: str, style: str) -> str:
    if not rows:
        return ""
    cells = [[word, r["cell"], r["what"], r["expected"], r["got"], str(r["n"]), r["note"]] for r in rows]
    shown = table(["", "cell", "what", "target", "got (95 % interval)", "n", ""], cells, text=(0, 1, 2, 3, 4, 6))
    return shown.replace(f'<td class="t">{word}</td>', f'<td class="t {style}">{word}</td>')


def _loads(document: Mapping[str, Any], cells: Sequence[Cell]) -> str:
    """The table of all cells, and the plots of scripts that ran at more than one load."""
    if len(cells) == 1:
        return ""
    parts = ["<h2>Latency against the number of calls</h2>"]
    scripts = list(dict.fromkeys(key_of(cell)[1] for cell in cells))
    for script in scripts:
        lines = _load_lines([cell for cell in cells if key_of(cell)[1] == script])
        if max((len(line.points) for line in lines), default=0) > 1:
            parts.append(f"<h3>{escape(script)}: {escape(MEANING.get(script, ''))}</h3>" if len(scripts) > 1 else "")
            parts.append(plot(load_svg(lines, reply_limit_ms(document), "ms")))
    parts.append(
        "<p class=\"note\">Voice to voice: from the end of the caller's speech as sent to the agent's first speech as "
        "received. P50: half of the turns were faster; P95: 95 % were. Bars and brackets are 95 % intervals.</p>"
    )
    parts.append(_cell_table(cells))
    return "".join(parts)


def _load_lines(cells: Sequence[Cell]) -> list[LoadLine]:
    lines = []
    for colour, transport in enumerate(dict.fromkeys(key_of(cell)[0] for cell in cells)):
        for percent in ("p50", "p95"):
            rows = [(key_of(c)[2], c["stages"]["voice_to_voice"]) for c in cells if key_of(c)[0] == transport]
            points = [
                LoadPoint(calls, row[f"{percent}_ms"], *(row.get(f"{percent}_ci_ms") or (None, None)))
                for calls, row in rows
                if row["n"]
            ]
            name = f"{TRANSPORT_NAMES.get(transport, transport)} {percent.upper()}"
            lines.append(LoadLine(name, points, colour, dashed=percent == "p95"))
    return lines


def _cell_table(cells: Sequence[Cell]) -> str:
    scripted = any(cell["overhead"] for cell in cells)
    head = ["cell", "n", "P50 ms", "P95 ms", "P99 ms"] + (["overhead P95"] if scripted else [])
    head += ["barge-in stop P95", "wrong turns", "dropped frames", "stack CPU s per call-minute", ""]
    rows = []
    for cell in cells:
        v2v, turns = cell["stages"]["voice_to_voice"], sum(cell["outcomes"].values())
        wrong = sum(count for name, count in cell["outcomes"].items() if name not in ("answered", "caller_late"))
        cpu = sum(p["cpu_s_per_call_minute"] for name, p in cell["processes"].items() if not name.startswith("caller"))
        row = [name_of(cell), str(v2v["n"]), *(with_interval(v2v, p) for p in ("p50", "p95", "p99"))]
        row += [with_interval(cell["overhead"], "p95")] if scripted else []
        row += [with_interval(cell["stages"]["barge_in_stop"], "p95"), f"{wrong} of {turns}"]
        rows.append([*row, str(cell["dropped_frames"]), f"{cpu:.1f}", _stopped(cell)])
    return table(head, rows, text=(0, len(head) - 1), wrap=len(head) - 1)


def _stopped(cell: Cell) -> str:
    return f"stopped early: {cell['stopped']}" if cell.get("stopped") else ""


def _situations(cells: Sequence[Cell]) -> str:
    """Pauses, interruptions, coughs …: how each went, by name."""
    rows, seen = [], dict.fromkeys(["answered"])
    for cell in cells:
        for kind, row in cell.get("situations", {}).items():
            for outcome, count in row["outcomes"].items():
                seen[outcome] = None
                share = f"{100 * count / row['n']:.0f} %"
                rows.append([name_of(cell), kind, _words(outcome), f"{count} of {row['n']}", share])
            if row.get("hole", {}).get("n"):
                hole = row["hole"]
                figures = f"P50 {with_interval(hole, 'p50')}, P95 {with_interval(hole, 'p95')} ms"
                rows.append([name_of(cell), kind, "longest silence where it went on", f"n {hole['n']}", figures])
    if not rows:
        return ""
    scripts = dict.fromkeys(key_of(cell)[1] for cell in cells)
    told = "".join(f"<li><b>{escape(s)}</b>: {escape(MEANING.get(s, ''))}</li>" for s in scripts)
    words = "".join(f"<li><b>{escape(_words(o))}</b>: {escape(_OUTCOMES[o])}</li>" for o in seen if o in _OUTCOMES)
    return (
        "<h2>What people do, and how the agent took it</h2>"
        + table(["cell", "the caller's", "outcome", "count", "share"], rows, text=(0, 1, 2))
        + f"<details><summary>What the words mean</summary><ul>{told}{words}</ul></details>"
    )


def _words(outcome: str) -> str:
    return outcome.replace("_", " ")


def _cell(cell: Cell, alone: bool) -> str:
    outcomes = ", ".join(f"{count} {_words(name)}" for name, count in cell["outcomes"].items()) or "none"
    agree = cell["agreement"]["voice_to_voice"]
    share = "no pairs" if agree["share_within"] is None else f"{agree['share_within']:.0%}"
    lost = cell["cell"].get("caller_packets_lost")
    calls = cell["calls"]
    facts = [
        f"Turns: {outcomes}. Calls: {calls['started']} started, {calls['failed']} failed, {calls['refused']} refused; "
        f"{calls['minutes']} call-minutes. Packets of the agent lost: {cell['lost_packets']}."
        + (f" Packets of the callers lost on purpose: {lost:.1%}." if lost is not None else ""),
        f"Heard and reported voice to voice of the same turn differ by at most {agree['within_ms']:.0f} ms in {share} "
        f"(n {agree['n']}, median difference {number(agree['median_ms'])} ms).",
        *(f"Failed: {error}" for error in calls["errors"]),
        *([f"Stopped early: {cell['stopped']}."] if cell.get("stopped") else []),
    ]
    inner = "".join(
        (
            _stages(cell),
            "<h3>Distribution</h3>",
            '<p class="note">Share of turns (vertical) that took at most so many ms (horizontal).</p>',
            plot(cdf_svg(_series(cell), "ms")),
            _workers(cell),
            "<h3>Processes</h3>",
            _processes(cell["processes"]),
            "<ul>" + "".join(f"<li>{escape(line)}</li>" for line in facts) + "</ul>",
        )
    )
    if alone:
        return f"<h2>Stages</h2>{inner}"
    return f"<details><summary>{escape(name_of(cell))}</summary>{inner}</details>"


def _stages(cell: Cell) -> str:
    heard, rows = cell["method"]["from_audio"], []
    for name, row in cell["stages"].items():
        rows.append([name, STAGE_MEANING.get(name, ""), "heard" if name in heard else "reported", *_percentiles(row)])
    for name, row in cell["stages_reported"].items():
        rows.append([name, "the same, as the stack reports it", "reported", *_percentiles(row)])
    if (over := cell["overhead"]) is not None:
        what = f"voice to voice minus {over['declared']['total_ms']:.0f} ms declared by the scripted models"
        rows.append(["overhead", what, "heard", *_percentiles(over)])
    note = '<p class="note">In brackets the 95 % interval. Read n beside a high percentile.</p>'
    head = ["stage", "from → to", "source", "n", "P50 ms", "P95 ms", "P99 ms"]
    return table(head, rows, text=(0, 1, 2), wrap=1) + note


def _percentiles(row: Mapping[str, Any]) -> list[str]:
    return [str(row["n"]), *(with_interval(row, percent) for percent in ("p50", "p95", "p99"))]


def _series(cell: Cell) -> list[Series]:
    values = {stage: sorted(v for call in by_call.values() for v in call) for stage, by_call in cell["values"].items()}
    order = sorted((s for s in values if values[s]), key=lambda s: s != "voice_to_voice")
    return [Series(stage, values[stage], i % 9, bold=i == 0) for i, stage in enumerate(order)]


def _workers(cell: Cell) -> str:
    head, rows = worker_table(cell, with_interval)
    if not rows:
        return ""
    note = (
        '<p class="note">Each call belongs to one worker: turns and times are of the calls it had. '
        "“Not known”: calls that no worker took, or whose id could not be asked for.</p>"
    )
    return "<h3>Workers</h3>" + table(head, rows) + note


def _processes(processes: Mapping[str, Mapping[str, float]]) -> str:
    rows = [[n, f"{p['cpu_s_per_call_minute']:.2f}", f"{p['rss_mb']:.0f}"] for n, p in processes.items()]
    return table(["process", "CPU s per call-minute", "RSS MB"], rows)


def _models(models: Mapping[str, Any]) -> str:
    rows = []
    for service, described in models.items():
        if not isinstance(described, Mapping):
            continue
        names = ", ".join(str(m.get("name", "")) for m in described.get("models", []) if isinstance(m, Mapping))
        engine = f"{described.get('engine', '')} {described.get('engine_version', '')}"
        rows.append([service, engine, names, str(described.get("device", ""))])
    return "<h2>Models</h2>" + table(["service", "engine", "models", "device"], rows, text=(0, 1, 2, 3))


def _nvidia(cells: Sequence[Cell]) -> str:
    head = ["here", "NVIDIA's key", "their column", "mean here, s", "their mean, s", "what differs"]
    return (
        "<h2>The same things under NVIDIA's names</h2>"
        '<p class="note">So that nobody compares unlike things. Their figures are means in seconds over 1 to 64 '
        "streams on four B200 GPUs with other models: a place to find the words, not a race. "
        f"Means here: {escape(name_of(cells[0]))}. Source: {escape(SOURCE)}.</p>"
        + table(head, key_rows(cells[0]), text=(0, 1, 2, 5), wrap=5)
    )


def _method(document: Mapping[str, Any], cells: Sequence[Cell]) -> str:
    request, first = document["request"], cells[0]
    lines = [
        "Real calls with recorded human speech, placed by callers of our own on the same machine: SIP by a second "
        "telephony process, WebRTC by an aiortc peer. Voice to voice and barge-in stop are measured in the audio: from "
        "the last sample of speech in what was sent to the first speech in what came back. Nothing of them comes from "
        "the stack's own telemetry; the other stages do.",
        "The stages overlap: recognition, language model and speech synthesis work while the agent still waits whether "
        "the caller goes on. The sum of the stages is more than voice to voice.",
        f"Open loop: start times are drawn beforehand (seed {request['seed']}) and wait for nothing. "
        f"{request['warmup']} warm-up calls are not counted. In plain talk every "
        f"{request['barge_in_every']}th turn interrupts the agent after {request['interrupt_after_ms']} ms (0: none).",
        f"Percentiles: {first['method']['percentiles']}. Intervals: {bootstrap.METHOD}. With n below some hundred the "
        "upper end of a P99 is the largest value seen.",
        "A dropped frame is 20 ms of silence between two loud edges in the agent's speech, or audio that never came.",
        "Packets are lost by a UDP relay between the SIP callers and the stack, and for WebRTC between the caller's "
        "RTP and SRTP: in the caller's direction only, independently of each other, by seed.",
        "Coughs are modelled sounds, not recordings; backchannels are words of the stack's own voice (with scripted "
        "models a hummed mhm).",
    ]
    if (over := first["overhead"]) is not None:
        parts = ", ".join(f"{name} {value:.0f}" for name, value in over["declared"]["parts_ms"].items())
        buffers = ", ".join(f"{name} {value:.0f}" for name, value in over["declared"]["known_buffers_ms"].items())
        lines.append(
            f"Declared, ms: {parts}; path {over['declared']['path']}. Known buffers, not subtracted: {buffers}."
        )
    return "<h2>Method</h2><ul>" + "".join(f"<li>{escape(line)}</li>" for line in lines) + "</ul>"
