"""`trunkline audit …`: the arguments; what each command does is in audit_commands.py."""

from pathlib import Path
from typing import Annotated

import typer

from services.cli.terminal import fail, run
from services.common.clock import SystemClock
from services.common.errors import TrunklineError
from services.common.settings import Settings, load_settings

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode="markdown",
    help=(
        "The audit log: prove that nothing was edited, removed, reordered, cut off or rewritten.\n\n"
        "Where Trunkline runs: `trunkline audit init` once, then `trunkline audit export audit.jsonl`.\n\n"
        "At the auditor's, without database or secret: `trunkline audit verify audit.jsonl --log-key log.pub "
        "--witness-key witness.pub`. docs/audit.md explains what that proves and what it does not."
    ),
)

Config = Annotated[Path | None, typer.Option(help="Settings file (TOML).")]
Sets = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="One setting, e.g. data_dir=/srv/trunkline. May be repeated."),
]
AsJson = Annotated[bool, typer.Option("--json", help="For machines: JSON on standard output.")]
Call = Annotated[str, typer.Option("--call", metavar="ID", help="Only the entries of this call.")]
LogKey = Annotated[str, typer.Option(help="The log's public key: its line or a file (log.pub).")]
WitnessKeys = Annotated[
    list[str] | None, typer.Option("--witness-key", help="A witness's public key: its line or a file. Repeatable.")
]


def _settings(config: Path | None, sets: list[str] | None, as_json: bool) -> Settings:
    from services.cli.stack import override_tree

    try:
        return load_settings(config, overrides=override_tree(sets or []))
    except TrunklineError as error:
        fail(error, as_json)


@app.command()
def init(
    origin: Annotated[
        str, typer.Option(help="The log's name for ever, e.g. bank.example/audit; default: random.")
    ] = "",
    witness: Annotated[str, typer.Option(help="Make a witness's key instead, under this name.")] = "",
    directory: Annotated[Path | None, typer.Option("--dir", help="With --witness: its directory.")] = None,
    config: Config = None,
    sets: Sets = None,
    as_json: AsJson = False,
) -> None:
    """Make the log's key (mode 0600) and print its public line, which you give to auditors and witnesses.

    With the embedded database this happens by itself at the first start. An existing key is never replaced.

    Examples:

    `trunkline audit init --origin bank.example/voice-audit`

    `trunkline audit init --witness revision.bank.example/w1 --dir /srv/witness`: the witness's own, on its own machine.
    """
    from services.cli.audit_commands import init as work

    settings = _settings(config, sets, as_json)
    run(lambda _: work(settings, origin, witness, directory, as_json), as_json=as_json)


@app.command()
def verify(
    file: Annotated[Path | None, typer.Argument(help="An export; none: the database of this machine.")] = None,
    log_key: LogKey = "",
    witness_keys: WitnessKeys = None,
    checkpoints: Annotated[
        list[Path] | None, typer.Option("--checkpoint", help="A checkpoint you kept, or the witness's. Repeatable.")
    ] = None,
    config: Config = None,
    sets: Sets = None,
    as_json: AsJson = False,
) -> None:
    """Check every entry, the chain, the root under every checkpoint and the signatures.

    Works offline on an export file with public keys only; without a file it reads this machine's database. Exit status
    1: something is not as it was signed, and each line says which entry and what.

    Examples:

    `trunkline audit verify audit.jsonl --log-key log.pub --witness-key witness.pub`

    `curl 'http://witness:8095/checkpoint?origin=bank.example/audit' > kept; trunkline audit verify audit.jsonl
    --log-key log.pub --witness-key witness.pub --checkpoint kept`: also finds an end cut off with its checkpoints.
    """
    from services.cli.audit_commands import verify as work

    settings = _settings(config, sets, as_json)
    run(
        lambda _: work(settings, SystemClock(), file, log_key, witness_keys or [], checkpoints or [], as_json),
        as_json=as_json,
    )


