"""`trunkline bundle …`: check an agent, publish it, move labels to it and back, see what differs."""

import getpass
import json
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from services.cli.options import AsJson, Config, Sets, load_launch
from services.cli.terminal import EXIT_FAILED, run
from services.common.clock import SystemClock
from services.common.errors import InvalidInputError
from services.common.settings import Settings
from services.orchestrator.bundles.bundle import Bundle
from services.orchestrator.bundles.problem import Problem
from services.orchestrator.store.bundles import BundleStore, Published

app = typer.Typer(
    no_args_is_help=True,
    help=(
        "Agents as bundles: a directory of YAML, checked as a whole, content-addressed, signed.\n\n"
        "`validate` while you write; `publish` keeps a version for ever; `release` points a label (prod) at it, for "
        "all new calls or a share of them; `rollback` points it back. Calls keep the version they began with."
    ),
)

Directory = Annotated[Path, typer.Argument(help="The bundle's directory, e.g. deploy/agents/bank-retail")]
Agent = Annotated[str, typer.Argument(help="The agent's id, e.g. bank-retail")]
Label = Annotated[str, typer.Option(help="The label that calls follow.")]
By = Annotated[str, typer.Option(help="Who does it, for the record.")]
NoEvals = Annotated[bool, typer.Option("--no-evals", help="Go on without evals; the audit says so.")]
Reason = Annotated[str, typer.Option(help="Why, for the record.")]


@app.command()
def validate(directory: Directory, as_json: AsJson = False) -> None:
    """Find everything that is wrong, each fault with its line and what to do. Exit status 1 when anything is.

    Unknown keys, rules that do not type-check, writes that are not safe, sentences that name what no tool commits,
    missing locales, goals that cannot be reached.

    Examples: `trunkline bundle validate deploy/agents/bank-retail`, `… --json` for editors and CI.
    """

    async def main() -> int:
        bundle, problems = _validated(directory)
        if as_json:
            digest = bundle.digest if bundle else None
            typer.echo(json.dumps({"ok": bundle is not None, "digest": digest, "problems": _rows(problems)}))
        elif bundle is not None:
            typer.echo(f"{bundle.agent.id} {bundle.agent.version} is whole: {_size(bundle)}. Digest {bundle.digest}.")
        else:
            _print(directory, problems)
        return 0 if bundle is not None else EXIT_FAILED

    run(lambda _: main(), as_json=as_json)


@app.command()
def schema(
    out: Annotated[Path, typer.Argument(help="Directory for one JSON Schema per file.")],
) -> None:
    """Write JSON Schemas for editors (completion and checks while typing).

    Example: `trunkline bundle schema .vscode/trunkline`, then map `agent.yaml` to `agent.schema.json` and so on.
    """
    from services.orchestrator.bundles.schema import schemas

    out.mkdir(parents=True, exist_ok=True)
    for name, document in schemas().items():
        (out / name).write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
        typer.echo(str(out / name))


@app.command()
def keygen(config: Config = None, sets: Sets = None, as_json: AsJson = False) -> None:
    """Make the Ed25519 key that publishing signs with (bundles.signing_key). An existing key is never overwritten."""

    async def main(settings: Settings) -> int:
        from services.orchestrator.bundles.signing import Signer

        path = settings.bundles.signing_key.expanduser()
        public = Signer.create(path).public.hex()
        typer.echo(json.dumps({"key": str(path), "public": public}) if as_json else f"{path}\npublic key {public}")
        return 0

    settings = load_launch(config, None, sets, "real", as_json).settings
    run(lambda _: main(settings), as_json=as_json)


@app.command()
def publish(
    directory: Directory,
    by: By = "",
    no_evals: NoEvals = False,
    config: Config = None,
    sets: Sets = None,
    as_json: AsJson = False,
) -> None:
    """Validate, run the text evals, sign and keep a version for ever. The same content again changes nothing; changed
    content needs a new `version`. A failed gate refuses it.

    Example: `trunkline bundle publish deploy/agents/bank-retail`
    """
    from services.cli.evals.required import required
    from services.orchestrator.bundles.signing import Signer

    async def act(store: BundleStore, settings: Settings) -> int:
        bundle, problems = _validated(directory)
        if bundle is None:
            if as_json:
                typer.echo(json.dumps({"ok": False, "problems": _rows(problems)}))
            else:
                _print(directory, problems)
            return EXIT_FAILED
        signer = Signer.load(settings.bundles.signing_key.expanduser())
        evals = await required(bundle, directory, SystemClock(), skip=no_evals)
        published = await store.publish(bundle, signer, by or getpass.getuser(), evals)
        _show([published], as_json, f"published {published.agent} {published.version}, evals {evals}")
        return 0

    _with_store(act, config, sets, as_json)


