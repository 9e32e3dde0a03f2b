"""Telling from heard words alone which of a bundle's sentences they were, and what was asked."""

import re
from pathlib import Path

import pytest

from services.cli.evals.callers import ScriptedCaller
from services.cli.evals.listening import EvalTalker, Listening
from services.cli.talker.acts import HangUp, Key, Listen, Say
from services.orchestrator.bundles.bundle import Bundle
from services.orchestrator.bundles.checks import validate_directory

BANK = Path(__file__).parents[2] / "deploy" / "agents" / "bank-retail"


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    made, problems = validate_directory(BANK)
    assert made is not None, problems
    return made


@pytest.fixture(scope="module")
def listening(bundle: Bundle) -> Listening:
    return Listening(bundle, "en-GB")


def test_every_sentence_of_the_bundle_is_known_by_its_words(bundle: Bundle, listening: Listening) -> None:
    for name, prompt in bundle.prompts["en-GB"].items():
        if name != bundle.agent.system:
            said = re.sub(r"\{[^{}]*\}", "seven", prompt.text)
            # Sentences of the same words cannot be told apart, and need not be.
            same = {other for other, one in bundle.prompts["en-GB"].items() if one.text == prompt.text}
            assert set(listening.prompts(said)) & (same | {"talk.review"}), name


@pytest.mark.parametrize(
    ("heard", "prompts"),
    [
        (
            "You're speaking with an automated assistant. Example bank, good day. How can I help you?",
            ["p.disclosure", "p.greeting"],
        ),
        (
            "Your card ending 4417 is blocked. The reference is B, L, 1001. Is there anything else I can do for you?",
            ["p.blocked", "talk.more"],
        ),
        ("I'll block the card ending 4417 reported lost. Shall I go ahead?", ["p.block_readback"]),
        ("One moment please.", ["p.one_moment"]),
        ("Sorry, I did not catch that. Is that 4417 debit?", ["talk.not_heard", "talk.is_it"]),
        ("The weather is fine today.", []),
    ],
)
def test_heard_words_are_told_by_their_fixed_words(listening: Listening, heard: str, prompts: list[str]) -> None:
    assert listening.prompts(heard) == prompts


def test_what_is_asked_follows_from_the_last_question(listening: Listening) -> None:
    asked = listening.asked(1, "Which card is it? You can say or key the last four digits.", "")
    assert (asked.slot, asked.yes_no, asked.code) == ("card", False, False)
    asked = listening.asked(2, "Is that 4417, debit?", "card")
    assert (asked.slot, asked.yes_no) == ("card", True)
    asked = listening.asked(3, "I'm sorry, but do you mean £15 or £50?", "amount")
    assert (asked.slot, asked.yes_no) == ("amount", False)
    asked = listening.asked(4, "Before I can do that I need to check who you are. Please key in your code.", "amount")
    assert (asked.slot, asked.code) == ("", True)
    asked = listening.asked(5, "That payment cannot be refunded. Is there anything else I can do for you?", "amount")
    assert (asked.slot, asked.yes_no, asked.code, asked.prompts) == (
        "",
        False,
        False,
        ("p.not_refundable", "talk.more"),
    )


def test_a_caller_of_the_evals_plays_its_scenario_by_ear(bundle: Bundle, listening: Listening) -> None:
    scenario = next(one for one in bundle.scenarios() if one.id == "block-card-en")
    world = bundle.world()
    assert world is not None
    entries = {name: goal.entry["en-GB"] for name, goal in bundle.goals.items()}
    caller = EvalTalker(ScriptedCaller(scenario, world.customers[scenario.customer], entries), listening)
    heard = (
        "You are speaking with an automated assistant. Example Bank, good day. How can I help you?",
        "Which card is it? You can say or key the last four digits.",
        "Is that 4417 debit?",
        "One moment, please.",
        "I will block the card ending 4417, reported lost. Shall I go ahead?",
        "Your card ending 4417 is blocked. The reference is B L 1 0 0 1. Is there anything else I can do for you?",
        "Thank you for calling, goodbye.",
    )
    assert [caller.next(words) for words in heard] == [
        Say("I lost my card"),
        Say("the debit card"),
        Say("yes"),
        Listen(),
        Say("yes"),
        Say("no, that is all, goodbye", last=True),
        HangUp(),
    ]


def who_lost_a_card(bundle: Bundle, listening: Listening) -> EvalTalker:
    scenario = next(one for one in bundle.scenarios() if one.id == "block-card-en")
    world = bundle.world()
    assert world is not None
    return EvalTalker(ScriptedCaller(scenario, world.customers[scenario.customer], {}), listening)


def test_a_caller_of_the_evals_waits_through_fillers_and_says_again_what_was_not_understood(
    bundle: Bundle, listening: Listening
) -> None:
    caller = who_lost_a_card(bundle, listening)
    unclear = "Sorry, the line is not clear. Please say that once more a little slower."
    heard = (
        "Example Bank, good day. How can I help you?",
        "Bear with me.",
        "I will block the card ending 4417, reported lost. Shall I go ahead?",
        unclear,
        unclear,
        # A person does not say the same for ever.
        unclear,
    )
    assert [caller.next(words) for words in heard[:-1]] == [
        Say("I lost my card"),
        Listen(),
        Say("yes"),
        Say("yes please"),
        Say("yes, go ahead"),
    ]
    assert not getattr(caller.next(heard[-1]), "text", "").startswith("yes")
    asked = "Sorry, I did not catch that. Is that 4417 debit?"
    assert not listening.unheard(listening.prompts(asked))


def test_a_caller_of_the_evals_asks_to_hear_again_what_it_did_not_make_out_and_says_yes_to_none_of_it(
    bundle: Bundle, listening: Listening
) -> None:
    caller = who_lost_a_card(bundle, listening)
    again = Say("Could you say that again?")
    heard_and_done = (
        ("Example Bank, good day. How can I help you?", Say("I lost my card")),
        # A filler that was not heard well: something may follow.
        ("There with knee.", Listen()),
        ("There with knee. Are you still there?", again),
        # A filler before a question that was not made out.
        ("Bear with me. Isle black the car then in for four one heaven report at last, Sal I go.", again),
        ("I will block the card ending 4417, reported lost. Shall I go ahead?", Say("yes")),
        # Made out once, it may ask as often again; in the end a person gives up.
        *[("Isle black the car then in for four one heaven.", again)] * 4,
    )
    assert [caller.next(words) for words, _ in heard_and_done] == [done for _, done in heard_and_done]
    assert caller.next("Isle black the car then in for four one heaven.") == Say("no, that is all, goodbye", last=True)


def test_the_code_is_keyed(bundle: Bundle, listening: Listening) -> None:
    scenario = next(one for one in bundle.scenarios() if one.id == "refund-en")
    world = bundle.world()
    assert world is not None
    person = world.customers[scenario.customer]
    caller = EvalTalker(ScriptedCaller(scenario, person, {}), listening)
    caller.next("How can I help you?")
    act = caller.next("Please key in your code.")
    assert isinstance(act, Key)
    assert act.keys.reveal() == person.pin
