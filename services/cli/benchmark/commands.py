"""`trunkline bench`: its arguments and those of its sub-commands; the work is in the modules beside it."""

import json
from collections import Counter
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from services.cli.options import AsJson, Config, Models, Profile, Sets, load_launch
from services.cli.terminal import EXIT_FAILED, fail, run
from services.common.clock import SystemClock
from services.common.errors import InvalidInputError, TrunklineError

app = typer.Typer(
    invoke_without_command=True,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
_LOAD, _CALLERS, _OUTPUT = "How much load", "What the callers do", "What comes out"
_A = Annotated[Path, typer.Argument(metavar="A.json", help="Before: a file of trunkline bench --out.")]
_B = Annotated[Path, typer.Argument(metavar="B.json", help="After.")]


@app.callback()
def bench(
    context: typer.Context,
    out: Annotated[
        Path | None, typer.Option(help="The JSON file to write; saved as each cell ends.", rich_help_panel=_OUTPUT)
    ] = None,
    html: Annotated[
        Path | None, typer.Option(help="Also a report for people, in one file.", rich_help_panel=_OUTPUT)
    ] = None,
    slo: Annotated[
        Path | None,
        typer.Option(help="Targets to judge (TOML); else those shipped for the profile.", rich_help_panel=_OUTPUT),
    ] = None,
    record: Annotated[
        Path | None, typer.Option(help="Folder for a two-channel WAV of every call.", rich_help_panel=_OUTPUT)
    ] = None,
    as_json: AsJson = False,
    calls: Annotated[
        str,
        typer.Option(
            "--calls", "--sweep", metavar="N[,N…]", help="Calls at once; several make a sweep.", rich_help_panel=_LOAD
        ),
    ] = "1",
    transport: Annotated[str, typer.Option(help="sip, webrtc or sip,webrtc", rich_help_panel=_LOAD)] = "sip",
    workers: Annotated[
        int | None,
        typer.Option(
            min=1,
            max=64,
            help="Orchestrator processes of the stack that is started; a running one keeps what it has.",
            rich_help_panel=_LOAD,
        ),
    ] = None,
    turns: Annotated[
        int | None, typer.Option(help="Turns per call, instead of --turns-per-cell.", rich_help_panel=_LOAD)
    ] = None,
    turns_per_cell: Annotated[
        int, typer.Option(help="Turns of all calls of a cell together, at least 3 a call.", rich_help_panel=_LOAD)
    ] = 200,
    warmup: Annotated[int, typer.Option(help="Calls of one turn beforehand, not counted.", rich_help_panel=_LOAD)] = 1,
    seed: Annotated[int, typer.Option(help="Of start times, pauses, noise, loss.", rich_help_panel=_LOAD)] = 1,
    script: Annotated[
        str,
        typer.Option(
            metavar="NAME[,NAME…]",
            help="plain, pauses, interruptions, coughs, backchannels, noise, loss, mixed; or all.",
            rich_help_panel=_CALLERS,
        ),
    ] = "plain",
    barge_in_every: Annotated[
        int, typer.Option(help="plain: every K-th turn interrupts the agent; 0: none.", rich_help_panel=_CALLERS)
    ] = 5,
    noise: Annotated[
        str, typer.Option(help="noise, mixed: pink or babble (six voices).", rich_help_panel=_CALLERS)
    ] = "babble",
    snr: Annotated[float, typer.Option(help="noise, mixed: voice above noise, dB.", rich_help_panel=_CALLERS)] = 15.0,
    loss: Annotated[
        float, typer.Option(help="loss: percent of the callers' packets that never arrive.", rich_help_panel=_CALLERS)
    ] = 3.0,
    codec: Annotated[str, typer.Option(help="SIP: codecs that the callers offer.", rich_help_panel=_CALLERS)] = "pcmu",
    models: Models = "real",
    profile: Profile = None,
    config: Config = None,
    sets: Sets = None,
) -> None:
    """Put N real calls on the stack and say P50, P95 and P99 per stage, heard in the audio itself.

    Uses the stack that runs at the settings' address, or starts one and stops it afterwards. Callers speak recorded
    human speech and take turns; calls begin at times fixed beforehand. Every combination of --transport, --script and
    --calls is a cell; a cell in which calls are refused stops there and says so. Exit status 1 when a call failed.

    Examples:

    `trunkline bench --calls 1 --out now.json --html now.html`: 200 turns with real models, and a report.

    `trunkline bench --sweep 1,2,4,8,16,32,64 --transport sip,webrtc --models scripted --out s.json --html s.html`:
    our own overhead alone, as it grows with the calls.

    `trunkline bench --calls 40 --workers 2 --models scripted --out two.json`: calls shared by two orchestrator
    processes, with the figures of each.

    `trunkline bench --script all --calls 4 --out people.json`: pauses, interruptions, coughs, noise, loss.
    """
    if context.invoked_subcommand is not None:
        return
    if out is None:
        raise typer.BadParameter("name the JSON file to write, e.g. --out now.json", ctx=context, param_hint="--out")
    from services.cli.benchmark.request import BenchRequest, parse_calls, parse_noise, parse_transports
    from services.cli.benchmark.run import bench as run_bench
    from services.cli.benchmark.scripts import PlainTalk, parse_scripts

    more = [f"orchestrator.workers={workers}"] if workers else []
    # What it measures includes what happens past capacity: a stack of its own refuses nobody unless told to.
    launch = load_launch(
        config, profile, ["orchestrator.admission.enabled=false", *(sets or []), *more], models, as_json
    )
    try:
        request = BenchRequest(
            transports=parse_transports(transport),
            calls=parse_calls(calls),
            out=out,
            scripts=tuple(parse_scripts(script)),
            turns=turns,
            turns_per_cell=turns_per_cell,
            html=html,
            slo=slo,
            warmup=warmup,
            seed=seed,
            talk=PlainTalk(barge_in_every),
            codec=codec,
            record=record,
            noise=parse_noise(noise),
            snr_db=snr,
            loss_percent=loss,
            workers=workers,
        )
    except TrunklineError as error:
        fail(error, as_json)
    run(lambda interrupts: run_bench(request, launch, SystemClock(), interrupts, as_json), as_json=as_json)


@app.command()
def compare(
    a: _A,
    b: _B,
    html: Annotated[Path | None, typer.Option(help="Also a page for people.")] = None,
    least_ms: Annotated[float, typer.Option(help="Smaller differences are none.")] = 5.0,
    as_json: AsJson = False,
) -> None:
    """Say what became better or worse from A to B, per cell and stage, with the 95 % interval of the difference.

    A row is better or worse when its interval excludes zero and the difference is at least --least-ms. One row in
    twenty does so by chance: believe several that agree. The exit status is 0 whatever is found; see `bench gate`.

    Example: `trunkline bench compare before.json after.json --html difference.html`
    """
    from services.cli.benchmark.compare import compare as compare_documents
    from services.cli.benchmark.compare_page import render_comparison
    from services.cli.benchmark.documents import load
    from services.cli.benchmark.show import compare_tables

    try:
        comparison = compare_documents(load(a), load(b), least_ms)
        if not comparison["cells"]:
            raise InvalidInputError(
                "cells",
                expected="at least one cell that both files have",
                got=f"{', '.join(comparison['only_in_a'])} and {', '.join(comparison['only_in_b'])}",
                remedy="Run both with the same --transport, --script and --calls.",
            )
        if html is not None:
            html.write_text(render_comparison(comparison), encoding="utf-8")
    except TrunklineError as error:
        fail(error, as_json)
    if as_json:
        typer.echo(json.dumps(comparison))
        return
    console = Console()
    for table in compare_tables(comparison):
        console.print(table)
    for label, cells in (("only in A", comparison["only_in_a"]), ("only in B", comparison["only_in_b"])):
        if cells:
            console.print(f"{label}: {'; '.join(cells)}", highlight=False)
    for difference in comparison["differs"]:
        console.print(f"not the same in both: {difference}", style="yellow", highlight=False)


@app.command()
def gate(
    result: Annotated[Path, typer.Argument(metavar="RESULT.json", help="A file of trunkline bench --out.")],
    slo: Annotated[Path, typer.Option(help="The targets (TOML).")],
    as_json: AsJson = False,
) -> None:
    """For CI: does a result meet the targets? Exit status 0 when every row is met, else 1.

    A row whose n is below its least_n is unproven, which fails like a miss; so does a result without any cell
    that the file judges.

    Example: `trunkline bench gate --slo benchmarks/slo/overhead.toml overhead.json`, where the file is

    ```
    title = "Overhead, 16 SIP calls"

    [where]
    calls = [16]
    transport = ["sip"]

    [[stage]]
    name = "overhead"
    p95_ms = 40
    least_n = 100

    [[stage]]
    name = "barge_in_stop"
    p95_ms = 200

    [counts]
    dropped_frames = 0
    failed_calls = 0
    cut_off_percent = 5

    [situation.cough]
    resumed_percent = 95
    ```
    """
    from services.cli.benchmark.documents import load
    from services.cli.benchmark.show import gate_table
    from services.cli.benchmark.slo import judge, load_slo, verdict_of

    try:
        targets = judge(load_slo(slo), load(result))
    except TrunklineError as error:
        fail(error, as_json)
    if as_json:
        typer.echo(json.dumps(targets))
    else:
        console = Console()
        console.print(gate_table(targets))
        found = Counter(map(verdict_of, targets["rows"]))
        short = ", ".join(f"{found[word]} {word}" for word in ("missed", "unproven") if found[word])
        verdict = "no cell to judge" if targets["met"] is None else short or "met"
        console.print(f"{targets['title']}: {verdict}", style="bold", highlight=False)
    raise typer.Exit(0 if targets["met"] else EXIT_FAILED)
