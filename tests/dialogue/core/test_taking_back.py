"""An act that waits for its back end is taken back by voice: named, asked about, and only for a yes that was heard."""

from dataclasses import replace

import pytest

from services.orchestrator.dialogue.model import Act, WaitingAct
from tests.dialogue.core.scripted import BANK, CANCEL, NO, YES, CutShort, Desk, Keys, converse, give, new, start, turn

CARD = give("card", {"last4": "4417"})
BLOCK = turn(start("block_card"), CARD, give("reason", "lost"))
FORGET = turn(Act("cancel", "block_card"))
BLOCKING = BANK.tools["block_card"]
# A call that goes on when an act waits: the bank's own hands over then.
GOES_ON = replace(
    BANK,
    tools={
        **BANK.tools,
        "block_card": BLOCKING.model_copy(update={"degrade": BLOCKING.degrade.model_copy(update={"handoff": None})}),
    },
)
YES_TURN, CANCEL_TURN = turn(YES), turn(CANCEL)
OLD = WaitingAct("e-old", "block_card", 2)


def queueing(**more):
    return Desk(outcomes={"block_card": [("queued", "unreached")]}, bundle=GOES_ON, **more)


def waits_from_before(level=2):
    desk = Desk(level=level)
    desk.waiting = [OLD]
    return desk


def test_it_is_named_asked_about_and_taken_back_for_a_yes():
    desk, dialogue = converse(BLOCK, FORGET, YES_TURN, desk=queueing())
    assert desk.prompts[-2:] == ["talk.taken_back", "talk.more"]
    assert desk.waiting == []
    assert dialogue.state.done[0].state == "failed"


def test_of_an_earlier_call_too():
    desk, _ = converse(FORGET, YES_TURN, desk=waits_from_before())
    assert "talk.take_back" in desk.prompts
    assert desk.waiting == []


def test_a_no_leaves_it_waiting():
    desk, dialogue = converse(FORGET, turn(NO), desk=waits_from_before())
    assert desk.prompts[-2:] == ["talk.kept", "talk.open"]
    assert desk.waiting == [OLD]
    assert dialogue.state.question.kind == "open"


def test_a_question_that_was_not_heard_to_its_end_is_asked_again_before_a_yes_counts():
    desk, _ = converse(CutShort(), FORGET, YES_TURN, desk=waits_from_before())
    assert desk.prompts[-2:] == ["talk.take_back", "talk.take_back"]
    assert desk.waiting == [OLD]


def test_nothing_that_waits_is_said_to_be_nothing():
    desk, _ = converse(FORGET)
    assert desk.prompts[-2:] == ["talk.nothing_waits", "talk.open"]


def test_what_was_done_meanwhile_is_said_to_be_done():
    desk = waits_from_before()
    desk.take_back = lambda effect_id: "done"
    converse(FORGET, YES_TURN, desk=desk)
    assert "talk.already" in desk.prompts
    assert "talk.taken_back" not in desk.prompts


def test_who_has_not_shown_enough_keys_the_secret_first():
    desk, _ = converse(FORGET, Keys("1234"), YES_TURN, desk=waits_from_before(level=1))
    assert desk.prompts.index("talk.identify") < desk.prompts.index("talk.take_back")
    assert desk.waiting == []


def test_several_that_wait_are_for_a_person():
    desk = waits_from_before()
    desk.waiting.append(WaitingAct("e-other", "block_card", 2))
    converse(FORGET, desk=desk)
    assert desk.handed_over.reason == "several_wait"
    assert len(desk.waiting) == 2


def test_a_database_that_is_away_is_said_and_takes_nothing_back():
    desk = waits_from_before()
    desk.down.add("waiting")
    converse(FORGET, desk=desk)
    assert desk.prompts[-2:] == ["talk.down", "talk.open"]


def test_a_goal_that_is_worked_on_is_given_up_as_before():
    desk, dialogue = converse(turn(start("block_card"), CARD), CANCEL_TURN)
    assert "talk.cancelled" in desk.prompts
    assert "talk.nothing_waits" not in desk.prompts
    assert dialogue.state.active is None


def test_asked_for_once_more_it_is_a_new_one():
    desk, _ = converse(BLOCK, FORGET, YES_TURN, turn(start("block_card")), desk=queueing())
    assert [tool for tool, _, _ in desk.performed] == ["block_card"]


@pytest.mark.parametrize("acted", [True, False])
def test_a_worker_that_dies_anywhere_takes_back_at_most_that_and_asks_again(acted):
    turns = [FORGET, YES_TURN]
    for at in range(1, 14):
        desk = waits_from_before()
        _, dialogue = new(desk)
        _, died = desk.talk_and_die(dialogue, turns, at, acted=acted)
        if not died:
            break
        assert desk.waiting in ([OLD], [])
        assert desk.handed_over is None
