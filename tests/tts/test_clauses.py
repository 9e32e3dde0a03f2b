"""Clause splitting: the input comes back exactly, pieces do not matter, what belongs together is not cut."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.tts.clauses import Clause, ClauseSplitter

# fmt: off
WORDS = st.sampled_from([
    "Hello", "Dr.", "Smith", "e.g.", "3.50", "10:30", "https://example.com/a?b=1", "and", "the", "No.", "5", "1,250.75",
    "a.m.", "well…", "yes,", "no;", "—", "J.", "so", "**bold**", "😀", "ok!", "really?", "U.S.", "x" * 30,
])
# fmt: on
TEXTS = st.one_of(st.text(max_size=300), st.lists(WORDS, max_size=40).map(" ".join))


def split(text: str, pieces: list[str] | None = None, locale: str = "en-US", first_words: int = 0) -> list[Clause]:
    splitter = ClauseSplitter(25, locale, first_words)
    clauses = [clause for piece in (pieces or [text]) for clause in splitter.push(piece)]
    return clauses + splitter.flush()


def texts(text: str, locale: str = "en-US") -> list[str]:
    return [clause.text for clause in split(text, locale=locale)]


@given(TEXTS)
def test_the_clauses_joined_are_the_input_and_offsets_say_where_they_stood(text: str) -> None:
    clauses = split(text)
    assert "".join(clause.text for clause in clauses) == text
    for index, clause in enumerate(clauses):
        assert clause.index == index
        assert text[clause.offset : clause.offset + len(clause.text)] == clause.text


@given(TEXTS, st.lists(st.integers(1, 9), min_size=1, max_size=60), st.sampled_from([0, 3]))
def test_how_the_text_was_cut_into_pieces_changes_no_clause(text: str, sizes: list[int], first_words: int) -> None:
    pieces, at = [], 0
    while at < len(text):
        size = sizes[len(pieces) % len(sizes)]
        pieces.append(text[at : at + size])
        at += size
    assert split(text, pieces, first_words=first_words) == split(text, first_words=first_words)


@given(st.lists(WORDS, min_size=1, max_size=40), st.sampled_from([0, 3]))
def test_no_cut_falls_inside_a_word_number_abbreviation_or_address(words: list[str], first_words: int) -> None:
    text = " ".join(words)
    inside = set()
    at = 0
    for word in words:
        inside |= {at + i for i in range(1, len(word.rstrip(".,;:!?…")))}
        at += len(word) + 1
    assert not inside & {clause.offset for clause in split(text, first_words=first_words)}


@pytest.mark.parametrize(
    ("text", "first"),
    [
        ("I can help you with that today.", "I can help "),
        ("Thank you for calling us today.", "Thank you for calling "),
        # No word that leans on the next one, no conjunction, ends the opening; a number stays with its word.
        ("Your order is on its way to you.", "Your order is on its way "),
        ("Please hold on while I look.", "Please hold on while I look."),
        ("Please take number 25 today.", "Please take number 25 today."),
        # A better place within the words is taken, and too little speech is no opening.
        ("Sure, I can help you with that.", "Sure,"),
        ("So we do it now with you.", "So we do it now "),
    ],
)
def test_an_answer_opens_with_three_words_where_they_can_end_a_phrase(text: str, first: str) -> None:
    assert split(text, first_words=3)[0].text == first


def test_a_language_whose_leaning_words_are_not_known_is_not_cut_within_a_phrase() -> None:
    assert split("Minä voin auttaa sinua tänään.", locale="fi-FI", first_words=3)[0].text[-1] == "."


@pytest.mark.parametrize(
    ("text", "first"),
    [
        ("Yes, I can help you with that right away.", "Yes,"),
        ("Sure! What is your order number?", "Sure!"),
        ("I have found your order and it should arrive soon.", "I have found your order "),
        ("Dr. Smith will see you. Please wait.", "Dr. Smith will see you."),
        ("That is 3.50 in all. Thanks.", "That is 3.50 in all."),
        ("It opens at 10:30 and closes late. Bye.", "It opens at 10:30 and closes late."),
        ("J. Smith is here. Hello.", "J. Smith is here."),
        ("See example.com. Then call us.", "See example.com."),
        ("We open at 9 a.m. Please come.", "We open at 9 a.m."),
        ("We open at 9 a.m. on Monday. Please come.", "We open at 9 a.m. on Monday."),
        ("It costs 5. Then we ship.", "It costs 5."),
        ("So do I. Let us go.", "So do I."),
        ("Hello", "Hello"),
    ],
)
def test_the_first_clause_ends_where_a_speaker_would_pause(text: str, first: str) -> None:
    assert texts(text)[0] == first


@pytest.mark.parametrize(
    "text",
    ["am 3. Mai um 9 Uhr.", "Das kostet z.B. 3,50 Euro.", "Herr Dr. Müller ist da.", "Nr. 5 in der Str. 7 bitte."],
)
def test_german_ordinals_and_abbreviations_hold_together(text: str) -> None:
    assert texts(text, "de-DE") == [text]


def test_the_first_clause_is_given_out_before_the_sentence_is_complete() -> None:
    splitter = ClauseSplitter(25)
    assert splitter.push("I have found your order and") == []
    assert [c.text for c in splitter.push(" it")] == ["I have found your order "]


def test_a_long_text_without_boundary_is_cut_between_words_and_never_after_an_article() -> None:
    clauses = texts("please send the very big parcel to my aunt near the large station by train tomorrow " * 3)
    assert len(clauses) > 1
    for clause in clauses[:-1]:
        assert clause.split()[-1] not in {"the", "my", "to", "very", "by"}


def test_without_a_boundary_the_last_resort_is_a_preposition() -> None:
    assert (
        texts("The refund of $120 was sent to your account last Wednesday, we hope.")[0]
        == "The refund of $120 was sent "
    )


def test_flush_gives_out_what_is_held_and_later_text_follows_on() -> None:
    splitter = ClauseSplitter(25)
    assert splitter.push("one moment") == []
    assert splitter.flush() == [Clause(0, "one moment", 0)]
    assert splitter.push(" please. ") == [Clause(1, " please.", 10)]


def test_relief_gives_the_best_part_of_what_is_held_and_keeps_the_rest() -> None:
    splitter = ClauseSplitter(25)
    splitter.push("Yes, ")
    splitter.push("the parcel left, the driver called ")
    assert [c.text for c in splitter.relieve(urgent=False)] == [" the parcel left,"]
    assert splitter.relieve(urgent=False) == []
    assert [c.text for c in splitter.relieve(urgent=True)] == [" the driver "]
    assert "".join(c.text for c in splitter.flush()) == "called "


def test_relief_takes_a_whole_sentence_though_what_follows_is_not_known() -> None:
    splitter = ClauseSplitter(25)
    assert splitter.push("Hello.") == []
    assert [c.text for c in splitter.relieve(urgent=False)] == ["Hello."]


def test_a_very_long_run_without_spaces_is_still_bounded() -> None:
    assert max(len(text) for text in texts("x" * 5000)) <= 400