@app.command(name="list")
def list_versions(
    agent: Annotated[str | None, typer.Argument(help="Only this agent.")] = None,
    config: Config = None,
    sets: Sets = None,
    as_json: AsJson = False,
) -> None:
    """Published versions, newest first."""

    async def act(store: BundleStore, settings: Settings) -> int:
        _show(await store.versions(agent), as_json)
        return 0

    _with_store(act, config, sets, as_json)


@app.command()
def release(
    agent: Agent,
    version: Annotated[str, typer.Argument(help="Version number, or the beginning of a digest.")],
    label: Label = "prod",
    canary: Annotated[int, typer.Option(min=0, max=100, metavar="PERCENT", help="Only for this share of calls.")] = 0,
    back_end: Annotated[
        Path | None, typer.Option(help="The bundle's directory: its evals are run again, with the back end there.")
    ] = None,
    no_evals: NoEvals = False,
    by: By = "",
    reason: Reason = "",
    config: Config = None,
    sets: Sets = None,
    as_json: AsJson = False,
) -> None:
    """Point a label at a version: new calls get it at once, calls in progress keep theirs.

    Its evals must have passed: with `--back-end DIR` they are run now, else the record of its publishing tells.

    Examples: `trunkline bundle release bank-retail 1.1.0 --canary 5`, then without `--canary` for all.
    """
    from services.cli.evals.required import released

    async def act(store: BundleStore, settings: Settings) -> int:
        published = await store.find(agent, version)
        bundle = await store.load(published.digest, settings.bundles.trusted())
        record = await store.evals_of(published.digest)
        evals = await released(bundle, record, back_end, SystemClock(), skip=no_evals)
        after = await store.release(
            agent, label, published, canary_percent=canary, by=by or getpass.getuser(), reason=reason, evals=evals
        )
        share = f"{after.canary_percent} % of new calls" if after.canary else "all new calls"
        _say(
            as_json, _release_row(after), f"{agent}/{label}: {share} get {published.version} ({published.digest[:12]})"
        )
        return 0

    _with_store(act, config, sets, as_json)


@app.command()
def rollback(
    agent: Agent,
    label: Label = "prod",
    by: By = "",
    reason: Reason = "",
    config: Config = None,
    sets: Sets = None,
    as_json: AsJson = False,
) -> None:
    """Back to what calls had before: a canary ends, or the release before is restored. Acts on new calls at once.

    Example: `trunkline bundle rollback bank-retail --reason "refund wording"`
    """

    async def act(store: BundleStore, settings: Settings) -> int:
        after = await store.rollback(agent, label, by=by or getpass.getuser(), reason=reason)
        _say(as_json, _release_row(after), f"{agent}/{label}: all new calls get {after.digest[:12]}")
        return 0

    _with_store(act, config, sets, as_json)


@app.command()
def history(
    agent: Agent, label: Label = "prod", config: Config = None, sets: Sets = None, as_json: AsJson = False
) -> None:
    """Every move of a label: when, who, why, to what."""

    async def act(store: BundleStore, settings: Settings) -> int:
        moves = await store.history(agent, label)
        if as_json:
            rows = [
                {name: str(value) if name == "at" else value for name, value in _fields(move).items()} for move in moves
            ]
            typer.echo(json.dumps({"moves": rows}))
            return 0
        table = Table(box=None, pad_edge=False)
        for column in ("when", "action", "digest", "canary", "by", "why"):
            table.add_column(column)
        for move in moves:
            share = f"{move.canary[:12]} {move.canary_percent} %" if move.canary else ""
            table.add_row(f"{move.at:%Y-%m-%d %H:%M:%S}", move.action, move.digest[:12], share, move.by, move.reason)
        Console().print(table)
        return 0

    _with_store(act, config, sets, as_json)


