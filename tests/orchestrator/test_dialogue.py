"""History and spoken text: what the model is told, what the voice is given."""

import itertools

from hypothesis import given
from hypothesis import strategies as st

from services.orchestrator.dialogue.history import History, Message
from services.orchestrator.dialogue.spoken import SpokenText, has_clause


def test_each_prompt_begins_with_the_one_before() -> None:
    history = History("Be brief.", 12)
    history.agent_was_heard("Hello.")
    prompts = []
    for turn in range(5):
        prompts.append(history.messages(f"question {turn}"))
        history.caller_said(f"question {turn}")
        assert history.messages() == prompts[-1]
        history.agent_was_heard(f"answer {turn}")
    for before, after in itertools.pairwise(prompts):
        assert after[: len(before)] == before


def test_what_was_not_heard_is_not_remembered_and_the_caller_goes_on() -> None:
    history = History("S", 12)
    history.caller_said("I want to")
    history.agent_was_heard("  ")
    history.caller_said("book a flight.")
    assert history.messages() == [Message("system", "S"), Message("user", "I want to book a flight.")]


@given(st.lists(st.tuples(st.booleans(), st.text(min_size=1, max_size=5)), max_size=80), st.integers(1, 6))
def test_the_history_is_bounded_and_alternates_whatever_is_said(said: list[tuple[bool, str]], turns: int) -> None:
    history = History("S", turns)
    for by_caller, text in said:
        (history.caller_said if by_caller else history.agent_was_heard)(text)
        roles = [message.role for message in history.messages()]
        assert roles[0] == "system"
        assert len(roles) <= turns * 2 + 1
        assert all(a != b for a, b in itertools.pairwise(roles))


def test_the_history_is_halved_when_the_agent_has_spoken_never_while_the_caller_waits() -> None:
    history = History("S", 3)
    for turn in range(8):
        before = history.messages()
        history.caller_said(f"question {turn}")
        assert history.messages()[: len(before)] == before
        ahead = history.after(f"answer {turn}")
        history.agent_was_heard(f"answer {turn}")
        assert history.messages() == ahead


def spoken(text: str, size: int) -> str:
    cleaner = SpokenText()
    return "".join(cleaner.feed(text[i : i + size]) for i in range(0, len(text), size)) + cleaner.end()


def test_markup_is_not_spoken() -> None:
    assert spoken("**Sure!** Here:\n- one\n- two\n", 3).strip() == "Sure! Here: one two"
    assert spoken("See [our page](http://x.y) now.", 4) == "See our page now."
    assert spoken("It is -5 degrees.", 2) == "It is -5 degrees."


@given(st.text(alphabet="ab .,*[]()#-1\n", max_size=80), st.integers(1, 10))
def test_cleaning_does_not_depend_on_how_the_text_was_cut(text: str, size: int) -> None:
    assert spoken(text, size) == spoken(text, 1000)


def test_a_first_clause_needs_something_after_its_mark() -> None:
    assert has_clause("Sure, I")
    assert not has_clause("Sure,")
    assert not has_clause("3.5")
