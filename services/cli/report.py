"""A benchmark as one HTML page that a stranger can read: no script, no external asset, plots as inline SVG. Pure."""

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from services.cli.plots import Series, cdf_svg, stacked_svg

_STYLE = """
:root{color-scheme:light dark}
body{font:15px/1.5 system-ui,sans-serif;max-width:64rem;margin:2rem auto;padding:0 1rem}
h1{font-size:1.6rem;margin-bottom:.2rem} h2{font-size:1.15rem;margin-top:2.2rem}
table{border-collapse:collapse;margin:.5rem 0} td,th{padding:.2rem .8rem .2rem 0;text-align:right;
font-variant-numeric:tabular-nums} td:first-child,th:first-child,td.t{text-align:left} th{border-bottom:1px solid #8888}
.cards{display:flex;flex-wrap:wrap;gap:1rem;margin:1rem 0} .card{border:1px solid #8886;border-radius:8px;
padding:.6rem 1rem;min-width:9rem} .card b{display:block;font-size:1.5rem} .note{color:#777;font-size:.9rem}
svg{width:100%;height:auto;max-width:64rem} svg text{font:12px system-ui,sans-serif;fill:currentColor}
"""
_MEANING = {
    "vad_onset": "the caller began to speak → it was known",
    "endpoint": "the caller stopped → the turn was decided to be over",
    "asr_final": "the caller stopped → the final text was there",
    "llm_ttft": "the language model was asked → its first token",
    "llm_first_clause": "first token → first clause to speak",
    "tts_ttfa": "first clause → first audio of it",
    "playout": "first audio ready (and allowed) → first packet",
    "voice_to_voice": "the caller stopped → the agent was heard",
    "barge_in_stop": "the caller interrupted → the agent was last heard",
}
# Parts of one turn that follow one another. What asr, llm and tts do under the endpoint wait is hidden in it.
_PARTS = (("endpoint", "#4e79a7"), ("reply still to come", "#f28e2b"), ("playout", "#59a14f"), ("transport", "#b07aa1"))
_COLOURS = ("#4e79a7", "#f28e2b", "#59a14f", "#e15759", "#b07aa1", "#9c755f", "#76b7b2", "#edc948", "#bab0ac")
_MOST_TURNS = 150


def render(document: Mapping[str, Any]) -> str:
    """The page."""
    request, machine = document["request"], document["machine"]
    title = f"{request['calls']} {request['transport'].upper()} calls, {request['turns']} turns each"
    kind = "scripted models: our own overhead" if document["scripted"] else f"profile {document['profile']}"
    body = [
        f"<h1>Trunkline benchmark: {escape(title)}</h1>",
        f"<p class=note>{escape(document['when'])} · {escape(document['commit'])} · {escape(kind)} · "
        f"{escape(str(machine['cpu']))}, {machine['cores']} cores, {machine['memory_gb']} GB, "
        f"GPU {escape(machine['gpu'])}</p>",
        "<p>Real calls with recorded human speech. <b>Voice to voice</b> is measured in the audio itself: from the end "
        "of the caller's speech as it was sent to the agent's first speech as it came back.</p>",
        _cards(document),
        "<h2>Stages</h2>",
        _stages(document),
        "<h2>Distribution</h2>",
        "<p class=note>Share of turns (vertical) that took at most so many ms (horizontal).</p>",
        cdf_svg(_series(document["turns"]), "ms"),
        "<h2>Where the time of each turn goes</h2>",
        "<p class=note>One bar per answered turn, in the order of the calls. Recognition, language model and speech "
        "synthesis run under the endpoint wait; only what is left of them after it makes the caller wait.</p>",
        stacked_svg(_bars(document["turns"]), _PARTS, "ms"),
        "<h2>Processes</h2>",
        _processes(document["processes"]),
        "<h2>Models</h2>",
        _models(document["models"]),
        "<h2>Method</h2>",
        _method(document),
    ]
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>Trunkline: {escape(title)}</title><style>{_STYLE}</style></head><body>\n"
        + "\n".join(body)
        + "\n</body></html>\n"
    )


def _cards(document: Mapping[str, Any]) -> str:
    stages = document["stages"]
    cards = [
        ("voice to voice P50", _ms(stages["voice_to_voice"]["p50_ms"])),
        ("voice to voice P95", _ms(stages["voice_to_voice"]["p95_ms"])),
        ("barge-in stop P95", _ms(stages["barge_in_stop"]["p95_ms"])),
        ("dropped frames", str(document["dropped_frames"])),
        ("turns answered", f"{document['outcomes'].get('answered', 0)} of {sum(document['outcomes'].values())}"),
    ]
    if document["overhead"] is not None:
        cards.insert(2, ("our overhead P95", _ms(document["overhead"]["p95_ms"])))
    made = (f"<div class=card>{escape(name)}<b>{escape(value)}</b></div>" for name, value in cards)
    return f"<div class=cards>{''.join(made)}</div>"


