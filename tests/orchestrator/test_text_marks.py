"""The recogniser is asked for one stretch at a time, in an order of marks that it accepts."""

from hypothesis import given
from hypothesis import strategies as st

from services.orchestrator.clients.asr import Kind
from services.orchestrator.text_marks import TextMarks

PAUSED, RESUMED, FINALIZE = Kind.KIND_SPEECH_PAUSED, Kind.KIND_SPEECH_RESUMED, Kind.KIND_FINALIZE


def test_a_question_in_the_middle_of_speech_is_a_pause_to_the_recogniser_until_it_has_answered() -> None:
    marks = TextMarks()
    assert marks.ask() == [PAUSED]
    assert marks.ask() == []
    assert marks.answered() == [RESUMED]


def test_a_dip_waits_for_the_answer_and_is_asked_about_then() -> None:
    marks = TextMarks()
    marks.ask()
    assert marks.dip() == []
    assert marks.asked
    assert marks.answered() == [RESUMED, PAUSED]
    assert not marks.asked
    assert marks.speech() == [RESUMED]


def test_speech_that_goes_on_before_the_answer_makes_the_dip_nothing() -> None:
    marks = TextMarks()
    marks.ask()
    marks.dip()
    assert marks.speech() == []
    assert marks.answered() == [RESUMED]


def test_nothing_is_asked_in_a_dip_whose_text_tells_it_all() -> None:
    marks = TextMarks()
    assert marks.dip() == [PAUSED]
    assert marks.ask() == []


def test_the_final_is_not_taken_for_the_answer_to_a_question() -> None:
    marks = TextMarks()
    marks.ask()
    marks.dip()
    assert marks.final() == [RESUMED, FINALIZE]
    assert not marks.asked


@given(st.lists(st.sampled_from(["ask", "dip", "speech", "answered"]), max_size=30))
def test_pauses_and_resumptions_alternate_whatever_comes_in_between(events: list[str]) -> None:
    marks, dipped, sent = TextMarks(), False, []
    for event in events:
        if (event == "dip") == dipped and event in ("dip", "speech"):
            continue
        if event == "answered" and not marks.asked:
            continue
        dipped = event == "dip" or (dipped and event != "speech")
        sent += getattr(marks, event)()
    assert sent[0::2] == [PAUSED] * len(sent[0::2])
    assert sent[1::2] == [RESUMED] * len(sent[1::2])
