"""The caller with a script: what it says to what it hears."""

import pytest

from services.cli.bank_stack import DIRECTORY
from services.cli.talker.acts import Act, HangUp, Key, Listen, Say
from services.cli.talker.bank import TOPICS, bank_caller
from services.cli.talker.script import PATIENCE, Cue, ScriptedCaller, Topic, plain
from services.orchestrator.bundles.checks import validate_directory

TOPIC = Topic(
    "a ticket",
    opens=("A ticket, please.", "I want to buy a ticket."),
    cues=(Cue("where to", says=("York.", "To York.")), Cue("code", keys="12")),
    over="sold",
)


def caller(*topics: Topic) -> ScriptedCaller:
    return ScriptedCaller(
        topics or (TOPIC,),
        waits="one moment[.,]?",
        idle="anything else",
        fails="colleague",
        bye="Goodbye.",
        unheard="did not catch",
    )


def answers(one: ScriptedCaller, *heard: str) -> list[Act]:
    return [one.next(words) for words in heard]


def test_it_opens_its_topic_answers_what_is_asked_keys_the_code_and_says_goodbye() -> None:
    said = answers(caller(), "How can I help you?", "Where to?", "Please key in your code.", "Sold!", "Goodbye.")
    assert said[:2] == [Say("A ticket, please."), Say("York.")]
    assert isinstance(said[2], Key)
    assert said[2].keys.reveal() == "12"
    assert said[3:] == [Say("Goodbye.", last=True), HangUp()]


def test_asked_again_it_says_the_same_in_other_words() -> None:
    assert answers(caller(), "Hello", "Where to?", "Where to?") == [
        Say("A ticket, please."),
        Say("York."),
        Say("To York."),
    ]


def test_not_understood_it_repeats_what_it_said_last() -> None:
    one = caller()
    assert answers(one, "Hello", "I did not catch that.") == [Say("A ticket, please."), Say("I want to buy a ticket.")]
    assert answers(one, "Where to?", "I did not catch that.", "") == [Say("York."), Say("To York."), Say("York.")]


def test_what_it_cannot_place_it_asks_to_hear_again_before_it_says_its_own_again() -> None:
    one = caller()
    assert answers(one, "Hello", "Where to?", "Mumble.", "Mumble.", "Where to?", "Mumble.") == [
        Say("A ticket, please."),
        Say("York."),
        Say("Could you say that again?"),
        Say("To York."),
        Say("York."),
        Say("Could you say that again?"),
    ]


def test_a_question_is_known_by_its_sound_unless_another_sounds_as_like() -> None:
    topic = Topic(
        "a seat",
        opens=("A seat, please.",),
        cues=(
            Cue("shall i", says=("Yes.",)),
            Cue("which seat", says=("By the window.",), like="Which seat would you like to have?"),
            Cue("which coach", says=("The first.",), like="Which coach would you like to have?"),
        ),
        over="sold",
    )
    assert answers(caller(topic), "Hello", "Switch seat would you like to half?")[-1] == Say("By the window.")
    assert answers(caller(topic), "Hello", "Which ... would you like to have?")[-1] == Say("A seat, please.")
    assert answers(caller(topic), "Hello", "Shell I go ahead?")[-1] == Say("A seat, please.")


def test_a_topic_that_the_agent_has_let_go_of_is_opened_again() -> None:
    assert answers(caller(), "Hello", "Where to?", "I cannot do that. Anything else?") == [
        Say("A ticket, please."),
        Say("York."),
        Say("I want to buy a ticket."),
    ]


def test_after_a_few_times_it_gives_up_and_says_at_what() -> None:
    asked = answers(caller(), "Hello", *["Where to?"] * (PATIENCE + 1))
    assert asked[-1] == HangUp("a ticket: asked 5 times for the same (where to)")
    lost = answers(caller(), "Hello", *["Mumble."] * PATIENCE)
    assert lost[-1] == HangUp("a ticket: nothing to say to 'mumble.'")


def test_it_waits_when_the_agent_says_that_it_goes_on() -> None:
    assert answers(caller(), "Hello", "One moment.") == [Say("A ticket, please."), Listen()]


def test_what_no_good_call_has_in_it_ends_the_call() -> None:
    assert answers(caller(), "Hello", "I pass you to a colleague.")[-1] == HangUp(
        "a ticket: heard 'i pass you to a colleague.'"
    )


def test_its_keys_are_in_no_repr() -> None:
    assert "12" not in repr(caller()._topics)
    assert "12" not in repr(answers(caller(), "Hello", "Your code?"))


def test_words_are_compared_without_case_and_typography() -> None:
    assert plain(" It’s  FINE ") == "it's fine"


HELLO = "You are speaking with an automated assistant. Example Bank, good day. How can I help you?"
BLOCKED = "Your card ending 4417 is blocked. The reference is B L 1 0 0 1. Is there anything else I can do for you?"
REFUSED = "That payment cannot be refunded. Is there anything else I can do for you?"