def _stages(document: Mapping[str, Any]) -> str:
    heard = document["method"]["from_audio"]
    rows = []
    for name, row in document["stages"].items():
        source = "heard" if name in heard else "reported"
        rows.append([name, _MEANING.get(name, ""), source, *_percentiles(row)])
    for name, row in document["stages_reported"].items():
        rows.append([f"{name}", "the same, as the stack reports it", "reported", *_percentiles(row)])
    if (over := document["overhead"]) is not None:
        what = f"voice to voice minus {over['declared']['total_ms']:.0f} ms declared by the scripted models"
        rows.append(["overhead", what, "heard", str(over["n"]), _number(over["p50_ms"]), _number(over["p95_ms"]), ""])
    return _table(["stage", "from → to", "source", "n", "P50 ms", "P95 ms", "P99 ms"], rows, text=3)


def _processes(processes: Mapping[str, Mapping[str, float]]) -> str:
    rows = [[n, f"{p['cpu_s_per_call_minute']:.2f}", f"{p['rss_mb']:.0f}"] for n, p in processes.items()]
    return _table(["process", "CPU s per call-minute", "RSS MB"], rows)


def _models(models: Mapping[str, Any]) -> str:
    rows = []
    for service, described in models.items():
        if not isinstance(described, Mapping):
            continue
        names = ", ".join(str(m.get("name", "")) for m in described.get("models", []) if isinstance(m, Mapping))
        engine = f"{described.get('engine', '')} {described.get('engine_version', '')}"
        rows.append([service, engine, names, str(described.get("device", ""))])
    return _table(["service", "engine", "models", "device"], rows, text=4)


def _method(document: Mapping[str, Any]) -> str:
    agree, request = document["agreement"]["voice_to_voice"], document["request"]
    share = "no pairs" if agree["share_within"] is None else f"{agree['share_within']:.0%}"
    lines = [
        f"Percentiles: {document['method']['percentiles']}. Read n beside a high percentile.",
        f"Start times are fixed beforehand (seed {request['seed']}), "
        f"{request['warmup']} warm-up calls are not counted; "
        f"every {request['barge_in_every']}th turn interrupts the agent after {request['interrupt_after_ms']} ms.",
        f"Heard and reported voice to voice of the same turn: {share} within {agree['within_ms']:.0f} ms "
        f"(n={agree['n']}, median difference {_number(agree['median_ms'])} ms).",
        f"Calls: {document['calls']['started']} started, {document['calls']['failed']} failed, "
        f"{document['calls']['minutes']} call-minutes. Outcomes of turns: "
        + ", ".join(f"{count} {name}" for name, count in document["outcomes"].items())
        + f". Lost packets: {document['lost_packets']}.",
    ]
    if (over := document["overhead"]) is not None:
        parts = ", ".join(f"{name} {value:.0f}" for name, value in over["declared"]["parts_ms"].items())
        buffers = ", ".join(f"{name} {value:.0f}" for name, value in over["declared"]["known_buffers_ms"].items())
        lines.append(
            f"Declared, ms: {parts}; path {over['declared']['path']}. Known buffers, not subtracted: {buffers}."
        )
    return "<ul>" + "".join(f"<li>{escape(line)}</li>" for line in lines) + "</ul>"


def _series(turns: Sequence[Mapping[str, Any]]) -> list[Series]:
    values: dict[str, list[float]] = {}
    for turn in turns:
        if turn["voice_to_voice_ms"] is not None:
            values.setdefault("voice_to_voice (heard)", []).append(turn["voice_to_voice_ms"])
        for stage, ms in turn["reported"].items():
            if stage not in ("voice_to_voice", "barge_in_stop"):
                values.setdefault(stage, []).append(ms)
    return [
        Series(name, sorted(v), _COLOURS[i % len(_COLOURS)], bold=i == 0)
        for i, (name, v) in enumerate(sorted(values.items(), key=lambda item: not item[0].startswith("voice")))
    ]


def _bars(turns: Sequence[Mapping[str, Any]]) -> list[tuple[str, list[float]]]:
    bars = []
    for turn in turns:
        heard, own = turn["voice_to_voice_ms"], turn["reported"]
        if heard is None or "endpoint" not in own or "voice_to_voice" not in own:
            continue
        playout = own.get("playout", 0.0)
        reply = max(0.0, own["voice_to_voice"] - own["endpoint"] - playout)
        transport = max(0.0, heard - own["voice_to_voice"])
        bars.append((f"call {turn['call']}, turn {turn['turn']}", [own["endpoint"], reply, playout, transport]))
    return bars[:_MOST_TURNS]


def _table(head: Sequence[str], rows: Sequence[Sequence[str]], text: int = 1) -> str:
    def cells(row: Sequence[str]) -> str:
        return "".join(f"<td{' class=t' if i < text else ''}>{escape(cell)}</td>" for i, cell in enumerate(row))

    top = "".join(f"<th{' style=text-align:left' if i < text else ''}>{escape(h)}</th>" for i, h in enumerate(head))
    return f"<table><tr>{top}</tr>{''.join(f'<tr>{cells(row)}</tr>' for row in rows)}</table>"


def _percentiles(row: Mapping[str, Any]) -> list[str]:
    return [str(row["n"]), *(_number(row[key]) for key in ("p50_ms", "p95_ms", "p99_ms"))]


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.0f}"


def _ms(value: float | None) -> str:
    return "–" if value is None else f"{value:.0f} ms"
