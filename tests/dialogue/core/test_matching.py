"""Which record is meant, as a table: what was read of the words, and the records it names."""

import pytest

from services.orchestrator.dialogue.matching import matches
from tests.dialogue.core.scripted import BANK, CARDS, PAYMENTS, converse, give, start, turn, without_confirm

CARD, PAYMENT = ("last4", "kind"), ("merchant", "amount_minor", "date")


@pytest.mark.parametrize(
    ("data", "records", "fields", "meant"),
    [
        ({"last4": "4417"}, CARDS, CARD, [0]),
        ({"last4": "4417", "kind": "the one ending in"}, CARDS, CARD, [0]),
        ({"last4": "17"}, CARDS, CARD, [0]),
        ({"last4": "7"}, CARDS, CARD, []),
        ({"last4": "0000", "kind": "debit"}, CARDS, CARD, []),
        ({"kind": "my credit card"}, CARDS, CARD, [1]),
        ({"kind": "meine Debitkarte"}, CARDS, CARD, [0]),
        ({"kind": "gold"}, CARDS, CARD, []),
        ("4417", CARDS, CARD, [0]),
        ("4 4 1 7", CARDS, CARD, [0]),
        ({"merchant": "northern rail"}, PAYMENTS, PAYMENT, [1, 2]),
        ({"merchant": "nothern railway", "amount_minor": 5000}, PAYMENTS, PAYMENT, [1]),
        ({"merchant": "the train", "amount_minor": 1500}, PAYMENTS, PAYMENT, [2]),
        ({"merchant": "the kettle"}, PAYMENTS, PAYMENT, [0]),
        ({"merchant": "cafe", "amount_minor": 1200}, PAYMENTS, PAYMENT, [0]),
        ({"amount_minor": 2000}, PAYMENTS, PAYMENT, [3]),
        ({"date": "2026-11-19"}, PAYMENTS, PAYMENT, [2]),
        ({"merchant": "northern rail", "amount_minor": 9900}, PAYMENTS, PAYMENT, []),
        ({"merchant": "opera house"}, PAYMENTS, PAYMENT, []),
        ({}, PAYMENTS, PAYMENT, []),
        ("northern rail 50", PAYMENTS, PAYMENT, [1]),
    ],
)
def test_what_was_said_names_these_records(data, records, fields, meant):
    assert matches(data, records, fields) == meant


def test_the_name_of_one_record_needs_no_question_of_its_own_where_all_is_read_back():
    desk, dialogue = converse(turn(start("refund")), turn(give("txn", {"merchant": "Blue Kettle Cafe"}, sure=0.75)))
    assert "talk.is_it" not in desk.prompts
    assert dialogue.state.slots["txn"].confidence == 0.75


def test_a_name_that_was_hardly_heard_or_is_of_several_records_is_asked_about():
    doubted, _ = converse(turn(start("refund")), turn(give("txn", {"merchant": "Blue Kettle Cafe"}, sure=0.6)))
    assert doubted.prompts[-1] == "talk.is_it"
    several, _ = converse(turn(start("refund")), turn(give("txn", {"merchant": "Northern Rail"}, sure=0.75)))
    assert several.prompts[-1] == "talk.which"


def test_where_nothing_is_read_back_a_name_alone_is_asked_about():
    bundle = without_confirm(BANK, "create_refund")
    desk, _ = converse(
        turn(start("refund")), turn(give("txn", {"merchant": "Blue Kettle Cafe"}, sure=0.75)), bundle=bundle
    )
    assert desk.prompts[-1] == "talk.is_it"
