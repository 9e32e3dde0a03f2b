"""Sentences are filled from committed facts only; confirmations are of what was heard."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.common.personal import Personal
from services.orchestrator.bundles.checks import validate_directory
from services.orchestrator.control.confirm import Confirmations, reads_back
from services.orchestrator.control.ground import UngroundedError, fallback, ground
from services.orchestrator.control.ledger import Ledger
from services.orchestrator.control.model import Evidence, Outcome, Proposal, Value
from services.orchestrator.dialogue.model import Say
from tests.control.speech import PlainSpeaker

BANK, _ = validate_directory(Path(__file__).parents[2] / "deploy" / "agents" / "bank-retail")
S = 1_000_000_000
CARDS = [
    {"card_id": "card-1", "last4": "4417", "kind": "debit"},
    {"card_id": "card-2", "last4": "9023", "kind": "credit"},
]
REFUND = {"reference": "RE1001", "txn_id": "txn-2", "amount_minor": 1500, "currency": "GBP"}


def say(prompt, options=(), **facts):
    named = {name.replace("__", "."): Personal(value) for name, value in facts.items()}
    return ground(BANK, "en-GB", Say(1, prompt, named, tuple(options)), LEDGER, PlainSpeaker())


@pytest.fixture(autouse=True)
def ledger():
    global LEDGER
    LEDGER = Ledger()
    return LEDGER


def test_a_committed_act_is_told_with_its_own_answer(ledger):
    ledger.done("create_refund", Outcome("e", "committed", REFUND))
    assert say("p.refunded") == "Done. GBP 15.00 will be refunded. The reference is RE1001."


@pytest.mark.parametrize("state", ["pending", "executing", "failed", "unknown", "review"])
def test_an_act_that_did_not_commit_is_never_told(ledger, state):
    ledger.done("create_refund", Outcome("e", state, REFUND))
    with pytest.raises(UngroundedError, match="does not hold"):
        say("p.refunded")
    with pytest.raises(UngroundedError, match="nothing was committed"):
        say("talk.done")


def test_a_later_attempt_that_failed_takes_the_earlier_success_with_it(ledger):
    ledger.done("create_refund", Outcome("e", "committed", REFUND))
    ledger.done("create_refund", Outcome("f", "failed"))
    with pytest.raises(UngroundedError):
        say("p.refunded")


def test_facts_that_no_back_end_answered_are_not_said(ledger):
    ledger.done("create_refund", Outcome("e", "committed", REFUND))
    with pytest.raises(UngroundedError, match="was not answered by create_refund"):
        say("p.refunded", create_refund__amount_minor=150_000)


def test_a_read_is_told_only_when_it_answered(ledger):
    with pytest.raises(UngroundedError):
        say("p.balance")
    ledger.read("get_balance", [{"available_minor": 125_050, "currency": "GBP", "as_of": "2026-11-27T10:00:00+00:00"}])
    assert say("p.balance").startswith("You have GBP 1250.50 available")


def test_a_readback_names_records_that_were_read_and_the_words_of_values(ledger):
    ledger.read("list_cards", CARDS)
    text = say("p.block_readback", slot__card__last4="4417", slot__reason="lost")
    assert text == "I will block the card ending 4417, reported lost. Shall I go ahead?"
    with pytest.raises(UngroundedError, match="in no record of list_cards"):
        say("p.block_readback", slot__card__last4="0000", slot__reason="lost")


def test_money_of_a_slot_is_said_in_its_own_currency(ledger):
    ledger.read(
        "list_transactions", [{"txn_id": "t", "merchant": "Northern Rail", "date": "2026-11-18", "amount_minor": 5000}]
    )
    text = say(
        "p.refund_readback",
        slot__amount__minor=1500,
        slot__amount__currency="EUR",
        slot__txn__merchant="Northern Rail",
        slot__txn__date="2026-11-18",
    )
    assert text.startswith("I will refund EUR 15.00 for Northern Rail")


def test_a_clarification_names_only_records_that_were_read(ledger):
    ledger.read("list_cards", CARDS)
    options = ("{option.first.last4|digits}", "{option.second.last4|digits}")
    facts = {"option__first__last4": "4417", "option__second__last4": "9023"}
    assert say("talk.which", options, **facts) == "Do you mean 4417, or 9023?"
    with pytest.raises(UngroundedError):
        say("talk.which", options, **{**facts, "option__second__last4": "1234"})
    assert say("talk.which_goal", ("a refund", "your balance")) == "Is it about a refund, or about your balance?"


def test_a_masked_slot_is_not_said_whatever_the_bundle_wants(ledger):
    masked = BANK.slots["reason"].model_copy(update={"masked": True})
    from dataclasses import replace

    bundle = replace(BANK, slots={**BANK.slots, "reason": masked})
    ledger.read("list_cards", CARDS)
    facts = {"slot.card.last4": Personal("4417"), "slot.reason": Personal("lost")}
    with pytest.raises(UngroundedError, match="masked"):
        ground(bundle, "en-GB", Say(1, "p.block_readback", facts), ledger, PlainSpeaker())


def test_the_error_names_places_and_no_values(ledger):
    with pytest.raises(UngroundedError) as caught:
        say("p.block_readback", slot__card__last4="7777", slot__reason="lost")
    assert "7777" not in str(caught.value)
    assert fallback("de-DE") != fallback("en-GB") == fallback("xx-XX")


@settings(derandomize=True, max_examples=60)
@given(st.sampled_from(sorted(BANK.prompts["en-GB"])), st.sampled_from(["en-GB", "de-DE"]))
def test_no_sentence_with_a_place_is_said_when_nothing_is_known(prompt, locale):
    text = BANK.prompt(prompt, locale).text
    if "{" not in text:
        return
    with pytest.raises(UngroundedError):
        ground(BANK, locale, Say(1, prompt), Ledger(), PlainSpeaker())


# ---- confirmations


def refund(minor=1500):
    heard = Evidence("speech", 1, Personal("fifteen pounds"))
    args = {"amount_minor": Value(Personal(minor), heard), "txn_id": Value(Personal("txn-2"), Evidence("record"))}
    return Proposal("create_refund", args, 1)


def test_a_confirmation_counts_once_when_it_was_heard_to_its_end():
    confirmations = Confirmations()
    confirmations.ask(refund(), 7)
    confirmations.played(7, True, 1 * S)
    assert confirmations.use(refund(), 2 * S) == ""
    assert confirmations.use(refund(), 2 * S) == "not asked"


@pytest.mark.parametrize(
    ("steps", "why"),
    [
        ([], "not asked"),
        (["ask"], "not heard"),
        (["ask", "cut"], "not asked"),
        (["ask", "other speech"], "not heard"),
        (["ask", "heard", "other amount judged"], "not asked"),
        (["ask other amount", "heard"], "other arguments"),
        (["ask", "heard", "late"], "too late"),
        (["ask", "heard", "same judged"], ""),
    ],
)
def test_anything_between_the_question_and_the_yes_voids_it(steps, why):
    confirmations, now = Confirmations(60), 1 * S
    for step in steps:
        match step:
            case "ask":
                confirmations.ask(refund(), 7)
            case "ask other amount":
                confirmations.ask(refund(5000), 7)
            case "heard":
                confirmations.played(7, True, now)
            case "cut":
                confirmations.played(7, False, now)
            case "other speech":
                confirmations.played(8, True, now)
            case "other amount judged":
                confirmations.judged(refund(5000))
            case "same judged":
                confirmations.judged(refund())
            case "late":
                now += 61 * S
    assert confirmations.use(refund(), now) == why


def test_who_calls_is_not_part_of_what_is_confirmed():
    confirmations = Confirmations()
    confirmations.ask(refund(), 7)
    confirmations.played(7, True, 0)
    known = Value(Personal("c-1001"), Evidence("caller"))
    assert confirmations.use(Proposal("create_refund", {**refund().args, "subject": known}, 1), 0) == ""


def test_a_readback_of_fifty_does_not_confirm_fifteen():
    tool = BANK.tools["create_refund"]
    assert reads_back(tool, refund(), {"slot.amount.minor": 1500})
    assert not reads_back(tool, refund(), {"slot.amount.minor": 5000})


STEPS = st.lists(
    st.tuples(st.sampled_from(["ask", "play", "cut", "judge", "use"]), st.integers(1, 3), st.integers(1, 3))
)


@settings(derandomize=True, max_examples=400)
@given(STEPS)
def test_a_yes_never_counts_without_its_own_readback_heard_to_the_end(steps):
    """Against a model: only the newest read-back counts, of the same amount, heard, unused."""
    confirmations, asked, heard = Confirmations(10**6), None, False
    for what, speech, amount in steps:
        if what == "ask":
            confirmations.ask(refund(amount), speech)
            asked, heard = (speech, amount), False
        elif what in ("play", "cut"):
            confirmations.played(speech, what == "play", 0)
            if asked is not None and asked[0] == speech:
                heard, asked = what == "play", asked if what == "play" else None
        elif what == "judge":
            confirmations.judged(refund(amount))
            if asked is not None and asked[1] != amount:
                asked = None
        else:
            counts = confirmations.use(refund(amount), 0) == ""
            assert counts == (asked is not None and asked[1] == amount and heard)
            asked = None