@app.command()
def show(
    file: Annotated[Path | None, typer.Argument(help="An export; none: the database of this machine.")] = None,
    call: Call = "",
    action: Annotated[
        str, typer.Option(help="Only this action, e.g. call.ended; `call.` means all that begin so.")
    ] = "",
    last: Annotated[int, typer.Option(help="At most so many, the newest.")] = 50,
    reveal: Annotated[
        bool, typer.Option("--reveal", help="Also personal values that are kept; this is audited.")
    ] = False,
    config: Config = None,
    sets: Sets = None,
    as_json: AsJson = False,
) -> None:
    """Print entries: when, who, what, to what. Nothing is verified here.

    Examples: `trunkline audit show --call 0192f0c1…`, `trunkline audit show audit.jsonl --action call. --json`
    """
    from services.cli.audit_commands import Wanted
    from services.cli.audit_commands import show as work

    settings = _settings(config, sets, as_json)
    wanted = Wanted(call, action, last)
    run(lambda _: work(settings, SystemClock(), file, wanted, reveal, as_json), as_json=as_json)


@app.command()
def export(
    out: Annotated[Path, typer.Argument(help="The file to write; - is standard output.")],
    call: Call = "",
    personal: Annotated[
        bool, typer.Option("--personal", help="With what opens the commitments, where it is kept; this is audited.")
    ] = False,
    config: Config = None,
    sets: Sets = None,
    as_json: AsJson = False,
) -> None:
    """Write the log, or one call with its proofs, as JSON lines that anybody can verify.

    Examples: `trunkline audit export audit.jsonl`, `trunkline audit export one.jsonl --call 0192f0c1… --personal`
    """
    from services.cli.audit_commands import export as work

    settings = _settings(config, sets, as_json)
    run(lambda _: work(settings, SystemClock(), out, call, personal, as_json), as_json=as_json)


@app.command()
def checkpoint(
    out: Annotated[Path | None, typer.Option(help="Also keep it in this file (give it to somebody else).")] = None,
    config: Config = None,
    sets: Sets = None,
    as_json: AsJson = False,
) -> None:
    """Sign the log as it is now, have the witnesses sign it too, and print the signed note.

    A running stack does so every minute and when it stops. A log that does not continue what was signed is refused.

    Example: `trunkline audit checkpoint --out monday.checkpoint`
    """
    from services.cli.audit_commands import checkpoint as work

    settings = _settings(config, sets, as_json)
    run(lambda _: work(settings, SystemClock(), out, as_json), as_json=as_json)


@app.command()
def shred(
    call: Annotated[str, typer.Option("--call", metavar="ID", help="The call whose personal values are erased.")],
    reason: Annotated[str, typer.Option(help="Why, for the log; no personal data.")],
    config: Config = None,
    sets: Sets = None,
    as_json: AsJson = False,
) -> None:
    """Erase the personal values and salts of a call's entries for ever; every proof stays valid. This is audited.

    Example: `trunkline audit shred --call 0192f0c1… --reason "erasure request 17"`
    """
    from services.cli.audit_commands import shred as work

    settings = _settings(config, sets, as_json)
    run(lambda _: work(settings, SystemClock(), call, reason, as_json), as_json=as_json)


@app.command()
def rewrap(config: Config = None, sets: Sets = None, as_json: AsJson = False) -> None:
    """After a rotation of control.seal_key_file: wrap the keys of all calls under the key that seals now. Audited.

    Example: `trunkline audit rewrap`
    """
    from services.cli.audit_commands import rewrap as work

    settings = _settings(config, sets, as_json)
    run(lambda _: work(settings, SystemClock(), as_json), as_json=as_json)


@app.command()
def witness(
    directory: Annotated[Path, typer.Option("--dir", help="Its key (from `audit init --witness`) and its memory.")],
    log_keys: Annotated[list[str], typer.Option("--log-key", help="A log's public key to witness. Repeatable.")],
    listen: Annotated[str, typer.Option(metavar="HOST:PORT", help="Where it answers.")] = "127.0.0.1:8095",
    as_json: AsJson = False,
) -> None:
    """Run a witness: it signs a checkpoint only if that continues the one it signed last, and names a fork.

    Run it under another owner, best on another machine: it needs no database and no secret of the log. Tell the stack
    by `records.audit.witnesses`, which takes `"http://host:port <public key of the witness>"`.

    Example: `trunkline audit witness --dir /srv/witness --log-key log.pub`
    """
    from services.cli.audit_witness import serve as work

    run(lambda _: work(directory, log_keys, listen, SystemClock(), as_json), as_json=as_json)
