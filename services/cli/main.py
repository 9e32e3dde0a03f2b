"""The `trunkline` command. What each sub-command does is in a module of its own; here are only their arguments."""

from pathlib import Path
from typing import Annotated

import typer

from services import __version__
from services.cli import models
from services.cli.stack import SCRIPTED, Launch
from services.cli.terminal import fail, run
from services.common.clock import SystemClock
from services.common.errors import InvalidInputError, TrunklineError

app = typer.Typer(
    name="trunkline",
    no_args_is_help=True,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help=(
        "Self-hosted voice agents over SIP and WebRTC: every model on your own machine.\n\n"
        "First time: `trunkline doctor`, `trunkline models fetch`, then `trunkline up`.\n\n"
        "Exit status: 0 it worked; 1 it did not, and the last line says what to do; 2 wrong usage; 130 interrupted."
    ),
)
app.add_typer(models.app, name="models")

Profile = Annotated[str | None, typer.Option(help="Defaults for a kind of machine: cpu or nvidia.")]
Config = Annotated[Path | None, typer.Option(help="Settings file (TOML).")]
Sets = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="One setting, e.g. asr.threads=2. May be repeated."),
]
Models = Annotated[
    str, typer.Option(help="`real`, or `scripted`: declared fixed latencies, to measure our own overhead alone.")
]
AsJson = Annotated[bool, typer.Option("--json", help="For machines: JSON on standard output.")]


def main() -> None:
    """Entry point."""
    app()


def _launch(config: Path | None, profile: str | None, sets: list[str] | None, models_: str, as_json: bool) -> Launch:
    try:
        if models_ not in ("real", "scripted"):
            raise InvalidInputError("--models", expected="real or scripted", got=repr(models_))
        return Launch.load(config, profile, [*(SCRIPTED if models_ == "scripted" else ()), *(sets or [])])
    except TrunklineError as error:
        fail(error, as_json)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(__version__)
        raise typer.Exit


@app.callback()
def trunkline(
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Version.")] = False,
) -> None:
    """Options before the command."""


@app.command()
def up(
    profile: Profile = None,
    config: Config = None,
    sets: Sets = None,
    models: Models = "real",
    only: Annotated[str, typer.Option(help="Only these services, comma-separated: vad,asr,llm,tts,telephony…")] = "",
    as_json: AsJson = False,
) -> None:
    """Start every process, wait until the models are warm, and keep them running until Ctrl-C.

    Examples:

    `trunkline up`: the whole stack on this machine.

    `trunkline up --set telephony.sip.bind=10.0.0.5 --set web.host=10.0.0.5`: reachable from the network.

    `trunkline up --only asr,tts`: a machine that runs only these; elsewhere set `asr.target` and `tts.target`.
    """
    from services.cli.up import up as run_up

    launch = _launch(config, profile, sets, models, as_json)
    names = [name.strip() for name in only.split(",") if name.strip()]
    run(lambda interrupts: run_up(launch, names, SystemClock(), interrupts, as_json), as_json=as_json)


@app.command()
def doctor(
    profile: Profile = None,
    config: Config = None,
    sets: Sets = None,
    as_json: AsJson = False,
) -> None:
    """Say what is missing on this machine for the chosen profile, and how to get it.

    Exit status 1 when something needed is missing.

    Examples: `trunkline doctor`, `trunkline doctor --profile nvidia --json`.
    """
    from services.cli.doctor import doctor as run_doctor

    launch = _launch(config, profile, sets, "real", as_json)
    run(lambda _: run_doctor(launch, SystemClock(), as_json), as_json=as_json)


@app.command()
def call(
    target: Annotated[str, typer.Argument(help="sip:user@host:port, or webrtc:http://host:port")],
    wav: Annotated[
        list[Path] | None, typer.Option(help="Recorded speech to say (16-bit WAV). Repeat for turns.")
    ] = None,
    text: Annotated[list[str] | None, typer.Option(help="Words to say, spoken by the tts service.")] = None,
    interrupt_after: Annotated[
        int | None, typer.Option(metavar="MS", help="From the second turn on: speak that long into the agent's answer.")
    ] = None,
    record: Annotated[Path | None, typer.Option(help="Save both directions as a two-channel WAV.")] = None,
    codec: Annotated[str, typer.Option(help="SIP: offer only these, e.g. pcmu or opus,g722.")] = "",
    profile: Profile = None,
    config: Config = None,
    sets: Sets = None,
    as_json: AsJson = False,
) -> None:
    """Place one real call, say something, hear the answer; exit status 0 only if every turn was answered.

    The caller waits until the agent is silent before it speaks. Times come from the audio itself: from the end of
    the caller's speech as sent to the agent's first speech as received.

    Examples:

    `trunkline call sip:trunkline@127.0.0.1:5060 --text "What are your opening hours?" --record call.wav`

    `trunkline call webrtc:http://127.0.0.1:8080 --wav one.wav --wav two.wav --interrupt-after 1200 --json`
    """
    from services.cli.call import CallRequest
    from services.cli.call import call as run_call

    launch = _launch(config, profile, sets, "real", as_json)
    request = CallRequest(target, tuple(wav or ()), tuple(text or ()), interrupt_after, record, codec)
    run(lambda _: run_call(request, launch, SystemClock(), as_json), as_json=as_json)


@app.command()
def bench(
    out: Annotated[Path, typer.Option(help="The JSON file to write.")],
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
    from services.cli.bench import BenchRequest
    from services.cli.bench import bench as run_bench

    launch = _launch(config, profile, sets, models, as_json)
    request = BenchRequest(transport, calls, turns, out, html, warmup, seed, barge_in_every, codec=codec, record=record)
    run(lambda interrupts: run_bench(request, launch, SystemClock(), interrupts, as_json), as_json=as_json)


@app.command()
def demo(
    once: Annotated[bool, typer.Option("--once", help="End after the test call.")] = False,
    profile: Profile = None,
    config: Config = None,
    sets: Sets = None,
    models: Models = "real",
) -> None:
    """Start the stack and let a recorded caller talk to it over SIP, with one interruption; then it is yours.

    Shows both sides of the call as they are said and a table of times per stage. With --once the exit status is 0
    only if the caller heard an answer to everything it said.

    Example: `trunkline demo --once`
    """
    from services.cli.demo import demo as run_demo

    launch = _launch(config, profile, sets, models, False)
    run(lambda interrupts: run_demo(launch, once, SystemClock(), interrupts))


if __name__ == "__main__":
    main()
