"""`trunkline models fetch | verify | list | pin`: weights by manifest, with progress and a form for machines."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TaskID, TextColumn, TransferSpeedColumn
from rich.table import Table

from services.cli.model_archives import FetchError, Watch
from services.cli.model_fetch import fetch as fetch_model
from services.cli.model_fetch import select
from services.common.errors import TrunklineError
from services.common.model_manifest import ModelEntry
from services.common.models import FileStatus, ModelStore
from services.common.settings import ModelsSettings, load_settings

app = typer.Typer(no_args_is_help=True, help="Model weights: fetch, verify, list, pin.")

Names = Annotated[list[str] | None, typer.Argument(help="Models by name; none: those of the profile and sets.")]
Profile = Annotated[str, typer.Option(help="cpu or nvidia.")]
Sets = Annotated[list[str] | None, typer.Option("--set", help="Also the models of a set: test, demo, multilingual…")]
Config = Annotated[Path | None, typer.Option(help="Settings file (TOML).")]
AsJson = Annotated[bool, typer.Option("--json", help="One JSON document on stdout, no progress.")]


@app.command()
def fetch(
    names: Names = None, profile: Profile = "", sets: Sets = None, config: Config = None, as_json: AsJson = False
) -> None:
    """Fetch models into models.dir. Safe to run again, and from two terminals."""
    settings, store = _open(config)
    results: list[dict[str, Any]] = []
    with _guard(as_json), Bars(quiet=as_json) as bars:
        # A set alone means the set alone.
        wanted = profile or ("" if sets else load_settings(config).profile)
        for entry in select(store, names or [], wanted, sets or []):
            results.append({"model": entry.name, "dir": str(store.dir / entry.name)})
            try:
                outcome = results[-1]["outcome"] = fetch_model(store, entry, settings.hub_url, bars)
                bars.say(f"{entry.name}: {_WORDS[outcome]}")
            except FetchError as error:  # The others are still worth having.
                results[-1] |= {"outcome": "failed", "error": error.message, "remedy": error.remedy}
                bars.say(str(error))
    failed = [result["model"] for result in results if result["outcome"] == "failed"]
    if as_json:
        typer.echo(json.dumps({"ok": not failed, "models": results}))
    raise typer.Exit(1 if failed else 0)


@app.command()
def verify(
    names: Names = None, profile: Profile = "", sets: Sets = None, config: Config = None, as_json: AsJson = False
) -> None:
    """Hash the files again and compare with the manifest; exit status 1 when one is missing, altered or unpinned."""
    _, store = _open(config)
    with _guard(as_json), Bars(quiet=as_json) as bars:
        entries = select(store, names or [], profile or load_settings(config).profile, sets or [])
        statuses: list[FileStatus] = []
        for entry in entries:
            hashed = bars.task(f"{entry.name}: hashing", entry.size)
            statuses += store.check(entry, full=True, progress=hashed)
    bad = [status for status in statuses if status.state != "ok"]
    if as_json:
        typer.echo(json.dumps({"ok": not bad, "files": [_status_row(status) for status in statuses]}))
    else:
        for status in bad:
            verb = "pin" if status.state == "unpinned" else "fetch"
            typer.echo(f"{status.problem()}. Run `trunkline models {verb} {status.model}`.")
        typer.echo(f"{len(statuses) - len(bad)} of {len(statuses)} files are as the manifest says.")
    raise typer.Exit(1 if bad else 0)


@app.command(name="list")
def list_models(profile: Profile = "", sets: Sets = None, config: Config = None, as_json: AsJson = False) -> None:
    """Models of the manifest (all, or those of a profile and of sets) and their state in models.dir."""
    _, store = _open(config)
    with _guard(as_json):
        chosen = [] if profile or sets else list(store.entries)
        rows = [_row(store, entry) for entry in select(store, chosen, profile, sets or [])]
    if as_json:
        typer.echo(json.dumps({"dir": str(store.dir), "models": rows}))
        return
    console = Console()
    # Purposes need a wide terminal; in a narrow one the states matter more.
    columns = ["model", "state", "MB", "service", "profiles, sets", "purpose"][: 6 if console.width > 110 else 5]
    table = Table(caption=str(store.dir), pad_edge=False, box=None)
    for column in columns:
        table.add_column(column, no_wrap=True)
    for row in rows:
        size = f"{row['size'] / 1e6:.0f}" if row["size"] else "?"
        where = ", ".join([*row["profiles"], *row["sets"]])
        cells = (row["model"], row["state"], size, row["service"], where, row["purpose"])
        table.add_row(*cells[: len(columns)])
    console.print(table)


@app.command()
def pin(name: Annotated[str, typer.Argument()], config: Config = None, as_json: AsJson = False) -> None:
    """Record, for this site, the hash of fetched files that the manifest leaves unpinned. Check the files first."""
    _, store = _open(config)
    with _guard(as_json):
        pins = store.pin(name)
    if as_json:
        typer.echo(json.dumps({"model": name, "pins": pins}))
        return
    for file, sha256 in pins.items():
        typer.echo(f"{sha256}  {name}/{file}")


_WORDS = {
    "present": "already here, verified",
    "fetched": "fetched, verified",
    "unpinned": "fetched; no hash in the manifest: check it, then pin with `trunkline models pin`",
}


class Bars:
    """rich progress bars in bytes; silent under --json."""

    def __init__(self, *, quiet: bool) -> None:
        columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
        self._progress = Progress(*columns, console=Console(stderr=True), disable=quiet, transient=True)
        self._last: TaskID | None = None

    def __enter__(self) -> "Bars":
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def task(self, label: str, total_bytes: int) -> Watch:
        """A bar; the one before it is finished and goes away."""
        if self._last is not None:
            self._progress.remove_task(self._last)
        task = self._last = self._progress.add_task(label, total=total_bytes or None)

        def advance(count: int) -> None:
            if task in self._progress.task_ids:
                self._progress.advance(task, count)

        return advance

    def say(self, line: str) -> None:
        """A line that stays."""
        self._progress.console.print(line, highlight=False, markup=False)


@contextmanager
def _guard(as_json: bool) -> Iterator[None]:
    """A typed error becomes one readable line (or JSON) and exit status 1."""
    try:
        yield
    except TrunklineError as error:
        if as_json:
            typer.echo(json.dumps({"error": error.message, "remedy": error.remedy}))
        else:
            typer.echo(str(error), err=True)
        raise typer.Exit(1) from None


def _open(config: Path | None) -> tuple[ModelsSettings, ModelStore]:
    with _guard(False):
        settings = load_settings(config).models
        return settings, ModelStore(settings)


def _row(store: ModelStore, entry: ModelEntry) -> dict[str, Any]:
    states = {status.state for status in store.check(entry)}
    state = next((s for s in ("missing", "altered", "unpinned") if s in states), "ok")
    return {
        "model": entry.name,
        "state": state,
        "pinned": entry.pinned,
        "version": entry.version,
        "size": entry.size,
        "service": entry.service,
        "profiles": list(entry.profiles),
        "sets": list(entry.sets),
        "licence": entry.licence,
        "purpose": entry.purpose,
        "files": [{"name": f.name, "sha256": f.sha256, "size": f.size} for f in entry.files],
    }


def _status_row(status: FileStatus) -> dict[str, Any]:
    return {
        "model": status.model,
        "file": status.file.name,
        "state": status.state,
        "expected": status.file.sha256,
        "got": status.got_sha256 or status.file.sha256,
    }
