"""The worker dies after any event of a conversation; another goes on from the stored state, nothing is asked twice."""

import pytest

from tests.dialogue.core.scripted import (
    NO,
    YES,
    Desk,
    Keys,
    give,
    money,
    new,
    pick,
    start,
    turn,
)

PAYMENT = give("txn", {"merchant": "Blue Kettle Cafe"})
CONVERSATIONS = {
    "block": [
        turn(start("block_card")),
        turn(give("card", {"last4": "4417"}, sure=0.93)),
        turn(give("reason", "lost", "I lost it")),
        turn(YES),
    ],
    "balance": [turn(start("balance"))],
    "corrected refund": [
        turn(start("refund")),
        turn(PAYMENT),
        turn(give("amount", money(5))),
        turn(NO, give("amount", money(10), corrects=True)),
        turn(YES),
    ],
    "ambiguous": [
        turn(start("refund"), give("txn", {"merchant": "Northern Rail"})),
        turn(pick("txn", 1)),
        turn(give("amount", money(15), rivals=(money(50),))),
        turn(pick("amount", 0)),
        turn(YES),
    ],
    "two goals": [
        turn(start("balance"), start("block_card")),
        turn(give("card", {"last4": "4417"})),
        turn(give("reason", "lost", "lost")),
    ],
    "one between": [
        turn(start("refund"), PAYMENT),
        turn(start("block_card"), give("card", {"last4": "9023"})),
        turn(give("reason", "stolen", "stolen")),
        turn(give("amount", money(10))),
        turn(YES),
    ],
    "refused": [turn(start("refund"), give("txn", {"merchant": "City Lottery"})), turn(give("amount", money(20)))],
    "unknown end": [turn(start("refund"), PAYMENT, give("amount", money(10))), turn(YES)],
    "down": [turn(start("block_card"), give("card", {"last4": "4417"}), give("reason", "lost", "lost"))],
    "identified on the way": [
        turn(start("refund"), PAYMENT, give("amount", money(10))),
        Keys("1234"),
        Keys("1234"),
        turn(YES),
    ],
    "address": [
        turn(start("change_address")),
        turn(give("street", "3 Elm Road")),
        turn(give("postcode", "YO1 7HH")),
        turn(YES),
    ],
}
BACK_ENDS = {
    "unknown end": {"outcomes": {"create_refund": [("unknown", "no clear answer")]}},
    "down": {"outcomes": {"block_card": [("queued", "unreached")]}},
    "identified on the way": {"level": 0},
}
# What must have been heard at the end, whoever said it.
TOLD = {
    "block": "p.blocked",
    "balance": "p.balance",
    "corrected refund": "p.refunded",
    "ambiguous": "p.refunded",
    "two goals": "p.balance",
    "one between": "p.refunded",
    "refused": "p.not_refundable",
    "unknown end": "talk.unknown",
    "down": "p.block_queued",
    "identified on the way": "p.refunded",
    "address": "p.address_changed",
}


def desk_for(name):
    more = BACK_ENDS.get(name, {})
    return Desk(
        level=more.get("level", 2), outcomes={tool: list(script) for tool, script in more.get("outcomes", {}).items()}
    )


@pytest.mark.parametrize("acted", [False, True], ids=["before acting", "after acting"])
@pytest.mark.parametrize("name", CONVERSATIONS)
def test_whenever_the_worker_dies_the_same_is_done_once_and_told(name, acted):
    whole, dialogue = new(desk_for(name))
    whole.talk(dialogue, CONVERSATIONS[name])
    at, died = 0, True
    while died:
        desk, dialogue = new(desk_for(name))
        dialogue, died = desk.talk_and_die(dialogue, CONVERSATIONS[name], at, acted=acted)
        done = sorted((tool, sorted(args.items())) for tool, args, _ in desk.performed)
        assert done == sorted((tool, sorted(args.items())) for tool, args, _ in whole.performed), at
        assert TOLD[name] in desk.prompts, at
        assert [frame.status for frame in dialogue.state.frames] == [
            "abandoned" if whole.handed_over else "done"
        ] * len(dialogue.state.frames) or name in ("refused", "unknown end"), at
        assert (desk.handed_over is None) == (whole.handed_over is None), at
        at += 1
    assert at > len(CONVERSATIONS[name])
