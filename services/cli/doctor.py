"""`trunkline doctor`: what this machine lacks for the chosen profile, and how to get it. Changes nothing."""

import json
from collections.abc import Iterable

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from services.cli.doctor_checks import Finding, check_all
from services.cli.stack import Launch
from services.cli.terminal import EXIT_FAILED
from services.common.clock import Clock

_MARKS = {"ok": ("ok", "green"), "note": ("note", "yellow"), "missing": ("missing", "bold red")}


async def doctor(launch: Launch, clock: Clock, as_json: bool) -> int:
    """Print every finding. Returns 1 when something needed is missing, else 0."""
    findings = await check_all(launch, clock)
    missing = [f for f in findings if f.state == "missing"]
    if as_json:
        typer.echo(json.dumps({"ok": not missing, "profile": launch.settings.profile, "checks": to_json(findings)}))
        return EXIT_FAILED if missing else 0
    console = Console()
    console.print(_table(findings))
    if missing:
        console.print(f"{len(missing)} missing for profile {launch.settings.profile}. To do:", style="bold red")
        for finding in missing:
            console.print(f"  {finding.name}: {finding.remedy}", markup=False, highlight=False, soft_wrap=True)
    else:
        console.print(f"Nothing is missing for profile {launch.settings.profile}.", style="green")
    return EXIT_FAILED if missing else 0


def to_json(findings: Iterable[Finding]) -> list[dict[str, str]]:
    """As printed under `--json`."""
    return [{"name": f.name, "state": f.state, "found": f.found, "remedy": f.remedy} for f in findings]


def _table(findings: Iterable[Finding]) -> Table:
    table = Table(box=None, pad_edge=False)
    for column in ("check", "", "found"):
        table.add_column(column, overflow="fold")
    for finding in findings:
        word, style = _MARKS[finding.state]
        said = finding.found + (f". {finding.remedy}" if finding.remedy and finding.state == "note" else "")
        table.add_row(Text(finding.name), Text(word, style=style), Text(said))
    return table
