"""`trunkline review …` and `trunkline callbacks …`: what agents put before people, and whom to call back."""

import getpass
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from services.cli.options import AsJson, Config, Sets, load_launch
from services.cli.terminal import run
from services.common.clock import SystemClock
from services.common.settings import Settings

if TYPE_CHECKING:
    from services.orchestrator.control.model import Outcome
    from services.orchestrator.control.worker import ControlWorker
    from services.orchestrator.store.callbacks import Callback
    from services.orchestrator.store.reviews import Review

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode="markdown",
    help=(
        "Acts that a rule put before a person (`otherwise: human_review`), and acts whose outcome nobody knows.\n\n"
        "`list` shows what waits, the most urgent first; `show ID` what exactly is asked, with its hash. `approve ID "
        "--hash HASH` does it, once, if the rules still let it; `refuse` does not. Both close with a row in `trunkline "
        "callbacks`: the caller was promised an answer. After the deadline it is a no.\n\n"
        "An act without a rule was sent and never answered: look at the back end, then `settle ID --done` or "
        "`--not-done`. Nothing is sent by that. docs/control.md explains all of it."
    ),
)
callbacks = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode="markdown",
    help="Callers who were promised an answer: who, about what, and how it went. `done ID` when they have been told.",
)

ReviewId = Annotated[str, typer.Argument(help="The review's id, or the beginning of it.")]
Hash = Annotated[str, typer.Option("--hash", help="The request hash that `show` printed: what you have read.")]
By = Annotated[str, typer.Option(help="Who decides, for the record; never who asked.")]
Note = Annotated[str, typer.Option(help="Why. Kept with the review, in the audit as a commitment only.")]
All = Annotated[bool, typer.Option("--all", help="Also what is decided.")]


@app.command("list")
def list_reviews(show_all: All = False, config: Config = None, sets: Sets = None, as_json: AsJson = False) -> None:
    """What waits for a person, the most urgent first.

    Example: `trunkline review list --json | jq '.reviews[].review_id'`
    """

    async def act(worker: "ControlWorker") -> int:
        found = await worker.reviewing.reviews.all(open_only=not show_all)
        if as_json:
            typer.echo(json.dumps({"reviews": [_plain(review) for review in found]}))
            return 0
        table = _table("id", "tool", "rule", "until", "decision", "by")
        for review in found:
            what = review.rule or "outcome unknown"
            table.add_row(
                review.review_id, review.tool, what, f"{review.deadline:%Y-%m-%d %H:%M}", review.decision or "",
                review.reviewer or "",
            )  # fmt: skip
        Console().print(table if found else "Nothing waits.")
        return 0

    _with_control(act, config, sets, as_json)


@app.command()
def show(review_id: ReviewId, config: Config = None, sets: Sets = None, as_json: AsJson = False) -> None:
    """What exactly is asked, in plain, with the hash that a decision is bound to. Reading it is an audit entry.

    Example: `trunkline review show 3f2a`
    """

    async def act(worker: "ControlWorker") -> int:
        review = await worker.reviewing.reviews.get(review_id)
        await _note_reading(worker, review)
        row = await worker.room.effects.get(review.effect_id)
        asked = dict(row.request) if row is not None else {}
        if as_json:
            erased = row is not None and row.erased
            typer.echo(json.dumps({**_plain(review), "request": asked, "erased": erased}, ensure_ascii=False))
            return 0
        for name, value in {**_plain(review), **{f"  {name}": value for name, value in asked.items()}}.items():
            typer.echo(f"{name:<14} {value}")
        typer.echo(
            f"\nApprove exactly this: trunkline review approve {review.review_id} --hash {review.request_hash[:16]}"
        )
        return 0

    _with_control(act, config, sets, as_json)


@app.command()
def approve(
    review_id: ReviewId,
    request_hash: Hash,
    by: By = "",
    note: Note = "",
    config: Config = None,
    sets: Sets = None,
    as_json: AsJson = False,
) -> None:
    """Do it, once, if every other rule still holds now. Exit status 1 when it was not done.

    Example: `trunkline review approve 3f2a --hash 9b1c… --note "spoke to the branch"`
    """

    async def act(worker: "ControlWorker") -> int:
        review = await worker.reviewing.reviews.get(review_id)
        digest = _whole(review, request_hash)
        outcome = await worker.reviewing.approve(review, by or getpass.getuser(), digest, note)
        return _say(outcome, as_json, 0 if outcome.state == "committed" else 1)

    _with_control(act, config, sets, as_json)


@app.command()
def refuse(
    review_id: ReviewId,
    request_hash: Hash,
    by: By = "",
    note: Note = "",
    config: Config = None,
    sets: Sets = None,
    as_json: AsJson = False,
) -> None:
    """Do not do it; the caller is called back with a no.

    Example: `trunkline review refuse 3f2a --hash 9b1c… --note "not his card"`
    """

    async def act(worker: "ControlWorker") -> int:
        review = await worker.reviewing.reviews.get(review_id)
        digest = _whole(review, request_hash)
        return _say(await worker.reviewing.refuse(review, by or getpass.getuser(), digest, note), as_json, 0)

    _with_control(act, config, sets, as_json)


