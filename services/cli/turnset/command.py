"""The arguments of `trunkline bench turns`."""

from pathlib import Path
from typing import Annotated

import typer

from services.cli.options import AsJson, Config, Profile, Sets, load_launch
from services.cli.terminal import run
from services.common.clock import SystemClock


def turns(
    half: Annotated[
        str, typer.Option(help="tuning: look at it as often as you like; test: for the figures you report.")
    ],
    out: Annotated[Path, typer.Option(help="The JSON file to write.")],
    html: Annotated[Path | None, typer.Option(help="Also a page with the curves, for people.")] = None,
    limit: Annotated[int, typer.Option(help="At most so many items of each kind; 0: all.")] = 0,
    seed: Annotated[int, typer.Option(help="Of the set: another seed is another set.")] = 1,
    cache: Annotated[Path | None, typer.Option(help="Where audio and model answers are kept.")] = None,
    sweep: Annotated[bool, typer.Option(help="--no-sweep: the defaults only, in a few seconds.")] = True,
    profile: Profile = None,
    config: Config = None,
    sets: Sets = None,
    as_json: AsJson = False,
) -> None:
    """Measure turn-taking on pauses, ends and interruptions with known truth: the real turn-taker, real models.

    The first run makes the audio and asks the models (vad, asr, tts: started when they do not run), which takes a good
    while; every later run replays the decisions from the answers kept, without models, in seconds. Beside it
    the same figures for a plain VAD timeout and for the turn model alone.

    Examples:

    `trunkline bench turns --half tuning --out now.json --html now.html`

    `trunkline bench turns --half tuning --no-sweep --set orchestrator.turns.endpoint_complete_ms=250 --out now.json`
    """
    from services.cli.turnset.measuring import bench_turns

    launch = load_launch(config, profile, sets, "real", as_json)
    run(
        lambda interrupts: bench_turns(
            half,
            out,
            html,
            launch,
            SystemClock(),
            interrupts,
            limit=limit,
            seed=seed,
            cache=cache,
            sweep=sweep,
            as_json=as_json,
        ),
        as_json=as_json,
    )
