"""What `trunkline audit init | verify | show | export | checkpoint | shred | rewrap` do."""

import contextlib
import getpass
import json
import sys
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import typer

from services.cli.audit_report import entry_table, verify_text
from services.common.clock import Clock
from services.common.errors import InvalidInputError, SettingsError, UnavailableError
from services.common.personal import Personal
from services.common.settings import Settings
from services.records.entry import AuditEntry, prepare
from services.records.keys import (
    WITNESS_KEY,
    WITNESS_PUBLIC,
    create_signer,
    load_key_ring,
    load_log_key,
    load_personal_store,
    load_verifier,
    load_witnesses,
    log_key_file,
    new_origin,
)
from services.records.notes import COSIGNATURE_V1, Note, Signer
from services.records.verify import verify as verify_export


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which entries to show."""

    call: str
    action: str
    last: int


async def init(settings: Settings, origin: str, witness: str, directory: Path | None, as_json: bool) -> int:
    """Make a key and print its public line. Raises SettingsError when there is one, InvalidInputError."""
    if witness:
        if directory is None:
            raise InvalidInputError("--dir", expected="the witness's directory", got="nothing")
        private, public = directory / WITNESS_KEY, directory / WITNESS_PUBLIC
        signer = Signer.generate(witness, COSIGNATURE_V1)
    else:
        private = log_key_file(settings)
        public = private.with_suffix(".pub")
        signer = Signer.generate(origin or new_origin())
    try:
        verifier = create_signer(private, public, signer)
    except FileExistsError:
        raise SettingsError(
            f"{private} exists already: a log keeps its key for life.",
            remedy="Use it. Moved away, new checkpoints no longer continue the log that was witnessed.",
        ) from None
    if as_json:
        typer.echo(json.dumps({"key_file": str(private), "public_file": str(public), "public_key": str(verifier)}))
    else:
        typer.echo(f"Private key: {private} (mode 0600; back it up, show it to nobody)")
        typer.echo(f"Public key:  {public}")
        typer.echo(str(verifier))
    return 0


async def verify(
    settings: Settings,
    clock: Clock,
    file: Path | None,
    log_key: str,
    witness_keys: Sequence[str],
    checkpoints: Sequence[Path],
    as_json: bool,
) -> int:
    """Print the report. Returns 1 when something was found."""
    if not log_key and file is not None:
        raise InvalidInputError(
            "--log-key",
            expected="the log's public key",
            got="nothing",
            remedy="Ask for log.pub over another way than the export.",
        )
    key = load_verifier(log_key or str(log_key_file(settings).with_suffix(".pub")))
    witnesses = [load_verifier(text) for text in witness_keys]
    if file is None and not witness_keys:
        witnesses = [client.verifier for client in load_witnesses(settings)]
    kept = [_read_note(path) for path in checkpoints]
    if file is not None:
        with _open_export(file) as lines:
            report = verify_export(lines, key, witnesses, kept)
    else:
        from services.records.export import export_log

        async with _visit(settings, clock) as (_, connection):
            gathered = [line async for line in export_log(connection, load_personal_store(settings))]
        report = verify_export(gathered, key, witnesses, kept)
    typer.echo(json.dumps(report.to_json()) if as_json else verify_text(report))
    return 0 if report.ok else 1


async def show(settings: Settings, clock: Clock, file: Path | None, wanted: Wanted, reveal: bool, as_json: bool) -> int:
    """Print the newest entries that are wanted, oldest first."""
    if file is not None:
        with _open_export(file) as lines:
            rows = _rows(lines, wanted)
    else:
        from services.records.export import export_log

        async with _visit(settings, clock) as (_, connection):
            store = load_personal_store(settings) if reveal else None
            if reveal:
                await _note_reading(settings, connection, clock, "show", wanted.call)
            rows = _rows([line async for line in export_log(connection, store)], wanted)
    if as_json:
        typer.echo(json.dumps({"entries": rows}, ensure_ascii=False))
    else:
        typer.echo(entry_table(rows))
    return 0


async def export(settings: Settings, clock: Clock, out: Path, call: str, personal: bool, as_json: bool) -> int:
    """Write the file; what is half written does not bear its name."""
    from services.records.export import export_call, export_log

    async with _visit(settings, clock) as (_, connection):
        store = load_personal_store(settings) if personal else None
        if personal:
            await _note_reading(settings, connection, clock, "export", call)
        lines = export_call(connection, call, store) if call else export_log(connection, store)
        count = await _write(lines, out)
    if str(out) != "-":
        if as_json:
            typer.echo(json.dumps({"file": str(out), "lines": count}))
        else:
            typer.echo(f"{out}: {count} lines. Check it with `trunkline audit verify {out} --log-key <log.pub>`.")
    return 0


async def checkpoint(settings: Settings, clock: Clock, out: Path | None, as_json: bool) -> int:
    """Sign now and print the note. Raises InconsistentLogError, UnavailableError."""
    from services.orchestrator.store.audit import open_audit_pool
    from services.records.checkpoint import Checkpoint, cosignatures
    from services.records.checkpointer import Checkpointer

    signer, witnesses = load_log_key(settings), load_witnesses(settings)
    async with _visit(settings, clock) as (dsn, _):
        pool = await open_audit_pool(settings, dsn)
        try:
            note = await Checkpointer(pool, signer, witnesses, clock).make()
        finally:
            pool.terminate()
    if note is None:
        raise UnavailableError("Nothing to sign: the log is empty, or another process signs right now.")
    if out is not None:
        _keep(out, str(note))
    by = [c.witness for c in cosignatures(note, [client.verifier for client in witnesses])]
    if as_json:
        size = Checkpoint.parse(note.text).size
        typer.echo(json.dumps({"size": size, "witnesses": by, "note": str(note)}, ensure_ascii=False))
    else:
        typer.echo(str(note), nl=False)
    missing = [client.verifier.name for client in witnesses if client.verifier.name not in by]
    if missing:
        typer.echo(f"Not signed by {', '.join(missing)}: see the log of this command and of the witness.", err=True)
    return 1 if missing else 0


async def shred(settings: Settings, clock: Clock, call: str, reason: str, as_json: bool) -> int:
    """Erase what opens the commitments of a call, and put that into the log, in one transaction; first the key of what
    its acts were asked with, which is refused while one is open."""
    from services.orchestrator.store.call_keys import CallKeys
    from services.orchestrator.store.database import open_pool
    from services.records.shred import shred_call

    async with _visit(settings, clock) as (dsn, connection):
        pool = await open_pool(dsn, settings)
        try:
            await CallKeys(pool, None).erase(call, "command line", reason)
        finally:
            pool.terminate()
        erased = await shred_call(
            connection, call, _by_command(clock, "audit.shredded", call, reason=reason), load_personal_store(settings)
        )
    said = f"{erased} personal values erased; the proofs stay valid."
    typer.echo(json.dumps({"call": call, "erased": erased}) if as_json else said)
    return 0


async def rewrap(settings: Settings, clock: Clock, as_json: bool) -> int:
    """Wrap the keys of calls under the key that seals now; keys that were rotated out are then needed by no row."""
    from services.orchestrator.store.call_keys import CallKeys
    from services.orchestrator.store.database import open_pool

    ring = load_key_ring(settings)
    async with _visit(settings, clock) as (dsn, _):
        pool = await open_pool(dsn, settings)
        try:
            done = await CallKeys(pool, ring).rewrap("command line")
        finally:
            pool.terminate()
    said = f"{done} keys of calls wrapped anew; all are under the key that seals now."
    typer.echo(json.dumps({"rewrapped": done}) if as_json else said)
    return 0


@contextlib.asynccontextmanager
async def _visit(settings: Settings, clock: Clock) -> AsyncIterator[tuple[str, Any]]:
    try:
        from services.orchestrator.store.visit import visit_database
    except ImportError:
        raise UnavailableError(
            "This installation cannot read the database.",
            remedy="Install trunkline[orchestrator], or give an export file.",
        ) from None
    async with visit_database(settings, clock) as place:
        yield place


async def _note_reading(settings: Settings, connection: Any, clock: Clock, command: str, call: str) -> None:
    """Reading personal data is itself on record, before it is read."""
    from services.common.postgres import typed_errors
    from services.records.audit_log import write_entries

    entry = _by_command(clock, "audit.personal_read", call, command=command)
    with typed_errors("auditing that personal data are read"):
        async with connection.transaction():
            await write_entries(connection, [prepare(entry)], load_personal_store(settings))


def _by_command(clock: Clock, action: str, call: str, **detail: str) -> AuditEntry:
    user = Personal(getpass.getuser(), "account")
    return AuditEntry(
        actor="command line",
        action=action,
        at=clock.wall(),
        subject=call,
        call_id=call,
        detail=detail,
        personal={"account": user},
    )


async def _write(lines: AsyncIterator[str], out: Path) -> int:
    count = 0
    if str(out) == "-":
        async for line in lines:
            sys.stdout.write(line + "\n")
            count += 1
        return count
    scratch = out.with_name(out.name + ".part")
    try:
        with scratch.open("w", encoding="utf-8") as file:
            async for line in lines:
                file.write(line + "\n")
                count += 1
        scratch.replace(out)
    except OSError as error:
        raise InvalidInputError("OUT", expected="a file that can be written", got=str(error.strerror)) from None
    finally:
        scratch.unlink(missing_ok=True)
    return count


@contextlib.contextmanager
def _open_export(file: Path) -> Iterator[Iterator[str]]:
    if str(file) == "-":
        yield iter(sys.stdin)
        return
    try:
        with file.open(encoding="utf-8", errors="replace") as lines:
            yield lines
    except OSError as error:
        raise InvalidInputError("FILE", expected="an export", got=f"{file}: {error.strerror}") from None


def _keep(out: Path, text: str) -> None:
    try:
        out.write_text(text, encoding="utf-8")
    except OSError as error:
        raise InvalidInputError("--out", expected="a file that can be written", got=str(error.strerror)) from None


def _read_note(path: Path) -> Note:
    try:
        return Note.parse(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidInputError("--checkpoint", expected="a signed checkpoint", got=type(error).__name__) from None


def _rows(lines: Any, wanted: Wanted) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    for line in lines:
        try:
            row = json.loads(line)
            if row["type"] != "entry":
                continue
            body = json.loads(row["entry"])
            action = str(body["action"])
            wanted_action = action.startswith(wanted.action) if wanted.action.endswith(".") else action == wanted.action
            if (not wanted.call or body["call"] == wanted.call) and (not wanted.action or wanted_action):
                rows.append({**body, "opened": {k: v["value"] for k, v in row.get("personal", {}).items()}})
        except (ValueError, KeyError, TypeError, AttributeError):
            raise InvalidInputError(
                "FILE",
                expected="an export",
                got="another line",
                remedy="Run `trunkline audit verify` on it: it names the line.",
            ) from None
    return rows[-wanted.last :] if wanted.last > 0 else rows