@app.command()
def settle(
    review_id: ReviewId,
    request_hash: Hash,
    done: Annotated[bool, typer.Option("--done/--not-done", help="What the back end's books say.")],
    by: By = "",
    note: Note = "",
    config: Config = None,
    sets: Sets = None,
    as_json: AsJson = False,
) -> None:
    """Say what became of an act whose outcome nobody knew. Nothing is sent by this: it only ends the doubt.

    Example: `trunkline review settle 3f2a --hash 9b1c… --done --note "posting 4711"`
    """

    async def act(worker: "ControlWorker") -> int:
        review = await worker.reviewing.reviews.get(review_id)
        digest = _whole(review, request_hash)
        who = by or getpass.getuser()
        return _say(await worker.reviewing.settle(review, who, digest, done=done, note=note), as_json, 0)

    _with_control(act, config, sets, as_json)


@callbacks.command("list")
def list_callbacks(show_all: All = False, config: Config = None, sets: Sets = None, as_json: AsJson = False) -> None:
    """Whom to call, the oldest promise first, with the number they called from.

    Example: `trunkline callbacks list`
    """

    async def act(worker: "ControlWorker") -> int:
        found = await worker.reviewing.callbacks.all(open_only=not show_all)
        rows = [{**_plain(one), "number": await _number(worker, one)} for one in found]
        if as_json:
            typer.echo(json.dumps({"callbacks": rows}))
            return 0
        table = _table("id", "number", "about", "why", "how it went", "since")
        for row in rows:
            how = f"{row['state']} {row['reason']}".strip()
            table.add_row(row["callback_id"], row["number"], row["tool"], row["why"], how, row["created_at"][:16])
        Console().print(table if rows else "Nobody waits for a call.")
        return 0

    _with_control(act, config, sets, as_json)


@callbacks.command()
def done(
    callback_id: Annotated[str, typer.Argument(help="The callback's id.")],
    by: By = "",
    note: Note = "",
    config: Config = None,
    sets: Sets = None,
    as_json: AsJson = False,
) -> None:
    """The caller has been told.

    Example: `trunkline callbacks done 51c0 --note "reached her at 10:15"`
    """

    async def act(worker: "ControlWorker") -> int:
        closed = await worker.reviewing.callbacks.done(callback_id, by or getpass.getuser(), note)
        typer.echo(json.dumps(_plain(closed)) if as_json else f"{closed.callback_id}: done by {closed.done_by}")
        return 0

    _with_control(act, config, sets, as_json)


Act = Callable[["ControlWorker"], Awaitable[int]]


def _with_control(act: Act, config: Path | None, sets: list[str] | None, as_json: bool) -> None:
    from services.common.log import configure_logging
    from services.common.settings import LogSettings

    settings = load_launch(config, None, sets, "real", as_json).settings
    configure_logging(LogSettings(level="warning"), "trunkline")

    async def main() -> int:
        async with _control(settings) as worker:
            return await act(worker)

    run(lambda _: main(), as_json=as_json)


@asynccontextmanager
async def _control(settings: Settings) -> "AsyncIterator[ControlWorker]":
    """As a worker has it, for as long as a command lasts."""
    from services.orchestrator.control.worker import open_control
    from services.orchestrator.store.audit import open_audit_pool
    from services.orchestrator.store.database import open_pool
    from services.orchestrator.store.visit import visit_database
    from services.records.audit_log import AuditLog
    from services.records.keys import load_personal_store

    clock = SystemClock()
    async with visit_database(settings, clock) as (dsn, _):
        pool = await open_pool(dsn, settings)
        audit_pool = await open_audit_pool(settings, dsn)
        audit = AuditLog(audit_pool, load_personal_store(settings), clock)
        audit.start()
        worker = open_control(settings, pool, audit, clock, audit.pending_row)
        try:
            yield worker
        finally:
            await worker.close()
            await audit.close()
            audit_pool.terminate()
            pool.terminate()


async def _note_reading(worker: "ControlWorker", review: "Review") -> None:
    from services.records.entry import AuditEntry

    entry = AuditEntry(
        actor=getpass.getuser(),
        action="audit.personal_read",
        at=worker.room.clock.wall(),
        subject=review.effect_id,
        call_id=review.call_id,
        detail={"command": "review show"},
    )
    await worker.room.audit.append(entry)


async def _number(worker: "ControlWorker", callback: "Callback") -> str:
    return (await worker.room.effects.keys.recall(callback.call_id)).ani or "erased or unknown"


def _whole(review: "Review", given: str) -> str:
    """The whole hash for its first 8 digits or more; anything else as it is, to be refused as not the same."""
    return review.request_hash if len(given) >= 8 and review.request_hash.startswith(given) else given


def _say(outcome: "Outcome", as_json: bool, code: int) -> int:
    row = {"effect_id": outcome.effect_id, "state": outcome.state, "reason": outcome.reason}
    why = f" ({outcome.reason})" if outcome.reason else ""
    typer.echo(json.dumps(row) if as_json else f"{outcome.effect_id}: {outcome.state}{why}")
    return code


def _plain(record: Any) -> dict[str, Any]:
    found = {name: getattr(record, name) for name in record.__slots__}
    return {name: value.isoformat() if hasattr(value, "isoformat") else value for name, value in found.items()}


def _table(*columns: str) -> Table:
    table = Table(box=None, pad_edge=False)
    for column in columns:
        table.add_column(column)
    return table
