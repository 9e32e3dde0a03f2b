"""Sentences out of pieces: cut anywhere, read as JSON or plain, they are the same; half a figure is no sentence."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.orchestrator.dialogue.understanding.parse import Reader
from services.orchestrator.dialogue.understanding.sentences import Sentences


def cut(text, sizes):
    at = 0
    for size in [*sizes, len(text)]:
        yield text[at : at + size]
        at += size


def sentences(pieces):
    subject = Sentences()
    found = [one for piece in pieces for one in subject.feed(piece)]
    return found + subject.end()


SAID = st.lists(
    st.sampled_from(["Gut", "naïve", "€ 3.50", "日本", "a\\b", '"so"', "Mr.", "is", ".", "!", "? ", "…", "\t", " "])
)


@given(st.one_of(SAID.map(" ".join), st.text(st.characters(exclude_categories=["Cs"]), max_size=60)),
       st.lists(st.integers(1, 7), max_size=40))  # fmt: skip
def test_however_text_is_cut_the_same_sentences_come_and_no_letter_is_lost(text, sizes):
    found = sentences(cut(text, sizes))
    assert found == sentences([text])
    assert "".join("".join(found).split()) == "".join(text.split())


@given(SAID.map(" ".join), st.lists(st.integers(1, 5), max_size=60), st.booleans())
def test_the_same_sentences_come_out_of_json_however_it_is_cut_and_escaped(text, sizes, escaped):
    written = json.dumps({"acts": ["nothing"], "say": text}, separators=(",", ":"), ensure_ascii=escaped)
    reader, subject, found = Reader(), Sentences(), []
    for piece in cut(written, sizes):
        found += subject.feed(reader.feed(piece).say)
    assert reader.whole
    assert found + subject.end() == sentences([text])


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("One moment. I am looking!", ["One moment.", "I am looking!"]),
        ("That is 3.50 in all. Right?", ["That is 3.50 in all.", "Right?"]),
        ("Mr. Smith is here. Good.", ["Mr. Smith is here.", "Good."]),
        ("Am 3. Mai z. B. geht es. Ja.", ["Am 3. Mai z. B. geht es.", "Ja."]),
        ("Well… maybe. No", ["Well…", "maybe.", "No"]),
        ('He said "no." Then yes.', ['He said "no."', "Then yes."]),
        ("", []),
    ],
)
def test_a_sentence_ends_where_a_reader_would_say_it_does(text, wanted):
    assert sentences([text]) == wanted


def test_a_sentence_waits_for_what_stands_behind_its_stop():
    subject = Sentences()
    assert subject.feed("It costs 3.") == []
    assert subject.feed("50 a month.") == []
    assert subject.feed(" ") == ["It costs 3.50 a month."]
