"""`trunkline review` and `trunkline callbacks` as their users call them, each on a database of its own."""

import asyncio
import json
import re
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from services.cli.main import app
from services.cli.review import _control
from services.common.settings import load_settings
from services.orchestrator.bundles.checks import validate_directory
from services.orchestrator.bundles.signing import Signer
from services.orchestrator.control.facts import Caller
from services.orchestrator.store.bundles import BundleStore
from services.orchestrator.store.database import open_pool
from services.orchestrator.store.effects import NewEffect
from services.orchestrator.store.visit import visit_database
from tests.control.world import NUMBER

BUNDLE, _ = validate_directory(Path(__file__).parents[2] / "deploy" / "agents" / "bank-retail")


@pytest.mark.parametrize(
    ("words", "teaches"),
    [
        (["review"], "docs/control.md"),
        (["review", "approve"], "trunkline review approve 3f2a"),
        (["review", "settle"], "Nothing is sent"),
        (["callbacks"], "promised an answer"),
        (["callbacks", "done"], "trunkline callbacks done"),
    ],
)
def test_help_teaches_by_example(words, teaches):
    output = CliRunner().invoke(app, [*words, "--help"]).output
    assert teaches in re.sub(r"\s+", " ", re.sub(r"[│╭╰─╮╯]", " ", output))


@pytest.mark.slow
def test_a_review_is_shown_refused_and_its_callback_closed(tmp_path, monkeypatch):
    monkeypatch.setenv("TRUNKLINE__DATA_DIR", str(tmp_path / "data"))
    settings = load_settings()
    asyncio.run(_one_in_review(settings, Signer.create(tmp_path / "key.pem")))

    def call(*words: str, status: int = 0):
        result = CliRunner().invoke(app, [*words, "--json"])
        assert result.exit_code == status, result.output
        return json.loads(result.stdout)

    (review,) = call("review", "list")["reviews"]
    shown = call("review", "show", review["review_id"][:6])
    assert shown["request"]["street"] == "7 Harbour Road"
    wrong = call("review", "refuse", review["review_id"], "--hash", "0" * 64, "--by", "mia", status=1)
    assert "request hash" in wrong["error"]["message"]
    # From a machine that cannot reach the back end nothing is approved.
    away = call("review", "approve", review["review_id"], "--hash", shown["request_hash"], "--by", "mia", status=1)
    assert "control.backends" in away["error"]["message"] + away["error"]["remedy"]
    done = call("review", "refuse", review["review_id"], "--hash", shown["request_hash"][:16], "--by", "mia")
    assert done["state"] == "failed"
    assert "refused by mia already" in call(
        "review", "refuse", review["review_id"], "--hash", shown["request_hash"], "--by", "tom", status=1
    )["error"]["message"]  # fmt: skip
    (promised,) = call("callbacks", "list")["callbacks"]
    assert (promised["number"], promised["why"]) == (NUMBER, "refused")
    assert call("callbacks", "done", promised["callback_id"], "--by", "tom", "--note", "told")["done_by"] == "tom"
    assert call("callbacks", "list")["callbacks"] == []
    entries = call("audit", "show", "--last", "50")["entries"]
    told = [entry["action"] for entry in entries]
    for action in ("review.asked", "review.refused", "effect.failed", "callback.done", "audit.personal_read"):
        assert action in told
    assert "Harbour" not in json.dumps(entries)
    # The site's key is rotated: what the old one wrapped is wrapped anew, and opens.
    key_file = tmp_path / "data" / "control" / "seal.key"
    key_file.write_text(f"{key_file.read_text()}{'ab' * 32}\n")
    assert call("audit", "rewrap") == {"rewrapped": 1}
    assert call("audit", "rewrap") == {"rewrapped": 0}
    call("audit", "shred", "--call", "call-1", "--reason", "asked")
    assert call("callbacks", "list", "--all")["callbacks"][0]["number"] == "erased or unknown"


async def _one_in_review(settings, signer):
    async with _opened(settings) as pool:
        await BundleStore(pool).publish(BUNDLE, signer, "test")
    async with _control(settings) as worker:
        caller = Caller(NUMBER, "en-GB", "sip", "c-1001", 2)
        layer = worker.call(BUNDLE, "call-1", caller, "en-GB")
        await layer._known("identified")
        args = {"subject": "c-1001", "street": "7 Harbour Road", "postcode": "LS1 4AP"}
        new = NewEffect("e-1", "a" * 64, 3600, "b" * 64, "call-1", 1, BUNDLE.digest, "change_address", args, "c-1001")
        async with worker.room.effects.locked(["x"], 1) as held:
            row = await held.begin(replace(new, context={"caller.auth_level": 2}))
            row = await held.move(row, "review", reason="rule address-review")
        await worker.reviewing.ask_again(row)


@asynccontextmanager
async def _opened(settings):
    from services.common.clock import SystemClock

    async with visit_database(settings, SystemClock(), create=True) as (dsn, _):
        pool = await open_pool(dsn, settings)
        yield pool
        pool.terminate()
