"""The `trunkline` command. What each sub-command does is in a module of its own; here are only their arguments."""

from pathlib import Path
from typing import Annotated

import typer

from services import __version__
from services.cli import audit, bundle, models, review
from services.cli.benchmark import commands as benchmark
from services.cli.evals.commands import evals
from services.cli.options import AsJson, Config, Models, Profile, Sets, load_launch
from services.cli.terminal import run
from services.cli.turnset.command import turns
from services.common.clock import SystemClock

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
app.add_typer(audit.app, name="audit")
app.add_typer(bundle.app, name="bundle")
app.add_typer(review.app, name="review")
app.add_typer(review.callbacks, name="callbacks")
app.add_typer(benchmark.app, name="bench")
benchmark.app.command("turns")(turns)
app.command(name="eval")(evals)


def main() -> None:
    """Entry point."""
    app()


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
    workers: Annotated[
        int | None,
        typer.Option(min=1, max=64, help="Orchestrator processes that share the calls (orchestrator.workers)."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Start every process, wait until the models are warm, and keep them running until Ctrl-C.

    One orchestrator process carries some tens of calls on one core. With `--workers N` there are N of them behind
    the same SIP and web ports: a call stays with its worker, one that dies ends only its own calls, and
    `trunkline restart-workers` restarts them one after the other without dropping a call.

    Examples:

    `trunkline up`: the whole stack on this machine.

    `trunkline up --set telephony.sip.bind=10.0.0.5 --set web.host=10.0.0.5`: reachable from the network.

    `trunkline up --workers 4`: four cores for calls.

    `trunkline up --only asr,tts`: a machine that runs only these; elsewhere set `asr.target` and `tts.target`.
    """
    from services.cli.up import up as run_up

    more = [f"orchestrator.workers={workers}"] if workers else []
    launch = load_launch(config, profile, [*(sets or []), *more], models, as_json)
    names = [name.strip() for name in only.split(",") if name.strip()]
    run(lambda interrupts: run_up(launch, names, SystemClock(), interrupts, as_json), as_json=as_json)


@app.command("restart-workers")
def restart_workers(
    profile: Profile = None,
    config: Config = None,
    sets: Sets = None,
    as_json: AsJson = False,
) -> None:
    """Restart the orchestrator processes of the running stack one after the other; no call in progress is dropped.

    Each takes no new calls, waits for its own to end by themselves, is started again and is ready before the next
    one is asked. Returns when all are done. New code on disk is what they start with.

    Example: `trunkline restart-workers --set data_dir=/srv/trunkline`
    """
    from services.cli.rolling import restart_workers as run_restart

    launch = load_launch(config, profile, sets, "real", as_json)
    run(lambda _: run_restart(launch, SystemClock(), as_json), as_json=as_json)


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

    launch = load_launch(config, profile, sets, "real", as_json)
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
    number: Annotated[
        str, typer.Option("--from", metavar="NUMBER", help="SIP: the number to call from, e.g. +441632960123.")
    ] = "",
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

    launch = load_launch(config, profile, sets, "real", as_json)
    request = CallRequest(target, tuple(wav or ()), tuple(text or ()), interrupt_after, record, codec, number)
    run(lambda _: run_call(request, launch, SystemClock(), as_json), as_json=as_json)


@app.command()
def demo(
    once: Annotated[bool, typer.Option("--once", help="End after the test call.")] = False,
    recordings: Annotated[
        bool, typer.Option("--recordings", help="No bank: recorded human speech, an agent that only talks.")
    ] = False,
    profile: Profile = None,
    config: Config = None,
    sets: Sets = None,
    models: Models = "real",
) -> None:
    """Start the stack with the example bank; a caller does its business by voice over SIP; then it is yours.

    The caller has a card blocked, is refused one refund and gets another after correcting the amount; it listens, and
    answers by what it hears. With --once the exit status is 0 only if it got that done and the bank's books and the
    verified audit log say the same. With --recordings, recorded human speech talks to an agent without tools, and the
    status is 0 only if everything was answered.

    Examples: `trunkline demo --once`, `trunkline demo --recordings`
    """
    launch = load_launch(config, profile, sets, models, False)
    if recordings:
        from services.cli.demo_recordings import demo as run_recordings

        run(lambda interrupts: run_recordings(launch, once, SystemClock(), interrupts))
    from services.cli.demo import demo as run_demo

    run(lambda interrupts: run_demo(launch, once, SystemClock(), interrupts))


if __name__ == "__main__":
    main()
