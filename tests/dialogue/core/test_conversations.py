"""Conversations with the bank, as tables: what the caller means, what was done, what was said."""

from dataclasses import replace

import pytest

from services.common.personal import Personal
from services.orchestrator.dialogue.manager import Dialogue
from services.orchestrator.dialogue.model import CallerSaid, Read, Understood
from tests.dialogue.core.scripted import (
    BANK,
    CANCEL,
    NO,
    PERSON,
    REPEAT,
    YES,
    CutShort,
    Desk,
    Keys,
    converse,
    give,
    money,
    pick,
    start,
    turn,
)

CARD = give("card", {"last4": "4417"}, "the debit card 4417")
REASON = give("reason", "lost", "I lost it")
PAYMENT = give("txn", {"merchant": "Blue Kettle Cafe"}, "the Blue Kettle Cafe")
BLOCK = ("block_card", {"subject": "c-1001", "card_id": "card-1", "reason": "lost"})


def refund(txn, amount):
    return ("create_refund", {"subject": "c-1001", "txn_id": txn, "amount_minor": amount, "currency": "GBP"})


def acts(desk):
    return [(tool, args) for tool, args, _ in desk.performed]


def test_a_card_is_blocked_after_its_readback_was_heard_and_affirmed():
    desk, dialogue = converse(
        turn(start("block_card")), turn(give("card", {"last4": "4417"}, sure=0.93)), turn(REASON), turn(YES)
    )
    assert desk.performed == [(*BLOCK, True)]
    assert "I will block the card ending 4417, reported lost. Shall I go ahead?" in desk.spoken
    assert desk.last == [
        "Your card ending 4417 is blocked. The reference is REF0.",
        "Is there anything else I can do for you?",
    ]
    assert dialogue.state.frames[0].status == "done"


def test_what_is_sure_enough_is_done_without_asking_where_the_bundle_says_so():
    desk, _ = converse(turn(start("block_card"), CARD, REASON))
    assert desk.performed == [(*BLOCK, False)]


def test_the_balance_is_told():
    desk, _ = converse(turn(start("balance")))
    assert desk.last[0] == "You have 125050 available, as of 2026-11-27T09:00:00Z."


def test_an_address_is_changed_after_readback():
    desk, _ = converse(
        turn(start("change_address")),
        turn(give("street", "3 Elm Road")),
        turn(give("postcode", "YO1 7HH")),
        turn(YES),
    )
    assert acts(desk) == [("change_address", {"subject": "c-1001", "street": "3 Elm Road", "postcode": "YO1 7HH"})]


def test_a_refund_that_a_rule_refuses_is_refused_in_the_rules_words_and_nothing_is_done():
    desk, dialogue = converse(
        turn(start("refund")), turn(give("txn", {"merchant": "City Lottery"})), turn(give("amount", money(20)))
    )
    assert desk.performed == []
    assert desk.last == ["That payment cannot be refunded.", "Is there anything else I can do for you?"]
    assert dialogue.state.frames[0].reason == "rule refundable"


def test_a_lower_amount_takes_up_a_refund_that_was_too_high():
    desk, _ = converse(
        turn(start("refund"), PAYMENT, give("amount", money(90))), turn(give("amount", money(10))), turn(YES)
    )
    assert acts(desk) == [refund("txn-1", 1000)]


def test_an_amount_corrected_at_the_readback_voids_it_and_is_read_back_anew():
    desk, _ = converse(
        turn(start("refund"), PAYMENT, give("amount", money(5), sure=0.95)),
        turn(NO, give("amount", money(10), "no, ten", corrects=True)),
        turn(YES),
    )
    assert [line for line in desk.spoken if line.startswith("I will refund")] == [
        "I will refund 500 for Blue Kettle Cafe on 2026-11-20. Say yes to confirm.",
        "I will refund 1000 for Blue Kettle Cafe on 2026-11-20. Say yes to confirm.",
    ]
    assert acts(desk) == [refund("txn-1", 1000)]


def test_a_yes_to_a_readback_that_was_not_heard_to_its_end_reads_it_again():
    desk, _ = converse(
        turn(start("refund"), PAYMENT),
        CutShort(),
        turn(give("amount", money(10))),
        turn(YES),
        turn(YES),
    )
    assert sum(line.startswith("I will refund") for line in desk.spoken) == 2
    assert acts(desk) == [refund("txn-1", 1000)]


def test_who_speaks_over_what_was_done_and_means_nothing_hears_it_again():
    so_far = (turn(start("block_card")), turn(CARD), CutShort(), turn(REASON))
    blocked = "Your card ending 4417 is blocked. The reference is REF0."
    assert converse(*so_far, turn())[0].last[0] == blocked
    # Heard now: it is owed no more.
    desk, _ = converse(*so_far, turn(), turn())
    assert desk.last[0] == "Sorry, I did not catch that."
    assert len(desk.performed) == 1


