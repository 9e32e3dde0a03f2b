"""The pure parts: what the schema can express, what the reader takes of a stream, how opinions are ranked."""

import json
from itertools import pairwise

import jsonschema_rs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.orchestrator.dialogue.model import Act, Legal
from services.orchestrator.dialogue.understanding import bands
from services.orchestrator.dialogue.understanding.examples import NO_GOAL, Examples, phrases
from services.orchestrator.dialogue.understanding.parse import Reader
from services.orchestrator.dialogue.understanding.prompt import MAX_SHOTS, answer, prefix
from services.orchestrator.dialogue.understanding.schema import read_acts, sayable, schema
from tests.dialogue.understanding.scripted import BANK

LEGAL = Legal(goals=("refund",), slots=("amount",))


# ---- schema


@pytest.mark.parametrize(
    "written",
    [
        {"acts": ["start block_card"], "say": ""},
        {"acts": ["affirm"], "say": ""},
        {"acts": ["cancel"], "say": ""},
        {"acts": ["start refund"], "say": "", "tool": "create_refund"},
        {"acts": [{"start": "refund", "amount": 500}], "say": ""},
        {"acts": ["start refund 500"], "say": ""},
        {"acts": ["start refund"] * 4, "say": ""},
        {"acts": ["nothing"], "say": "x" * 121},
    ],
)
def test_the_schema_cannot_express_what_is_not_legal_now(written):
    assert not jsonschema_rs.is_valid(schema(LEGAL), written)


def test_the_schema_follows_the_question_and_puts_the_spoken_part_last():
    asked = Legal(goals=("refund",), slots=(), asked="yes_no", active_goal="refund")
    assert {"affirm", "deny", "cancel"} <= set(sayable(asked))
    assert jsonschema_rs.is_valid(schema(asked), {"acts": ["affirm"], "say": "Fine."})
    assert list(schema(asked)["properties"]) == ["acts", "say"]


@given(st.lists(st.sampled_from([*sayable(LEGAL), "start block_card", "affirm", "x", ""]), max_size=5))
def test_acts_are_taken_once_and_only_if_legal(written):
    acts = read_acts(written, LEGAL)
    assert len(set(acts)) == len(acts)
    assert set(acts) <= {Act("start", "refund"), Act("fill", "amount"), Act("person"), Act("repeat")}


# ---- reader


def fed(text: str, sizes: list[int]) -> tuple[Reader, list[str], str]:
    reader, acts, say = Reader(), [], ""
    at = 0
    for size in [*sizes, len(text)]:
        piece = reader.feed(text[at : at + size])
        at += size
        acts += piece.acts
        say += piece.say
    return reader, acts, say


@given(
    st.lists(st.sampled_from(["start refund", "nothing", "fill amount"]), min_size=1, max_size=3),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=40),
    st.lists(st.integers(1, 9), max_size=40),
    st.booleans(),
)
def test_however_the_stream_is_cut_the_same_is_read(acts, say, sizes, escaped):
    text = json.dumps({"acts": acts, "say": say}, separators=(",", ":"), ensure_ascii=escaped)
    reader, found, spoken = fed(text, sizes)
    assert (found, spoken) == (acts, say)
    assert reader.whole
    assert not reader.malformed


def test_an_act_is_known_as_soon_as_it_is_written_and_the_sentence_comes_in_pieces():
    reader = Reader()
    assert reader.feed('{"acts":["start refund"').acts == ("start refund",)
    assert reader.feed('],"say":"One ').acts_done
    assert reader.feed("mo\\u00").say == "mo"
    assert reader.feed('e9ment"}').say == "ément"
    assert reader.whole


@given(st.text(max_size=60), st.lists(st.integers(1, 9), max_size=20))
def test_no_text_makes_the_reader_raise_or_take_more_than_it_says(text, sizes):
    reader, acts, _ = fed(text, sizes)
    assert reader.acts == acts
    assert not (reader.malformed and reader.whole)


@pytest.mark.parametrize(
    "text", ["no", '{"acts":[]x', '{"acts":["a"],"tool":"x"', '{"acts":["a"],"say":"b"}{"acts":["c"]}']
)
def test_other_shapes_are_malformed(text):
    assert fed(text, [])[0].malformed


# ---- prompt


@pytest.mark.parametrize("locale", ["en-GB", "de-DE"])
def test_the_prompt_shows_every_goal_and_nothing_in_turns(locale):
    messages = prefix(BANK, locale)
    assert messages[0].role == "system"
    shown = [message.text for message in messages if message.role == "assistant"]
    assert len(shown) <= MAX_SHOTS
    for goal in BANK.goals:
        assert answer(f"start {goal}") in shown
    assert all(a != b for a, b in pairwise(shown) if "nothing" not in a)
    for text in shown:
        assert fed(text, [])[0].whole


# ---- second opinion


@pytest.mark.parametrize(
    ("locale", "words", "goal"),
    [
        ("en-GB", "pleese block the card of mine", "block_card"),
        ("en-GB", "account ballance", "balance"),
        ("de-DE", "die Karte bitte sperren", "block_card"),
        ("de-DE", "Kontostände", "balance"),
        ("en-GB", "tell me a good joke", NO_GOAL),
    ],
)
def test_wording_alone_knows_slips_and_endings(locale, words, goal):
    opinion = Examples(phrases(BANK, locale), None).opinion(words, None)
    assert opinion.ranked(tuple(opinion.of))[0] == goal
    assert not opinion.by_meaning


def test_the_same_vote_makes_a_goal_likelier_and_another_one_less():
    for weights in bands.WEIGHTS.values():
        assert weights(0.5, 0.3, "same") > weights(0.5, 0.3, "absent") >= weights(0.5, 0.3, "other")
        assert weights(0.9, 0.3, "same") > weights(0.5, 0.3, "same") > weights(0.5, 0.0, "same")
