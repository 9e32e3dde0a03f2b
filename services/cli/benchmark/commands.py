"""`trunkline bench`: its arguments and those of its sub-commands; the work is in the modules beside it."""

from pathlib import Path
from typing import Annotated

import typer

from services.cli.options import AsJson, Config, Models, Profile, Sets, load_launch
from services.cli.terminal import run
from services.common.clock import SystemClock

app = typer.Typer(invoke_without_command=True, rich_markup_mode="markdown", pretty_exceptions_enable=False)


@app.callback()
def bench(
    context: typer.Context,
    out: Annotated[Path | None, typer.Option(help="The JSON file to write.")] = None,
    transport: Annotated[str, typer.Option(help="sip or webrtc")] = "sip",
    calls: Annotated[int, typer.Option(help="Calls at once.")] = 1,
    turns: Annotated[int, typer.Option(help="Turns per call.")] = 10,
    html: Annotated[Path | None, typer.Option(help="Also a report for people, in one file.")] = None,
    models: Models = "real",
    warmup: Annotated[int, typer.Option(help="Calls of one turn beforehand, not counted.")] = 1,
    seed: Annotated[int, typer.Option(help="Of the start times.")] = 1,
    barge_in_every: Annotated[int, typer.Option(help="Every K-th turn interrupts the agent; 0: none.")] = 5,
    codec: Annotated[str, typer.Option(help="SIP: codecs that the callers offer.")] = "pcmu",
    record: Annotated[Path | None, typer.Option(help="Folder for a two-channel WAV of every call.")] = None,
    profile: Profile = None,
    config: Config = None,
    sets: Sets = None,
    as_json: AsJson = False,
) -> None:
    """Put N real calls on the stack and say P50, P95 and P99 per stage, heard in the audio itself.

    Uses the stack that runs at the settings' address, or starts one and stops it afterwards. Callers speak recorded
    human speech and take turns; calls begin at times fixed beforehand. Exit status 1 when a call failed.

    Examples:

    `trunkline bench --calls 1 --turns 50 --out now.json --html now.html`

    `trunkline bench --models scripted --calls 25 --turns 8 --out overhead.json`: our own overhead alone.
    """
    if context.invoked_subcommand is not None:
        return
    if out is None:
        raise typer.BadParameter("name the JSON file to write, e.g. --out now.json", ctx=context, param_hint="--out")
    from services.cli.bench import BenchRequest
    from services.cli.bench import bench as run_bench

    launch = load_launch(config, profile, sets, models, as_json)
    request = BenchRequest(transport, calls, turns, out, html, warmup, seed, barge_in_every, codec=codec, record=record)
    run(lambda interrupts: run_bench(request, launch, SystemClock(), interrupts, as_json), as_json=as_json)