def test_no_to_a_readback_does_nothing_and_asks_what_should_be_different():
    desk, _ = converse(turn(start("refund"), PAYMENT, give("amount", money(10))), turn(NO), turn(NO))
    assert desk.performed == []
    assert "All right, I will not do that. What should be different?" in desk.spoken
    assert desk.last == ["All right, I will leave that.", "Is there anything else I can do for you?"]


def test_two_goals_are_done_by_priority_and_the_second_is_announced():
    desk, _ = converse(turn(start("balance"), start("block_card")), turn(CARD), turn(REASON))
    assert acts(desk) == [BLOCK]
    assert desk.last[:3] == [
        "Your card ending 4417 is blocked. The reference is REF0.",
        "Now to your balance.",
        "You have 125050 available, as of 2026-11-27T09:00:00Z.",
    ]


def test_a_goal_that_comes_between_is_done_first_and_the_other_goes_on_with_nothing_asked_twice():
    desk, _ = converse(
        turn(start("refund")),
        turn(PAYMENT),
        turn(start("block_card"), CARD),
        turn(REASON),
        turn(give("amount", money(10))),
        turn(YES),
    )
    assert acts(desk) == [BLOCK, refund("txn-1", 1000)]
    assert [prompt for prompt in desk.prompts if prompt.startswith("p.ask")] == [
        "p.ask_txn",
        "p.ask_amount",
        "p.ask_reason",
        "p.ask_amount",
    ]
    assert "Now to a refund." in desk.spoken


def test_a_goal_of_lower_priority_waits():
    desk, _ = converse(turn(start("block_card")), turn(start("balance")), turn(CARD, REASON))
    assert "I will come to your balance after this." in desk.spoken
    assert desk.prompts.index("p.blocked") < desk.prompts.index("p.balance")


def test_of_two_payments_that_fit_the_caller_is_asked_which():
    desk, _ = converse(
        turn(start("refund")),
        turn(give("txn", {"merchant": "Northern Rail"})),
        turn(pick("txn", 1)),
        turn(give("amount", money(15))),
        turn(YES),
    )
    assert "Do you mean Northern Rail, 5000, 2026-11-18, or Northern Rail, 1500, 2026-11-19?" in desk.spoken
    assert acts(desk) == [refund("txn-3", 1500)]


def test_more_words_about_the_payments_named_pick_one():
    desk, _ = converse(
        turn(start("refund"), give("txn", "northern rail")),
        turn(give("txn", {"amount_minor": 5000})),
        turn(give("amount", money(50))),
        turn(YES),
    )
    assert acts(desk) == [refund("txn-2", 5000)]


def test_that_there_is_no_such_payment_is_said():
    desk, _ = converse(turn(start("refund")), turn(give("txn", {"merchant": "Opera House"})))
    assert desk.last == [
        "I cannot find that one.",
        "Which payment is it about? The shop and the amount will do.",
    ]


def test_between_fifteen_and_fifty_the_caller_decides():
    desk, _ = converse(
        turn(start("refund"), give("txn", {"merchant": "Northern Rail", "amount_minor": 5000})),
        turn(give("amount", money(50), "fifty", sure=0.95, rivals=(money(15),))),
        turn(pick("amount", 1)),
        turn(YES),
    )
    assert "Do you mean 5000, or 1500?" in desk.spoken
    assert acts(desk) == [refund("txn-2", 1500)]


def test_what_was_heard_badly_is_asked_again_and_after_two_times_a_person_comes():
    desk, _ = converse(
        turn(start("block_card")),
        turn(give("card", {"last4": "4417"}, sure=0.3)),
        turn(give("card", {"last4": "4417"}, sure=0.3)),
    )
    assert desk.prompts.count("p.ask_card") == 2
    assert desk.handed_over.reason == "clarification"


def test_what_was_heard_halfway_is_asked_back():
    desk, _ = converse(
        turn(start("block_card"), give("card", {"last4": "9023"}, sure=0.7)), turn(YES), turn(REASON), turn(YES)
    )
    assert "Is that 9023, credit?" in desk.spoken
    assert desk.performed[0][1]["card_id"] == "card-2"


def test_a_caller_is_identified_by_keys_and_goes_on_where_it_was():
    desk, _ = converse(turn(start("block_card")), turn(CARD, REASON), Keys("1234"), level=0)
    assert acts(desk) == [BLOCK]
    assert desk.prompts.count("p.ask_card") == 1
    assert "Before I can do that, I need to check who you are." in desk.spoken


