"""`trunkline audit …` as an administrator and an auditor meet it: over processes, files and exit status."""

import asyncio
import json
import subprocess
import sys

import asyncpg
import pytest
from typer.testing import CliRunner

from services.cli.main import app
from services.orchestrator.store.migrations import migrate
from services.records.audit_log import write_entries
from services.records.entry import prepare
from services.records.personal_store import PersonalStore
from tests.records.lab import call_entry
from tests.store.conftest import empty, server  # noqa: F401

runner = CliRunner()


class Office:
    """A data directory, a database with calls in its audit log, and the command."""

    def __init__(self, dsn, directory):
        self.dsn, self.dir = dsn, directory

    def run(self, *arguments, status=0, db=True):
        options = ["--set", f"data_dir={self.dir}"]
        options += ["--set", f"database.dsn={self.dsn}", "--set", "records.audit.personal=plain"] if db else []
        answer = runner.invoke(app, ["audit", *arguments, *options])
        assert answer.exit_code == status, answer.output
        return answer.stdout

    @property
    def pub(self):
        return str(self.dir / "audit" / "log.pub")


async def fill(dsn, numbers):
    connection = await asyncpg.connect(dsn)
    await migrate(connection)
    async with connection.transaction():
        await write_entries(connection, [prepare(call_entry(n)) for n in numbers], PersonalStore("plain"))
    await connection.close()


@pytest.fixture
def office(dsn_of_session, tmp_path):
    asyncio.run(fill(dsn_of_session, range(5)))
    office = Office(dsn_of_session, tmp_path)
    office.run("init", "--origin", "bank.example/audit")
    return office


@pytest.fixture
def dsn_of_session(empty):  # noqa: F811
    return empty


def test_from_a_key_to_a_verified_export_and_a_found_edit(office, tmp_path):
    note = office.run("checkpoint", "--out", str(tmp_path / "kept"))
    assert note.startswith("bank.example/audit\n5\n")
    out = tmp_path / "audit.jsonl"
    office.run("export", str(out))
    assert "jane" not in out.read_text()
    said = office.run("verify", str(out), "--log-key", office.pub, db=False)
    assert "OK: every entry is as it was signed." in said
    assert "No witness key" in said

    out.write_text(out.read_text().replace("call3", "call9"))
    said = office.run("verify", str(out), "--log-key", office.pub, status=1, db=False)
    assert "Entry 3 was edited" in said
    report = json.loads(office.run("verify", str(out), "--log-key", office.pub, "--json", status=1, db=False))
    assert report["findings"][0]["kind"] == "edited"
    assert report["findings"][0]["index"] == 3


def test_a_cut_off_end_is_found_with_the_checkpoint_that_the_auditor_kept(office, tmp_path):
    out, kept = tmp_path / "audit.jsonl", tmp_path / "kept"
    office.run("export", str(out))
    office.run("checkpoint", "--out", str(kept))
    said = office.run("verify", str(out), "--log-key", office.pub, "--checkpoint", str(kept), db=False)
    assert "OK" in said
    lines = out.read_text().splitlines()
    end = json.dumps({"type": "end", "entries": 3, "checkpoints": 0})
    out.write_text("\n".join([*lines[:4], end, ""]))
    said = office.run("verify", str(out), "--log-key", office.pub, "--checkpoint", str(kept), status=1, db=False)
    assert "Entries 3 to 4 are missing: 5 entries were signed" in said


def test_reading_personal_data_is_audited_and_shredding_takes_it_away_for_good(office, tmp_path):
    assert "jane" not in office.run("show")
    assert "jane" in office.run("show", "--reveal", "--call", "call2")
    rows = json.loads(office.run("show", "--json", "--action", "audit."))["entries"]
    assert [row["action"] for row in rows] == ["audit.personal_read"]
    assert "1 personal values erased" in office.run("shred", "--call", "call2", "--reason", "request 17")
    assert "jane" not in office.run("show", "--reveal", "--call", "call2")
    office.run("checkpoint")
    one = tmp_path / "one.jsonl"
    office.run("export", str(one), "--call", "call1", "--personal")
    assert "jane" in one.read_text()
    said = office.run("verify", str(one), "--log-key", office.pub, db=False)
    assert "OK" in said
    assert "1 newer entries of this call are left out" in said
    office.run("checkpoint")
    assert "OK" in office.run("verify")


def test_mistakes_are_sentences_with_a_remedy(office, tmp_path):
    for arguments, words in (
        (["init"], "exists already"),
        (["verify", str(tmp_path / "none"), "--log-key", office.pub], "No such file"),
        (["verify", str(tmp_path / "none")], "--log-key"),
        (["verify", office.pub, "--log-key", office.pub], "a header of trunkline-audit/1"),
        (["verify", office.pub, "--log-key", "x+y"], "public key"),
        (["export", str(tmp_path / "o"), "--call", "none"], "a call with audit entries"),
        (["export", str(tmp_path / "o"), "--call", "call1"], "audit checkpoint"),
    ):
        options = ["--set", f"data_dir={office.dir}", "--set", f"database.dsn={office.dsn}"]
        answer = runner.invoke(app, ["audit", *arguments, *options])
        assert answer.exit_code == 1, answer.output
        assert words in answer.stderr, answer.stderr
        assert "Traceback" not in answer.output


@pytest.mark.parametrize("command", ["init", "verify", "show", "export", "checkpoint", "shred", "rewrap", "witness"])
def test_each_command_teaches_by_example(command):
    answer = runner.invoke(app, ["audit", command, "--help"])
    assert answer.exit_code == 0
    assert "Example" in answer.output


def test_a_witness_in_a_process_of_its_own_signs_and_finds_the_insider_who_has_the_logs_key(office, tmp_path):
    directory = tmp_path / "witness"
    office.run("init", "--witness", "revision.example/w1", "--dir", str(directory), db=False)
    process = subprocess.Popen(
        [sys.executable, "-m", "services.cli.main", "audit", "witness", "--dir", str(directory), "--log-key",
         office.pub, "--listen", "127.0.0.1:0", "--json"],
        stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        ready = json.loads(process.stdout.readline())
        witness = ["--set", f"records.audit.witnesses={ready['url']} {ready['key']}"]
        signed = json.loads(office.run("checkpoint", "--json", *witness))
        assert signed["witnesses"] == ["revision.example/w1"]
        kept = tmp_path / "kept"
        kept.write_text(signed["note"])
        assert "witnessed" in office.run("verify", *witness)

        asyncio.run(rewrite(office.dsn))
        office.run("checkpoint", status=1, *witness)  # noqa: B026
        out = tmp_path / "audit.jsonl"
        office.run("export", str(out))
        keys = ["--log-key", office.pub, "--witness-key", str(directory / "witness.pub")]
        said = office.run("verify", str(out), *keys, "--checkpoint", str(kept), status=1, db=False)
        assert "rewritten" in said
        assert "fork" in said
    finally:
        process.terminate()
        process.wait(10)


async def rewrite(dsn):
    """Everything anew, with another first entry, by somebody who may do all and has the log's key."""
    connection = await asyncpg.connect(dsn)
    await connection.execute("SET session_replication_role = replica")
    await connection.execute("DELETE FROM audit_entries")
    await connection.execute("DELETE FROM audit_checkpoints")
    await connection.execute("DELETE FROM audit_personal")
    async with connection.transaction():
        await write_entries(connection, [prepare(call_entry(n)) for n in (7, 1, 2, 3, 4)], PersonalStore("plain"))
    await connection.close()
