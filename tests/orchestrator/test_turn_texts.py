"""What texts say about turns: completeness, answers and questions, per language."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.common.settings import TurnSettings
from services.orchestrator.turns import tail
from services.orchestrator.turns.answers import extent, spoken_digits
from services.orchestrator.turns.completeness import read
from services.orchestrator.turns.endpoint import endpoint_wait
from services.orchestrator.turns.expectation import OPEN, Expectation, KeypadRule
from services.orchestrator.turns.lexicon import lexicon
from services.orchestrator.turns.lexicon.words import words_of
from services.orchestrator.turns.profile import PROFILES, CallerPauses
from services.orchestrator.turns.questions import expectation_of


@pytest.mark.parametrize(
    ("locale", "text"),
    [
        ("en-US", "I would like to"),
        ("en-US", "I would like to."),
        ("en-US", "my number is four seven"),
        ("en-US", "It's J O"),
        ("en-US", "I want to fly to Rome and"),
        ("en-US", "well, um"),
        ("en-US", "So the thing is,"),
        ("en-US", "Can you..."),
        ("en-US", "I need"),
        ("de-DE", "Ich möchte einen Flug nach"),
        ("de-DE", "Meine Kundennummer ist"),
        ("de-DE", "Ja, aber"),
        ("de-DE", "ähm"),
        ("es-ES", "Quiero un vuelo a"),
        ("fr-FR", "Je voudrais un"),
    ],
)
def test_these_go_on(locale: str, text: str) -> None:
    reading = read(text, lexicon(locale))
    assert reading.probability < 0.3
    assert not reading.certain


@pytest.mark.parametrize(
    ("locale", "text"),
    [
        ("en-US", "Yes."),
        ("en-GB", "No thank you"),
        ("en-US", "That's right."),
        ("en-US", "I want to book a flight to Rome."),
        ("en-US", "Where is my parcel?"),
        ("en-US", "Cancel my order please"),
        ("de-DE", "Ja, genau."),
        ("de-AT", "Ich möchte meinen Termin verschieben."),
        ("es-ES", "Sí, por favor."),
        ("fr-FR", "D'accord."),
    ],
)
def test_these_are_over(locale: str, text: str) -> None:
    assert read(text, lexicon(locale)).probability > 0.6


def test_a_language_without_a_lexicon_is_judged_by_its_punctuation() -> None:
    assert read("मुझे मदद चाहिए।", lexicon("hi-IN")).log_odds > read("मुझे मदद", lexicon("hi-IN")).log_odds


@pytest.mark.parametrize(
    ("locale", "text", "digits"),
    [
        ("en", "four seven", 2),
        ("en", "forty seven", 2),
        ("en", "forty-seven eleven", 4),
        ("en", "double four triple oh", 5),
        ("en", "555-1234", 7),
        ("en", "eight hundred", 3),
        ("en", "my number is 47 then 11", 4),
        ("de", "siebenundvierzig elf", 4),
        ("de", "null eins sieben zwo", 4),
        ("en", "nothing", 0),
    ],
)
def test_digits_are_counted_however_they_are_said(locale: str, text: str, digits: int) -> None:
    assert spoken_digits(text, lexicon(locale)).digits == digits


@pytest.mark.parametrize(
    ("expected", "text", "found"),
    [
        (Expectation("digits", 4), "1 2 3 4", "whole"),
        (Expectation("digits", 4), "one two", "part"),
        (Expectation("digits"), "one two", "answered"),
        (Expectation("digits", 4), "what do you mean", "none"),
        (Expectation("yes_no"), "yes please", "whole"),
        (Expectation("yes_no"), "yes but on Friday", "answered"),
        (Expectation("yes_no"), "on Friday", "none"),
        (Expectation("date"), "May third 1984", "whole"),
        (Expectation("date"), "03/05/1984", "whole"),
        (Expectation("date"), "next Friday", "answered"),
        (Expectation("date"), "in May", "part"),
        (Expectation("amount"), "fifty euros", "whole"),
        (Expectation("amount"), "$50", "whole"),
        (Expectation("amount"), "fifty", "answered"),
        (Expectation("spelling", 4), "J-O-H-N", "whole"),
        (Expectation("spelling", 4), "J O", "part"),
        (Expectation("choice", options=("morning", "afternoon")), "The morning.", "whole"),
        (OPEN, "anything", "none"),
    ],
)
def test_an_answer_is_measured_against_the_question(expected: Expectation, text: str, found: str) -> None:
    assert extent(text, expected, lexicon("en")) == found


@pytest.mark.parametrize(
    ("locale", "question", "kind", "length"),
    [
        ("en-US", "Can you tell me your account number?", "digits", 0),
        ("en-US", "Thanks. What is your six digit customer number?", "digits", 6),
        ("en-US", "Please enter your 4-digit PIN.", "digits", 4),
        ("en-US", "Is your number 4 7 1 1?", "yes_no", 0),
        ("en-US", "Shall I book it?", "yes_no", 0),
        ("en-US", "You want to cancel the order. Is that right?", "yes_no", 0),
        ("en-US", "What is your date of birth?", "date", 0),
        ("en-US", "How much was it?", "amount", 0),
        ("en-US", "Could you spell your last name, please?", "spelling", 0),
        ("en-US", "Would you like the morning or the afternoon?", "choice", 0),
        ("en-US", "Please tell me what happened.", "story", 0),
        ("en-US", "How can I help you?", "open", 0),
        ("en-US", "Your order is on its way.", "open", 0),
        ("de-DE", "Wie lautet Ihre Kundennummer?", "digits", 0),
        ("de-DE", "Können Sie mir Ihre Kundennummer nennen?", "digits", 0),
        ("de-DE", "Ist das richtig?", "yes_no", 0),
        ("de-DE", "Möchten Sie vormittags oder nachmittags kommen?", "choice", 0),
        ("de-DE", "Wann sind Sie geboren?", "date", 0),
        ("de-DE", "Bitte buchstabieren Sie Ihren Namen.", "spelling", 0),
        ("es-ES", "¿Cuál es su número de cuenta?", "digits", 0),
        ("fr-FR", "Quel est votre numéro de client ?", "digits", 0),
    ],
)
def test_what_a_question_asks_for_is_read_from_its_words(locale: str, question: str, kind: str, length: int) -> None:
    expected = expectation_of(question, locale)
    assert (expected.kind, expected.length) == (kind, length)


def test_a_number_of_known_length_can_be_keyed_and_is_complete_with_its_last_digit() -> None:
    assert expectation_of("Please enter your 4-digit PIN.", "en-US").keypad == KeypadRule(max_keys=4)


@given(st.floats(0, 1), st.floats(0, 1))
def test_the_wait_falls_as_the_turn_sounds_more_complete(one: float, other: float) -> None:
    caller = CallerPauses(PROFILES["default"])
    reading = read("I need a taxi", lexicon("en"))
    low, high = sorted((one, other))
    assert (
        endpoint_wait(TurnSettings(), high, reading, caller).ms
        <= endpoint_wait(TurnSettings(), low, reading, caller).ms
    )


@given(st.text(max_size=60), st.sampled_from(["en", "de", "es", "fr", "hi"]), st.floats(0, 1))
def test_whatever_is_heard_the_wait_stays_within_its_bounds(text: str, locale: str, audio: float) -> None:
    settings, caller = TurnSettings(), CallerPauses(PROFILES["default"])
    wait = endpoint_wait(settings, audio, read(text, lexicon(locale)), caller)
    assert settings.pause_ms <= wait.ms <= settings.endpoint_incomplete_ms


@given(st.text(max_size=80), st.sampled_from(["en-US", "de-DE", "es-ES", "fr-FR", "xx"]))
def test_any_text_can_be_asked(text: str, locale: str) -> None:
    expectation_of(text, locale)


@given(st.lists(st.floats(0, 60_000), max_size=50), st.sampled_from(sorted(PROFILES)))
def test_a_callers_pauses_move_the_profile_within_its_bounds(pauses: list[float], name: str) -> None:
    caller = CallerPauses(PROFILES[name])  # type: ignore[index]
    for ms in pauses:
        caller.paused(ms)
    low, high = caller.profile.pause_bounds_ms
    assert low <= caller.pause_ms <= high


@pytest.mark.parametrize(
    ("cut", "whole"),
    [
        ("I lost my credit", "I lost my credit card"),
        ("could you tell me when the", "could you tell me when the office opens"),
        ("I want to transfer fifty pounds to", "I want to transfer fifty pounds to my son"),
    ],
)
def test_where_other_people_go_on_the_turn_is_less_likely_over(cut: str, whole: str) -> None:
    assert tail.log_odds(words_of(cut), "en") < tail.log_odds(words_of(whole), "en")


def test_a_language_whose_utterances_nobody_has_learnt_is_read_by_its_word_lists() -> None:
    assert tail.log_odds(["ich", "möchte"], "de") == 0.0
    assert read("Ich möchte einen Flug nach", lexicon("de")).tail == 0.0


@given(st.lists(st.text(min_size=1, max_size=8), max_size=40))
def test_any_words_have_bounded_odds(words: list[str]) -> None:
    assert abs(tail.log_odds(words, "en")) <= tail.MOST_LOG_ODDS


def test_a_subordinate_clause_alone_is_open_until_its_main_clause_comes() -> None:
    alone, both = read("If I remember correctly.", lexicon("en")), read("If I remember it, it was red.", lexicon("en"))
    assert "subordinate clause" in alone.signs
    assert "subordinate clause" not in both.signs
    assert alone.log_odds < 0 < both.log_odds


def test_a_long_sentence_that_begins_with_unless_has_its_main_clause_in_it() -> None:
    read_aloud = "Unless to be rather cold hearted and rather selfish is to be ill disposed."
    assert "subordinate clause" not in read(read_aloud, lexicon("en")).signs


def test_a_verb_whose_complement_stands_before_it_may_be_the_last_word() -> None:
    for text in ("He is more respectable than he was.", "I do not know what it is."):
        assert "weak word last" not in read(text, lexicon("en")).signs
    assert "weak word last" in read("The thing I lost is", lexicon("en")).signs


def test_words_that_the_recogniser_is_unsure_of_say_less_that_the_turn_is_over() -> None:
    sure, unsure = (read("I lost my credit card.", lexicon("en"), OPEN, logprob) for logprob in (-0.1, -0.8))
    assert unsure.log_odds < sure.log_odds
    assert read("Yes.", lexicon("en"), OPEN, -0.8).log_odds == read("Yes.", lexicon("en")).log_odds


def test_what_the_recogniser_says_of_a_texts_end_moves_the_wait() -> None:
    """…and the words by themselves count less beside it."""
    said, words = "I lost my credit card.", lexicon("en")
    open_, silent, whole = (read(said, words, OPEN, 0.0, ending).log_odds for ending in (-3.0, None, 3.0))
    assert open_ < silent < whole
    agreeing = read(said, words, OPEN, 0.0, 0.0)
    assert abs(agreeing.log_odds) < abs(silent)
    assert agreeing.ending == 0.0


@pytest.mark.parametrize("text", ["", "Yes.", "four seven one two"])
def test_what_is_measured_against_the_question_does_not_ask_how_its_text_ends(text: str) -> None:
    asked = Expectation(kind="digits", length=4) if "seven" in text else OPEN
    for ending in (-5.0, 5.0):
        assert read(text, lexicon("en"), asked, 0.0, ending) == read(text, lexicon("en"), asked)
