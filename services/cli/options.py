"""Arguments that several sub-commands share, and how they become a launch."""

from pathlib import Path
from typing import Annotated

import typer

from services.cli.stack import SCRIPTED, Launch
from services.cli.terminal import fail
from services.common.errors import InvalidInputError, TrunklineError

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


def load_launch(config: Path | None, profile: str | None, sets: list[str] | None, models: str, as_json: bool) -> Launch:
    """The launch these arguments ask for; a mistake ends the command with one sentence."""
    try:
        if models not in ("real", "scripted"):
            raise InvalidInputError("--models", expected="real or scripted", got=repr(models))
        return Launch.load(config, profile, [*(SCRIPTED if models == "scripted" else ()), *(sets or [])])
    except TrunklineError as error:
        fail(error, as_json)