@app.command()
def diff(
    before: Annotated[str, typer.Argument(help="A directory, or AGENT@VERSION.")],
    after: Annotated[str, typer.Argument(help="A directory, or AGENT@VERSION.")],
    config: Config = None,
    sets: Sets = None,
    as_json: AsJson = False,
) -> None:
    """What differs between two versions, part by part. Exit status 0 also when they do.

    Example: `trunkline bundle diff bank-retail@1.0.0 deploy/agents/bank-retail`
    """
    from services.orchestrator.bundles.difference import differences

    async def act(store: BundleStore | None, settings: Settings) -> int:
        # Directories alone need no database.
        bundles = [await _bundle(reference, store, settings) for reference in (before, after)]
        found = differences(*bundles)
        if as_json:
            typer.echo(json.dumps({"differences": [one.to_json() for one in found]}))
            return 0
        for one in found:
            mark = {"added": "+", "removed": "-", "changed": "~"}[one.change]
            values = (
                f"{_short(one.before)} → {_short(one.after)}"
                if one.change == "changed"
                else _short(one.after or one.before)
            )
            typer.echo(f"{mark} {one.path}: {values}")
        typer.echo(f"{len(found)} differences." if found else "No difference.")
        return 0

    if any("@" in reference for reference in (before, after)):
        _with_store(act, config, sets, as_json)
    else:
        settings = load_launch(config, None, sets, "real", as_json).settings
        run(lambda _: act(None, settings), as_json=as_json)


async def _bundle(reference: str, store: BundleStore | None, settings: Settings) -> Bundle:
    agent, at, version = reference.partition("@")
    if at and store is not None:
        return await store.load((await store.find(agent, version)).digest, settings.bundles.trusted())
    bundle, problems = _validated(Path(reference))
    if bundle is None:
        raise InvalidInputError(
            reference, expected="a bundle that validates", got=f"{len(problems)} problems", remedy=str(problems[0])
        )
    return bundle


Act = Callable[[BundleStore, Settings], Awaitable[int]]


def _with_store(act: Act, config: Path | None, sets: list[str] | None, as_json: bool) -> None:
    from services.common.log import configure_logging
    from services.common.settings import LogSettings
    from services.orchestrator.store.database import open_pool
    from services.orchestrator.store.visit import visit_database

    settings = load_launch(config, None, sets, "real", as_json).settings
    # Standard output is for the result; what the store logs goes to standard error, and only when it matters.
    configure_logging(LogSettings(level="warning"), "trunkline")

    async def main() -> int:
        async with visit_database(settings, SystemClock(), create=True) as (dsn, _):
            pool = await open_pool(dsn, settings)
            try:
                return await act(BundleStore(pool), settings)
            finally:
                pool.terminate()

    run(lambda _: main(), as_json=as_json)


def _validated(directory: Path) -> tuple[Bundle | None, list[Problem]]:
    from services.orchestrator.bundles.checks import validate_directory

    return validate_directory(directory)


def _print(directory: Path, problems: Sequence[Problem]) -> None:
    for problem in problems:
        typer.echo(f"{directory}/{problem}")
    typer.echo(f"{len(problems)} problems.")


def _rows(problems: Sequence[Problem]) -> list[dict[str, str | int]]:
    return [problem.to_json() for problem in problems]


def _size(bundle: Bundle) -> str:
    return (
        f"{len(bundle.goals)} goals, {len(bundle.tools)} tools, {len(bundle.rules)} rules, {len(bundle.slots)} slots, "
        f"{len(bundle.agent.locales)} locales"
    )


def _show(versions: Sequence[Published], as_json: bool, title: str = "") -> None:
    if as_json:
        rows = [{**_fields(one), "published_at": one.published_at.isoformat()} for one in versions]
        typer.echo(json.dumps({"bundles": rows}))
        return
    if title:
        typer.echo(title)
    table = Table(box=None, pad_edge=False)
    for column in ("agent", "version", "digest", "published", "by"):
        table.add_column(column)
    for one in versions:
        when = f"{one.published_at:%Y-%m-%d %H:%M:%S}"
        table.add_row(one.agent, one.version, one.digest[:12], when, one.published_by)
    Console().print(table)


def _release_row(after: Any) -> dict[str, Any]:
    return {"ok": True, **_fields(after)}


def _fields(record: Any) -> dict[str, Any]:
    return {name: getattr(record, name) for name in record.__slots__}


def _say(as_json: bool, row: dict[str, Any], sentence: str) -> None:
    typer.echo(json.dumps(row) if as_json else sentence)


def _short(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 100 else text[:97] + "…"
