"""`trunkline eval …`: the arguments, what people see, and the exit status."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.progress import Progress as Bar
from rich.table import Table

from services.cli.options import AsJson, Config, Sets, load_launch
from services.cli.stack import Launch
from services.cli.terminal import EXIT_FAILED, Interrupts, StackView, run
from services.common.clock import SystemClock
from services.common.errors import InvalidInputError
from services.orchestrator.bundles.bundle import Bundle

if TYPE_CHECKING:
    from services.cli.evals.run import Wanted

Directory = Annotated[Path, typer.Argument(help="The bundle's directory, e.g. deploy/agents/bank-retail")]


def evals(
    directory: Directory,
    text: Annotated[bool, typer.Option("--text", help="The text level: words instead of audio, virtual time.")] = False,
    audio: Annotated[bool, typer.Option("--audio", help="The audio level: calls by SIP to the running stack.")] = False,
    faults: Annotated[
        bool, typer.Option("--faults", help="Also scenarios with back-end faults, and random ones.")
    ] = False,
    runs: Annotated[int, typer.Option(min=1, max=100, help="How often each scenario is played.")] = 1,
    seed: Annotated[int, typer.Option(help="The same seed plays the same conversations.")] = 0,
    conversations: Annotated[int, typer.Option(min=0, max=100_000, help="Seeded-random callers beside.")] = 0,
    only: Annotated[list[str] | None, typer.Option(help="Only this scenario or variety. Repeatable.")] = None,
    model: Annotated[str, typer.Option(help="Understanding: `scripted` (noisy on purpose) or `real`.")] = "scripted",
    html: Annotated[Path | None, typer.Option(help="Write a report to read and compare.")] = None,
    out: Annotated[Path | None, typer.Option(help="Write the result as JSON to this file.")] = None,
    config: Config = None,
    sets: Sets = None,
    as_json: AsJson = False,
) -> None:
    """Play conversations with simulated callers and judge what came of them. Exit status 1 when a gate fails.

    Gates come from the back end's books, the effect rows, what was said and the audit log, never from the runtime's own
    account: end state matches; no unauthorised, duplicate or unevidenced effect; nothing claimed that is not so.

    Examples: `trunkline eval deploy/agents/bank-retail`, `… --faults --conversations 1000 --html report.html`,
    `… --model real --runs 5`, `… --audio`: a handful of calls with the real models, ten minutes on two cores.
    """

    from services.cli.evals.run import Wanted

    launch = load_launch(config, None, sets, "real", as_json)

    async def main(interrupts: Interrupts) -> int:
        if text and audio:
            raise InvalidInputError("--audio", expected="one level", got="--text and --audio")
        if model not in ("scripted", "real"):
            raise InvalidInputError("--model", expected="scripted or real", got=repr(model))
        bundle = load(directory)
        wanted = Wanted(faults, runs, seed, conversations, tuple(only or ()))
        if audio:
            document = await _play_audio(bundle, directory, wanted, launch, interrupts)
        else:
            document = await _play(bundle, directory, wanted, model, launch, interrupts, as_json)
        write(document, html, out)
        if as_json:
            typer.echo(json.dumps(document, ensure_ascii=False))
        else:
            show(document)
        return 0 if document["ok"] else EXIT_FAILED

    run(main, as_json=as_json)


async def _play(
    bundle: Bundle,
    directory: Path,
    wanted: "Wanted",
    model: str,
    launch: Launch,
    interrupts: Interrupts,
    as_json: bool,
) -> dict[str, Any]:
    from services.cli.evals.real_model import ModelCalls, real
    from services.cli.evals.run import run_text
    from services.common.log import configure_logging
    from services.common.settings import LogSettings

    # What the runtime logs of faults that are meant is of no use to who reads the result.
    configure_logging(LogSettings(level="error"), "trunkline")
    scenarios = sum(1 for one in bundle.scenarios() if wanted.faults or not one.faults)
    clock = SystemClock()
    bar = Bar(console=Console(stderr=True), transient=True, disable=as_json)
    task = bar.add_task("conversations", total=wanted.conversations + wanted.runs * scenarios)
    if model == "scripted":
        with bar:
            return await run_text(bundle, directory, wanted, clock, progress=lambda _one, _number: bar.advance(task))
    calls = ModelCalls()
    async with real(bundle, launch, clock, interrupts, StackView(console=Console(stderr=True)), calls) as made:
        with bar:
            document = await run_text(
                bundle,
                directory,
                wanted,
                clock,
                model=model,
                understandings=made,
                progress=lambda _one, _number: bar.advance(task),
            )
    return {**document, "model_calls": {"asked": calls.asked, "failed": calls.failed}}


async def _play_audio(
    bundle: Bundle, directory: Path, wanted: "Wanted", launch: Launch, interrupts: Interrupts
) -> dict[str, Any]:
    from services.cli.evals.audio_level import run_audio
    from services.common.log import configure_logging
    from services.common.settings import LogSettings

    configure_logging(LogSettings(level="error"), "trunkline")
    console = Console(stderr=True)
    return await run_audio(
        bundle,
        directory,
        launch,
        SystemClock(),
        interrupts,
        runs=wanted.runs,
        only=wanted.only,
        view=StackView(console=console),
        progress=lambda name: console.print(f"calling: {name}", highlight=False),
    )


def load(directory: Path) -> Bundle:
    """The bundle, whole and with scenarios. Raises InvalidInputError."""
    from services.orchestrator.bundles.checks import validate_directory

    bundle, problems = validate_directory(directory)
    if bundle is None:
        raise InvalidInputError(
            str(directory), expected="a bundle that validates", got=f"{len(problems)} problems", remedy=str(problems[0])
        )
    if not bundle.scenarios():
        raise InvalidInputError(
            "evals", expected="scenarios named in agent.yaml", got="none", remedy="See docs/evals.md."
        )
    return bundle


def write(document: dict[str, Any], html: Path | None, out: Path | None) -> None:
    """The files that were asked for."""
    from services.cli.evals.page import render

    for path in filter(None, (out, html)):
        path.parent.mkdir(parents=True, exist_ok=True)
    if out is not None:
        out.write_text(json.dumps(document, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    if html is not None:
        html.write_text(render(document), encoding="utf-8")


def show(document: dict[str, Any]) -> None:
    """For people: gates, a few trends, what failed."""
    console = Console()
    table = Table(box=None, pad_edge=False)
    for column in ("gate", "value", ""):
        table.add_column(column)
    for name, value in document["gates"].items():
        good = value == 1.0 if name == "end_state_match" else value == 0
        table.add_row(name, f"{value:g}", "[green]holds[/]" if good else "[red]fails[/]")
    console.print(table)
    trends = document["trends"]
    success = trends["task_success"]["share"]
    share = "n/a" if success is None else f"{success:.1%}"
    console.print(
        f"{document['conversations']} conversations in {document['wall_s']:.0f} s. Task success {share}, "
        f"turns to the goal {trends['turns_to_goal']['median']} (median)."
    )
    if (calls := document.get("model_calls")) is not None:
        console.print(f"The model was asked {calls['asked']} times and did not answer {calls['failed']} times.")
    for one in document["failed"][:20]:
        for gate, sentences in one["findings"].items():
            console.print(f"[red]{one['name']}[/] {gate}: {sentences[0]}", soft_wrap=True)
    if document["failed_count"]:
        console.print(f"{document['failed_count']} conversations failed; --html FILE shows each word by word.")
