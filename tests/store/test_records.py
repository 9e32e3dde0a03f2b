"""What a row may hold: personal data by policy, and nothing that jsonb would choke on. Pure."""

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.common.personal import Personal
from services.orchestrator.store.records import censor, clean, stored_event, to_jsonb
from tests.store.examples import START, WORDS, digit, final


def test_words_are_a_placeholder_with_their_length_unless_the_policy_stores_them():
    nothing = stored_event(final(), 3, START, "none")
    assert nothing.payload["text"] == f"‹words {len(WORDS)}›"
    assert (nothing.seq, nothing.type, nothing.at_ns) == (3, "FinalTranscript", 1_000_000_000)
    assert stored_event(final(), 3, START, "all").payload["text"] == WORDS


def test_keys_a_caller_pressed_are_as_personal_as_words():
    assert "7" not in to_jsonb(stored_event(digit(), 0, START, "none").payload)


@pytest.mark.parametrize("value", [["a", "secret"], 4711, {"k": "secret"}])
def test_a_personal_value_of_any_type_is_a_placeholder_under_none(value):
    shown = censor(Personal(value, "thing"), "none")
    assert isinstance(shown, str)
    assert "secret" not in shown
    assert "4711" not in shown


def test_what_jsonb_refuses_is_replaced_and_the_rest_is_kept():
    cleaned = clean({"a": "x\0y", "b": "lone \ud800 surrogate", "c": math.nan, "d": [math.inf, 1.5, True, None]})
    assert cleaned == {
        "a": "x\N{REPLACEMENT CHARACTER}y",
        "b": "lone ? surrogate",
        "c": None,
        "d": [None, 1.5, True, None],
    }


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters()),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(st.characters()), inner, max_size=4),
    max_leaves=20,
)


@given(st.dictionaries(st.text(), _json, max_size=4))
def test_any_payload_becomes_json_that_reads_back_the_same(payload):
    cleaned = clean(payload)
    text = to_jsonb(cleaned)
    assert json.loads(text) == cleaned
    assert "\0" not in text
    text.encode()