@pytest.mark.parametrize(
    ("so_far", "heard", "says"),
    [
        ((), HELLO, "I lost my debit card."),
        ((HELLO,), "Which card is it? You can say or key the last four digits.", "The debit card."),
        ((HELLO,), "Is that 4417 debit?", "Yes."),
        ((HELLO,), "Is that 9023, credit?", "No, the debit card."),
        ((HELLO,), "Is that 4-4-1-7 debit?", "Yes."),
        ((HELLO,), "Is that for 4 1 7 debit?", "Yes."),
        ((HELLO,), "Bear with me. Is it about blocking a card or about a recent", "Blocking a card."),
        ((HELLO, BLOCKED), "Is it about a refund or about a change of address?", "I was charged twice."),
        ((HELLO,), "I will block the card ending for the seven. Shall I go ahead?", "Can you repeat that?"),
        ((HELLO,), "I will block the card ending 4417 reported lost. Shall I go ahead?", "Yes."),
        ((HELLO,), "I will block the card ending four four one seven, reported lost, shall I go ahead?", "Yes."),
        ((HELLO,), "I will block the card ending 9023 reported lost. Shall I go ahead?", "No, the debit card."),
        ((HELLO,), "Is the card lost, stolen or damaged?", "It is lost."),
        ((HELLO,), "Is that lost?", "Yes."),
        ((HELLO, BLOCKED), "Which payment is it about? The shop and the amount will do.", "The City Lottery."),
        ((HELLO, BLOCKED), "Is that City Lottery, £20, the 15th of November 2026?", "Yes."),
        ((HELLO, BLOCKED), "Switch payment it about the chop in the mount we do.", "The City Lottery."),
        ((HELLO, BLOCKED, REFUSED), "How mud should we refunded?", "Fifteen pounds."),
        (
            (HELLO, BLOCKED),
            "Is it about? The shop and the amount we'll do. Is that city lottery, 20 pounds, 15 November 26th?",
            "Yes.",
        ),
        ((HELLO, BLOCKED), REFUSED, "I want to dispute a payment."),
        ((HELLO, BLOCKED, REFUSED), "How much should be refunded?", "Fifteen pounds."),
        ((HELLO, BLOCKED, REFUSED), "Do you mean £15 or £50?", "The one for fifteen pounds."),
        (
            (HELLO, BLOCKED, REFUSED),
            "I will refund £15 for Northern Rail on the 19th of November 2026. Say yes to confirm.",
            "I meant ten pounds.",
        ),
        ((HELLO, BLOCKED, REFUSED), "Is that £10?", "Yes."),
        (
            (HELLO, BLOCKED, REFUSED),
            "Is that Northern Rail, £50, the 18th of November 2026?",
            "No, the one for fifteen pounds.",
        ),
        ((HELLO, BLOCKED, REFUSED), "Is that Northern Rail, £15, the 19th of November 2026?", "Yes."),
        ((HELLO, BLOCKED, REFUSED), "Is that City Lottery, £20, the 15th of November 2026?", "No, Northern Rail."),
        (
            (HELLO, BLOCKED, REFUSED),
            "I cannot refund that amount. Is there anything else I can do for you?",
            "I was charged twice.",
        ),
        (
            (HELLO, BLOCKED, REFUSED),
            "I will refund ten pounds for Northern Rail on the nineteenth of November 2026. Say yes to confirm.",
            "Yes.",
        ),
        # Another amount than the wanted one never gets a yes, however it is written.
        (
            (HELLO, BLOCKED, REFUSED),
            "I will refine 15 pounds for Northern Rail. Say yes to confirm.",
            "I meant ten pounds.",
        ),
        ((HELLO, BLOCKED, REFUSED), "I will refund £50 for Northern Rail. Say yes to confirm.", "I meant ten pounds."),
        ((HELLO, BLOCKED, REFUSED), "I will refund £100 for Northern Rail. Say yes to confirm.", "I meant ten pounds."),
        (
            (HELLO, BLOCKED, REFUSED),
            "Done. £10 will be refunded. The reference is R E 1 0 0 2. Is there anything else I can do for you?",
            "No, thank you. Goodbye.",
        ),
    ],
)
def test_the_caller_of_the_bank(so_far: tuple[str, ...], heard: str, says: str) -> None:
    one = bank_caller()
    for words in so_far:
        one.next(words)
    act = one.next(heard)
    assert isinstance(act, Say)
    assert act.text == says


@pytest.mark.parametrize("heard", ["Please key in your code.", "I need to check who you are. Please key in your coat."])
def test_the_caller_of_the_bank_keys_its_code_when_it_is_asked(heard: str) -> None:
    one = bank_caller()
    for words in (HELLO, BLOCKED, REFUSED):
        one.next(words)
    assert isinstance(one.next(heard), Key)


@pytest.mark.parametrize("heard", ["One moment, please.", "One moment please. There with me.", "I am still on it."])
def test_the_caller_of_the_bank_waits_for_what_it_is_told_to_wait_for(heard: str) -> None:
    one = bank_caller()
    one.next(HELLO)
    assert one.next(heard) == Listen()


def test_the_questions_that_the_caller_of_the_bank_knows_by_sound_are_those_of_its_bundle() -> None:
    prompts = validate_directory(DIRECTORY)[0].prompts["en-GB"]
    known = {cue.like for topic in TOPICS for cue in topic.cues if cue.like}
    assert known
    assert known <= {prompt.text for prompt in prompts.values()}


def test_no_cue_that_agrees_is_known_by_sound() -> None:
    agreeing = [cue for topic in TOPICS for cue in topic.cues if any(line.startswith("Yes") for line in cue.says)]
    assert agreeing
    assert not [cue for cue in agreeing if cue.like or cue.keys]
