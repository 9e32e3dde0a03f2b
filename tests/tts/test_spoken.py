"""What is written and what is said for it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.tts.spoken import spoken_words


def said(text: str, locale: str = "en-US") -> str:
    return " ".join(word.spoken for word in spoken_words(text, locale))


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("It costs $5.", "It costs 5 dollars."),
        ("It costs $1.", "It costs 1 dollar."),
        ("It costs $3.50, please.", "It costs 3 dollars and 50 cents, please."),
        ("It costs $20.00 now", "It costs 20 dollars now"),
        ("a $5 million loan", "a 5 million dollars loan"),
        ("$1,250.75", "1,250 dollars and 75 cents"),
        ("€20 or 20€", "20 euros or 20 euros"),
        ("Dr. Smith", "doctor Smith"),
        ("No. 5, e.g. today", "number 5, for example today"),
        ("at 10:30 a.m. sharp", "at 10:30 AM sharp"),
        ("50% off", "50% off"),
        ("call 555-0123 now", "call 5 5 5, 0 1 2 3 now"),
        ("order 48213.", "order 4 8 2, 1 3."),
        ("order #12", "order 12"),
        ("in 1998", "in 19 98"),
        ("in 2026", "in 2026"),
        ("open 9-5 daily", "open 9 to 5 daily"),
        ("code ABC123", "code ABC 1 2 3"),
        ("it is -5 today", "it is -5 today"),
        ("see https://www.example.com/", "see example.com"),
        ("**Hello**, `you`!", "Hello, you!"),
        ("- one\n- two", "one, two"),
        ("Sure! 😀👍🏽 Yes", "Sure! Yes"),
        ("yes — no", "yes, no"),
        ("[our page](https://example.com) now", "our page now"),
        ('"Quoted," he said', "Quoted, he said"),
        ("don't and rock'n'roll", "don't and rock'n'roll"),
    ],
)
def test_english_is_said_as_a_person_would(written: str, expected: str) -> None:
    assert said(written) == expected


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("Das kostet 3,50€.", "Das kostet 3 Euro 50."),
        ("z.B. Nr. 5", "zum Beispiel Nummer 5"),
        ("von 9-17 Uhr", "von 9 bis 17 Uhr"),
        ("Dr. Müller", "Doktor Müller"),
    ],
)
def test_german_is_said_as_a_person_would(written: str, expected: str) -> None:
    assert said(written, "de-DE") == expected


@pytest.mark.parametrize("text", ["", "   ", "***", "😀", "—", "...", "()", "```"])
def test_what_has_no_sound_gives_no_words(text: str) -> None:
    assert spoken_words(text) == []


@given(st.text(max_size=200), st.sampled_from(["en-US", "de-DE", "fr-FR"]))
def test_every_word_is_found_at_its_offset_in_order_and_nothing_raises(text: str, locale: str) -> None:
    end = 0
    for word in spoken_words(text, locale):
        assert text[word.offset : word.offset + len(word.written)] == word.written
        assert word.offset >= end
        assert any(c.isalnum() for c in word.spoken)
        end = word.offset + len(word.written)


@given(
    st.lists(
        st.sampled_from(
            [
                "$5",
                "$3.50",
                "€20",
                "million",
                "No.",
                "5",
                "12-14",
                "+49",
                "555-0123",
                "1998",
                "00000",
                "A1",
                "#3",
                "-5",
                "%",
                "3",
            ]
        ),
        max_size=12,
    )
)
def test_numbers_and_signs_in_any_order_do_not_raise(tokens: list[str]) -> None:
    assert len(spoken_words(" ".join(tokens))) <= len(tokens)


LEXICON = {"minisaver": "mini saver", "dr.": "drive", "4x4": "four by four"}


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("Your MiniSaver, sir", "Your mini saver, sir"),
        ("MINISAVER's rate.", "mini saver's rate."),
        ("the 4x4?", "the four by four?"),
        ("miniSavers", "miniSavers"),
        ("**MiniSaver**!", "mini saver!"),
    ],
)
def test_a_lexicon_says_whole_words_its_own_way_and_comes_before_every_rule(written: str, expected: str) -> None:
    words = spoken_words(written, "en-GB", LEXICON)
    assert " ".join(word.spoken for word in words) == expected
    assert [word.written for word in words] == written.split()


@given(
    st.text(max_size=80), st.dictionaries(st.text(min_size=1, max_size=8), st.sampled_from(["x", "a b"]), max_size=4)
)
def test_a_lexicon_moves_no_word_from_its_place(text: str, say: dict[str, str]) -> None:
    plain = {(word.written, word.offset) for word in spoken_words(text)}
    assert plain <= {(word.written, word.offset) for word in spoken_words(text, "en-US", say)}
