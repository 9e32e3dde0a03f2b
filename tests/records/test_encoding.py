"""One value, one text; one entry, one hash."""

import hashlib
import hmac
import json
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.common.errors import InvalidInputError
from services.common.personal import Personal
from services.records.canonical import canonical, read_canonical
from services.records.entry import NO_PREVIOUS, AuditEntry, Opening, chain, commit, place, prepare

AT = datetime(2026, 11, 27, 1, 2, 3, 4, tzinfo=UTC)


def test_keys_are_sorted_by_utf_16_code_units_as_in_rfc_8785_section_3_2_3():
    value = {
        "\u20ac": "Euro Sign", "\r": "Carriage Return", "\ufb33": "Hebrew Letter Dalet With Dagesh", "1": "One",
        "\U0001f600": "Emoji: Grinning Face", "\u0080": "Control", "\u00f6": "Latin Small Letter O With Diaeresis",
    }  # fmt: skip
    assert [*json.loads(canonical(value)).values()] == [
        "Carriage Return", "One", "Control", "Latin Small Letter O With Diaeresis", "Euro Sign",
        "Emoji: Grinning Face", "Hebrew Letter Dalet With Dagesh",
    ]  # fmt: skip


def test_text_is_escaped_as_in_rfc_8785_section_3_2_2():
    text = "\u20ac$\u000f\u000aA'\u0042\u0022\u005c\\\"/"
    assert canonical({"string": text}) == '{"string":"€$\\u000f\\nA\'B\\"\\\\\\\\\\"/"}'.encode()
    assert canonical({"literals": [None, True, False], "n": -7}) == b'{"literals":[null,true,false],"n":-7}'


@pytest.mark.parametrize(
    "value", [1.5, 2**53, "\ud800", "a\0b", b"bytes", {1: "a"}, Personal("x"), {"a": {"b": [0.1]}}]
)
def test_what_has_no_one_encoding_is_refused(value):
    with pytest.raises(InvalidInputError):
        canonical(value)


_text = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))
_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | _text,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_text, inner, max_size=4),
    max_leaves=20,
)


@given(_values)
def test_what_is_encoded_reads_back_the_same_and_encodes_the_same_again(value):
    encoded = canonical(value)
    assert json.loads(encoded) == value
    assert canonical(json.loads(encoded)) == encoded


@given(_values)
def test_the_quick_check_agrees_with_the_encoder(value):
    assert read_canonical(canonical(value)) == (value, True)
    spaced = json.dumps(value, ensure_ascii=False, indent=1).encode()
    assert read_canonical(spaced) == (value, spaced == canonical(value))


@pytest.mark.parametrize(
    "text",
    [
        '{"b":1,"a":2}', '{"a":1,"a":1}', '{"a": 1}', '{"a":1.0}', '{"a":1e3}', '{"a":NaN}', '{"a":-0}',
        "9007199254740992", '"\\u00e9"', '"\\/"', '"\\u0000"', '"\\u000A"',
        '{"\U0001f600":1,"\ufb33":2,"a":1}', '{"\ufb33":1,"\U0001f600":2}',
    ],
)  # fmt: skip
def test_any_other_text_of_the_same_value_is_not_canonical(text):
    assert read_canonical(text.encode())[1] is False


def test_an_entry_is_these_bytes():
    entry = AuditEntry(
        actor="operator", action="call.hangup", at=AT, subject="c1", call_id="c1", bundle_digest="sha256:ab",
        detail={"cause": "api", "n": 1},
    )  # fmt: skip
    assert place(entry.body({}), 7, bytes(range(32))).decode() == (
        '{"action":"call.hangup","actor":"operator","at":"2026-11-27T01:02:03.000004Z","bundle":"sha256:ab",'
        '"call":"c1","detail":{"cause":"api","n":1},"index":7,"personal":{},'
        '"prev":"000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f","subject":"c1","v":1}'
    )


def test_a_commitment_is_hmac_sha_256_of_field_and_value_under_the_salt():
    salt = bytes(range(32))
    expected = hmac.new(salt, b'["caller","sip:jane@example.com"]', hashlib.sha256).hexdigest()
    assert commit(salt, "caller", "sip:jane@example.com") == expected
    assert Opening("caller", salt, "sip:jane@example.com").commitment() == expected
    # A published vector of the HMAC itself: RFC 4231 test case 2.
    assert hmac.new(b"Jefe", b"what do ya want for nothing?", hashlib.sha256).hexdigest().startswith("5bdcc146bf60754e")


def test_personal_data_is_in_no_entry_and_two_entries_of_the_same_caller_look_unrelated():
    entries = [
        AuditEntry(actor="system", action="call.started", at=AT, personal={"caller": Personal("jane", "uri")})
        for _ in range(2)
    ]
    first, second = (prepare(entry) for entry in entries)
    assert first.body["personal"]["caller"] != second.body["personal"]["caller"]
    assert b"jane" not in place(first.body, 0, NO_PREVIOUS)
    assert first.openings[0].value == "jane"
    assert len(first.openings[0].salt) == 32


def test_each_entry_names_the_hash_of_the_one_before():
    body = AuditEntry(actor="system", action="a.b", at=AT).body({})
    placed = chain([body, body, body], 3, bytes(32))
    assert [index for index, _, _ in placed] == [3, 4, 5]
    assert json.loads(placed[1][1])["prev"] == placed[0][2].hex()
    assert placed[1][2] == hashlib.sha256(b"\0" + placed[1][1]).digest()


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("action", "Call Ended"),
        ("actor", ""),
        ("at", datetime(2026, 1, 1)),
        ("detail", {"p": 0.5}),
        ("detail", {"caller": Personal("jane")}),
        ("personal", {"caller": "jane"}),
        ("detail", {"long": "x" * 70_000}),
    ],
)
def test_an_entry_that_cannot_be_kept_is_refused_where_it_is_made(field, value):
    fields = {"actor": "system", "action": "a.b", "at": AT, field: value}
    with pytest.raises(InvalidInputError) as refused:
        AuditEntry(**fields)
    assert "jane" not in str(refused.value)
