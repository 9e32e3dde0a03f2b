"""The report of a run as one HTML page: gates, trends, and each failed conversation: what was expected, what came."""

import json
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from services.cli.benchmark.page import page, table

_STYLE = """<style>.talk{border-left:3px solid var(--line);padding-left:.8rem;margin:.6rem 0;font-size:.95rem}
.talk p{margin:.2rem 0}.talk .who{color:var(--soft);display:inline-block;min-width:3.6rem}
.talk code{font-size:.8rem;color:var(--soft)}</style>"""


def render(document: Mapping[str, Any]) -> str:
    """A whole page of a result."""
    bundle = document["bundle"]
    verdict = "all gates hold" if document["ok"] else "a gate failed"
    body = [
        _STYLE,
        f"<h1>{escape(bundle['agent'])} {escape(bundle['version'])}: {verdict}</h1>",
        f'<p class="lead {"good" if document["ok"] else "bad"}">{document["conversations"]} conversations, '
        f"{document['failed_count']} with a finding.</p>",
        f'<p class="note">{escape(_how(document))}</p>',
        "<h2>Gates</h2>",
        table(["gate", "value", "must be"], _gates(document["gates"])),
        "<h2>Trends</h2>",
        table(["what", "value"], _trends(document["trends"])),
        "<h2>Entities</h2>",
        table(["locale", "type", "n", "accuracy"], _entities(document["trends"]["entities"]), text=(0, 1)),
        "<h2>Scenarios</h2>",
        table(["scenario", "runs", "passed"], _scenarios(document["scenarios"])),
        "<h2>What happened in the books</h2>",
        table(["what", "count"], _counts(document)),
        f"<h2>Failed conversations ({document['failed_count']})</h2>",
    ]
    body += [_failed(one) for one in document["failed"]]
    if not document["failed"]:
        body.append('<p class="good">None.</p>')
    return page(f"Evals of {bundle['agent']} {bundle['version']}", body)


def _how(document: Mapping[str, Any]) -> str:
    machine = document.get("machine", {})
    return (
        f"Level {document['level']}, understanding {document['model']}, "
        # Calls are played without a seed and without faults beside the scenarios' own.
        f"seed {document.get('seed', 'none')}, faults {'on' if document.get('faults') else 'as scenarios say'}, "
        f"{document['wall_s']:.0f} s, "
        f"commit {document.get('commit', '')}, {machine.get('cpu', '')}, digest {document['bundle']['digest'][:12]}."
    )


def _gates(gates: Mapping[str, float]) -> list[list[str]]:
    return [[name, f"{value:g}", "1" if name == "end_state_match" else "0"] for name, value in gates.items()]


def _trends(trends: Mapping[str, Any]) -> list[list[str]]:
    success, clarification = trends["task_success"], trends["clarification"]
    turns, escalation = trends["turns_to_goal"], trends["escalation"]
    return [
        ["task success", f"{_percent(success['share'])} of {success['conversations']}"],
        ["task success in every run of a scenario", _percent(success["always"])],
        ["clarifications asked", str(clarification["asked"])],
        ["of these needed (precision): misheard, or ambiguous as said", _percent(clarification["precision"])],
        ["misheard turns caught (recall): asked, not taken, or read back", _percent(clarification["recall"])],
        ["turns to the goal, median and P95", f"{turns['median']}, {turns['p95']} (n {turns['n']})"],
        ["asked for a person, got one", f"{escalation['asked_for']}, {escalation['given']}"],
        ["turns until the person, median", str(escalation["turns"]["median"])],
        ["handed over unasked", f"{escalation['unasked']} {json.dumps(escalation['reasons'])}"],
    ]


def _entities(entities: Mapping[str, Mapping[str, Any]]) -> list[list[str]]:
    return [
        [locale, kind, str(row["n"]), _percent(row["accuracy"])]
        for locale, kinds in entities.items()
        for kind, row in kinds.items()
    ]


def _scenarios(scenarios: Mapping[str, Mapping[str, int]]) -> list[list[str]]:
    return [[name, str(row["runs"]), str(row["passed"])] for name, row in scenarios.items()]


def _counts(document: Mapping[str, Any]) -> list[list[str]]:
    rows = []
    for title in ("acts_in_the_books", "faults_met", "planted_by_the_scripted_proposer"):
        rows += [[f"{title.replace('_', ' ')}: {name}", str(count)] for name, count in document[title].items()]
    return rows


def _failed(one: Mapping[str, Any]) -> str:
    found = "".join(
        f"<li><b>{escape(gate)}</b>: {escape(sentence)}</li>"
        for gate, sentences in one["findings"].items()
        for sentence in sentences
    )
    both = table(
        ["", "expected", "came"],
        [[key, _short(one["expected"].get(key)), _short(one["came"].get(key))] for key in _keys(one)],
        text=(0, 1, 2),
        wrap=2,
    )
    talk = "".join(_line(line) for line in one["transcript"])
    ended = one["ended"]
    return (
        f"<details><summary>{escape(one['name'])}, run {one['run']}</summary><ul>{found}</ul>{both}"
        f'<div class="talk">{talk}</div><p class="note">Ended: {escape(ended["how"])} {escape(ended["reason"])} '
        f"{escape(ended['route'])} after {ended['turns']} turns. {escape(_planted(one['planted']))}</p></details>"
    )


def _keys(one: Mapping[str, Any]) -> list[str]:
    return list(dict.fromkeys([*one["expected"], *one["came"]]))


def _line(line: Mapping[str, Any]) -> str:
    text = escape(str(line["text"]) or (f"keys {line['keys']}" if line.get("keys") else "…"))
    beside = []
    if "heard" in line:
        beside.append(f"heard “{line['heard']}” ({line['confidence']})")
    if line.get("cut"):
        beside.append("cut off")
    if line.get("prompt"):
        beside.append(line["prompt"])
    beside += line.get("notes", [])
    return f'<p><span class="who">{line["who"]}</span>{text} <code>{escape("; ".join(beside))}</code></p>'


def _planted(names: Sequence[str]) -> str:
    return f"Put in by the scripted proposer: {', '.join(names)}." if names else ""


def _short(value: Any) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)


def _percent(share: float | None) -> str:
    return "n/a" if share is None else f"{100 * share:.1f} %"
