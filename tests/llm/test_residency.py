"""What of a prompt the engine probably holds: growing conversations, cut replies, dropped turns, other calls."""

from hypothesis import given
from hypothesis import strategies as st

from services.llm.residency import REMEMBERED, Residency, shared_chars

SYSTEM = "System: answer in one short spoken sentence, without lists.\n"


def turn(number: int) -> str:
    return f"User: I am caller {number} and want item {number * 7}.\nAgent: Item {number * 7} is on its way to you.\n"


def test_nothing_is_known_of_a_first_prompt() -> None:
    assert Residency().known_chars(SYSTEM) == 0


def test_a_growing_conversation_is_known_up_to_its_new_words() -> None:
    residency = Residency()
    residency.remember(SYSTEM + turn(1))
    assert residency.known_chars(SYSTEM + turn(1) + "User: more") == len(SYSTEM + turn(1))


def test_a_reply_cut_to_what_was_heard_is_known_up_to_the_cut() -> None:
    residency = Residency()
    residency.remember(SYSTEM + "Agent: we open at nine and close at five")
    assert residency.known_chars(SYSTEM + "Agent: we open at nine\nUser: stop") == len(SYSTEM) + 22


def test_turns_behind_dropped_ones_are_not_known() -> None:
    residency = Residency()
    residency.remember(SYSTEM + turn(1) + turn(2) + turn(3) + turn(4))
    assert residency.known_chars(SYSTEM + turn(3) + turn(4)) < len(SYSTEM + turn(3))


def test_each_of_several_calls_is_known_until_too_many_others_came() -> None:
    residency = Residency()
    for call in range(REMEMBERED + 1):
        residency.remember(f"Call {call}: {SYSTEM}")
    assert residency.known_chars(f"Call {REMEMBERED}: {SYSTEM}") == len(f"Call {REMEMBERED}: {SYSTEM}")
    assert residency.known_chars(f"Call 0: {SYSTEM}") == len("Call ")


def test_a_text_that_extends_another_takes_its_place() -> None:
    residency = Residency()
    residency.remember("other call")
    for size in range(1, 100):
        residency.remember(SYSTEM + "x" * size)
    assert residency.known_chars("other call") == len("other call")


@given(st.text(alphabet="ab"), st.text(alphabet="ab"))
def test_shared_chars_is_the_length_of_the_common_beginning(one: str, other: str) -> None:
    length = shared_chars(one, other)
    assert one[:length] == other[:length]
    assert length in (len(one), len(other)) or one[length] != other[length]