def test_a_refund_steps_up_twice():
    desk, _ = converse(
        turn(start("refund"), PAYMENT, give("amount", money(10))), Keys("1234"), Keys("1234"), turn(YES), level=0
    )
    assert acts(desk) == [refund("txn-1", 1000)]


def test_who_is_not_identified_twice_gets_a_person():
    desk, _ = converse(turn(start("balance")), Keys("9999"), Keys("9999"), level=0)
    assert desk.handed_over.reason == "not_identified"


def test_a_back_end_that_is_down_is_said_and_handed_over_as_the_bundle_says():
    desk, _ = converse(turn(start("block_card"), CARD, REASON), outcomes={"block_card": [("queued", "unreached")]})
    assert desk.last == [
        "The card system is not answering, so the card is not blocked yet. "
        "We keep trying, and I am connecting you to the fraud team now."
    ]
    assert (desk.handed_over.route, desk.handed_over.reason) == ("fraud", "tool_failed")


def test_a_read_that_fails_is_said_and_the_rest_goes_on():
    desk, _ = converse(turn(start("balance"), start("block_card"), CARD, REASON), down={"get_balance"})
    assert acts(desk) == [BLOCK]
    assert desk.last[-2:] == [
        "I cannot reach the system for that right now.",
        "Is there anything else I can do for you?",
    ]


@pytest.mark.parametrize(
    ("state", "reason", "said"),
    [
        ("unknown", "no clear answer", "talk.unknown"),
        ("review", "rule refund-month", "talk.review"),
        ("failed", "refused 422", "talk.refused"),
    ],
)
def test_what_did_not_commit_is_told_as_it_is(state, reason, said):
    desk, _ = converse(
        turn(start("refund"), PAYMENT, give("amount", money(10))),
        turn(YES),
        outcomes={"create_refund": [(state, reason)]},
    )
    assert said in desk.prompts
    assert "p.refunded" not in desk.prompts
    assert desk.handed_over is None


def test_an_act_whose_end_is_unknown_is_not_asked_for_again_in_this_call():
    again = turn(start("refund"), PAYMENT, give("amount", money(10)))
    desk, _ = converse(again, turn(YES), again, outcomes={"create_refund": [("unknown", "")]})
    assert len(desk.asked_by_hash) == 1
    assert desk.prompts.count("talk.unknown") == 2


def test_what_a_person_must_decide_is_said_and_not_done():
    desk, _ = converse(turn(start("refund"), PAYMENT, give("amount", money(10))), refunded=49_900)
    assert desk.performed == []
    assert desk.last[0] == "A colleague has to look at this first. We will call you back."


def test_who_asks_for_a_person_gets_one_whatever_is_open():
    desk, _ = converse(turn(start("refund"), PAYMENT, give("amount", money(10))), turn(PERSON, YES))
    assert (desk.handed_over.route, desk.handed_over.reason) == ("default", "asked")
    assert desk.performed == []


def test_the_person_goal_hands_over_in_its_own_words():
    desk, _ = converse(turn(start("person")))
    assert desk.last == ["I am connecting you to a colleague."]
    assert desk.handed_over.reason == "asked"


def test_two_goals_that_may_be_meant_are_named():
    desk, _ = converse(turn(rivals=("refund", "balance")), turn(pick(which=1)))
    assert "Is it about a refund, or about your balance?" in desk.spoken
    assert desk.last[0].startswith("You have")


def test_nothing_understood_three_times_brings_a_person():
    desk, _ = converse(turn(), turn(), turn())
    assert desk.handed_over.reason == "no_match"


def test_a_wish_said_again_and_again_brings_a_person():
    desk, _ = converse(turn(start("refund")), turn(start("refund")), turn(start("refund")))
    assert desk.handed_over.reason == "reformulation"


def test_a_goal_is_dropped_and_its_values_are_kept_for_later():
    desk, _ = converse(turn(start("block_card"), CARD), turn(CANCEL), turn(start("block_card")), turn(REASON))
    assert acts(desk) == [BLOCK]
    assert desk.prompts.count("p.ask_card") == 0


def test_the_last_words_are_said_again():
    desk, _ = converse(turn(start("refund")), turn(REPEAT))
    assert desk.last == ["Which payment is it about? The shop and the amount will do."]


def test_a_second_refund_in_one_call_is_another_one():
    first = turn(start("refund"), PAYMENT, give("amount", money(10)))
    second = turn(start("refund"), give("txn", {"merchant": "Northern Rail", "amount_minor": 1500}))
    desk, _ = converse(first, turn(YES), second, turn(give("amount", money(15))), turn(YES))
    assert acts(desk) == [refund("txn-1", 1000), refund("txn-3", 1500)]


