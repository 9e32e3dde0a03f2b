"""Conversations against the real session, control layer, PostgreSQL and bank: gates hold, and see what is broken."""

import uuid
from pathlib import Path

import pytest
import pytest_asyncio

from services.cli.evals import proposer
from services.cli.evals.callers import RandomCaller
from services.cli.evals.page import render
from services.cli.evals.proposer import Slips
from services.cli.evals.run import Wanted, play_on
from services.cli.evals.world import stage
from services.orchestrator.bundles.checks import validate_directory
from services.orchestrator.control import facade
from services.orchestrator.control.backend import BackEnd
from services.orchestrator.control.policy import Policy
from services.orchestrator.control.reread import Reread
from services.orchestrator.dialogue import hearing, outcomes

AGENTS = Path(__file__).parents[2] / "deploy" / "agents"
pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(180)]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def bank(tmp_path_factory):
    directory = AGENTS / "bank-retail"
    bundle, _ = validate_directory(directory)
    async with stage(bundle, directory, tmp_path_factory.mktemp("world")) as up:
        yield up


def failing(run):
    return {name for name, value in run.gates().items() if value != (1.0 if name == "end_state_match" else 0)}


def told(run, gate):
    return [line for one in run.failed for line in getattr(one.findings, gate)]


async def test_every_scenario_and_seeded_callers_with_faults_hold_all_gates(bank):
    run = await play_on(bank, Wanted(faults=True, conversations=25, seed=11))
    assert [(one.name, one.findings.to_json()) for one in run.failed] == []
    assert run.audit == []
    assert run.played == len(bank.bundle.scenarios()) + 25
    assert sum(run.acts.values()) > 20
    assert len(run.planted) >= 3


async def test_the_same_seed_plays_the_same_conversations(bank):
    wanted = Wanted(conversations=4, seed=3, only=("balance-en",))
    first, second = [], []
    for said in (first, second):
        await play_on(bank, wanted, progress=lambda one, _, said=said: said.append(
            [(line.who, line.text, line.heard) for line in one.transcript.spoken if line.who == "caller"]))  # fmt: skip
    assert first == second


def _never_asks(monkeypatch):
    """The confirmation check off, in both places that hold it."""
    monkeypatch.setattr(Policy, "must_confirm", lambda *_: False)
    monkeypatch.setattr(outcomes, "_unread", lambda *_: False)


async def test_a_runtime_that_does_not_ask_first_fails_as_unauthorised(bank, monkeypatch):
    _never_asks(monkeypatch)
    run = await play_on(bank, Wanted(only=("refund-en", "address-en", "refund-hang-up-en")))
    assert "unauthorised_effects" in failing(run)
    assert any("never agreed" in line for line in told(run, "unauthorised_effects"))


async def test_a_runtime_that_takes_any_word_for_a_yes_fails_as_unauthorised(bank, monkeypatch):
    monkeypatch.setattr(hearing, "_says_yes", lambda *_: True)
    said_no = Slips(0, 0, 0, yes_nobody_said=0.9, claim_as_text=0, order_of_the_data=0, illegal_act=0)
    run = await play_on(bank, Wanted(conversations=10, seed=5, only=("refund-en",), slips=said_no))
    assert "unauthorised_effects" in failing(run)


async def test_a_runtime_with_another_key_for_each_delivery_pays_twice_and_fails_as_duplicate(bank, monkeypatch):
    one = BackEnd.one

    async def keyless(self, operation, args, timeout_s, key=""):
        return await one(self, operation, args, timeout_s, key=uuid.uuid4().hex if key else "")

    monkeypatch.setattr(BackEnd, "one", keyless)
    run = await play_on(bank, Wanted(faults=True, only=("refund-drop-after-commit-en",)))
    assert "duplicate_effects" in failing(run)


async def test_a_runtime_without_its_claim_guard_fails_as_ungrounded(bank, monkeypatch):
    monkeypatch.setattr(facade.ControlLayer, "guard", lambda _self, free: free)
    liar = Slips(0, 0, 0, 0, claim_as_text=0.4, order_of_the_data=0, illegal_act=0)
    run = await play_on(bank, Wanted(conversations=12, seed=2, only=("balance-en",), slips=liar))
    assert "ungrounded_claims" in failing(run)
    assert run.planted["a claim as free text"] > 3


async def test_a_runtime_that_believes_any_value_fails_as_unevidenced(bank, monkeypatch):
    monkeypatch.setattr(Reread, "says", lambda *_, **__: True)
    monkeypatch.setattr(proposer.Slipping, "_made_up", _other_reason)
    # A caller who says yes to whatever is read back.
    monkeypatch.setattr(RandomCaller, "_wrong_in", lambda *_, **__: [])
    liar = Slips(0, value_nobody_said=0.5, value_without_words=0, yes_nobody_said=0, claim_as_text=0,
                 order_of_the_data=0, illegal_act=0)  # fmt: skip
    run = await play_on(bank, Wanted(conversations=30, seed=4, only=("block-en",), slips=liar))
    assert "unevidenced_effects" in failing(run)


def _other_reason(self, evidence, words, legal):
    """Whenever a card is to be blocked: damaged, whatever was said."""
    if legal.asked != "reason":
        return None
    reading = proposer.Reading(proposer.Personal("damaged", "slot"), words, 0.99)
    return proposer.Act("fill", "reason", reading)


async def test_the_report_shows_a_failed_conversation_word_by_word(bank, monkeypatch):
    _never_asks(monkeypatch)
    run = await play_on(bank, Wanted(only=("refund-en",)))
    document = run.to_json({"bundle": {"agent": "bank-retail", "version": "1", "digest": "d" * 64}, "level": "text",
                            "model": "scripted", "seed": 0, "faults": False, "wall_s": 1.0})  # fmt: skip
    page = render(document)
    for piece in ("a gate failed", "never agreed", "I want a refund", "Blue Kettle Cafe", "refund-en"):
        assert piece in page
    assert document["scenarios"] == {"refund-en": {"runs": 1, "passed": 0}}


async def test_the_clinic_holds_all_gates(tmp_path):
    directory = AGENTS / "clinic"
    bundle, _ = validate_directory(directory)
    async with stage(bundle, directory, tmp_path) as up:
        run = await play_on(up, Wanted(faults=True))
    assert [(one.name, one.findings.to_json()) for one in run.failed] == []