def test_keys_are_a_card_that_was_not_misheard():
    desk, _ = converse(turn(start("block_card")), Keys("9023", "card"), turn(REASON))
    assert desk.performed[0][1]["card_id"] == "card-2"


def test_the_masked_and_the_keyed_are_expected_as_the_slot_says():
    desk, _ = converse(turn(start("block_card")))
    assert (desk.expected.slot, desk.expected.keys) == ("card", True)


def test_a_yes_that_the_control_layer_does_not_count_is_asked_for_again():
    desk, _ = converse(
        turn(start("refund"), PAYMENT, give("amount", money(10))),
        turn(YES),
        turn(YES),
        outcomes={"create_refund": [("failed", "rule confirmation (too late)")]},
    )
    assert desk.prompts.count("p.refund_readback") == 2
    assert acts(desk) == [refund("txn-1", 1000)]


def test_two_references_are_looked_up_side_by_side():
    desk = Desk()
    goal = BANK.goals["refund"].model_copy(update={"needs": ("txn", "card", "amount")})
    dialogue = Dialogue(replace(BANK, goals={**BANK.goals, "refund": goal}), "en-GB")
    dialogue.begin()
    said = Understood(1, Personal("words"), (start("refund"), PAYMENT, CARD))
    reads = [decision.tool for decision in dialogue.handle(CallerSaid(said)) if isinstance(decision, Read)]
    assert reads == ["list_transactions", "list_cards"]
    assert desk.performed == []


def test_the_same_bank_in_german_says_every_sentence_of_a_blocked_card():
    desk, _ = converse(
        turn(start("block_card")), turn(give("card", "meine Karte 4417", sure=0.95)), turn(REASON), turn(YES),
        locale="de-DE",
    )  # fmt: skip
    assert desk.last[0] == "Ihre Karte mit der Endung 4417 ist gesperrt. Die Referenz ist REF0."
    assert desk.last[1] == "Kann ich sonst noch etwas für Sie tun?"


def test_where_there_is_nothing_to_key_a_person_finds_out_who_it_is():
    agent = BANK.agent.model_copy(update={"identify": BANK.agent.identify.model_copy(update={"keys": None})})
    desk, _ = converse(turn(start("balance")), level=0, bundle=replace(BANK, agent=agent))
    assert desk.handed_over.reason == "not_identified"


def test_a_wish_said_again_with_what_was_asked_for_is_an_answer():
    desk, _ = converse(turn(start("block_card")), turn(start("block_card"), CARD), turn(start("block_card"), REASON))
    assert desk.handed_over is None
    assert acts(desk) == [BLOCK]


def test_a_yes_that_was_hardly_heard_is_no_yes():
    desk, _ = converse(
        turn(start("refund"), PAYMENT, give("amount", money(10))), turn(replace(YES, confidence=0.4)), turn(YES)
    )
    assert desk.prompts.count("p.refund_readback") == 2
    assert len(desk.performed) == 1


def test_a_value_hardly_heard_that_nobody_asked_for_is_noise():
    desk, dialogue = converse(turn(start("block_card"), give("reason", "stolen", sure=0.2)))
    assert desk.last == ["Which card is it? You can say or key the last four digits."]
    assert dialogue.state.counts.clarify_fails == {}


def test_the_same_account_is_the_record_used_last_and_falls_with_it():
    goal = BANK.goals["refund"].model_copy(update={"needs": ("other", "txn", "amount")})
    other = BANK.slots["txn"].model_copy(update={"ask": "p.ask_street"})
    bundle = replace(BANK, goals={**BANK.goals, "refund": goal}, slots={**BANK.slots, "other": other})
    desk, dialogue = converse(
        turn(start("refund"), give("other", "blue kettle cafe")), turn(pick("txn")), bundle=bundle
    )
    assert dialogue.state.slots["txn"].record == dialogue.state.slots["other"].record
    desk.settle(dialogue, dialogue.handle(desk.event(dialogue, turn(give("other", "city lottery", corrects=True)))))
    assert "txn" not in dialogue.state.slots


def test_who_wants_nothing_more_hears_a_goodbye_and_no_further_question():
    desk, dialogue = converse(turn(start("balance")), turn(NO))
    assert desk.ended
    assert desk.last == ["Thank you for calling. Goodbye."]
    # Who speaks over the goodbye is heard.
    desk.settle(dialogue, dialogue.handle(desk.event(dialogue, turn(start("balance")))))
    assert desk.last[-1] == "Is there anything else I can do for you?"


@pytest.mark.parametrize("turns", [(), (turn(start("refund"), PAYMENT, give("amount", money(10))),)])
def test_a_no_to_anything_but_the_last_question_ends_no_call(turns):
    desk, _ = converse(*turns, turn(NO))
    assert not desk.ended
