"""Everything a request can have wrong, and the field its error names."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.common.errors import InvalidInputError, TrunklineError
from services.llm.engine import Delta, Message, Role
from services.llm.requests import Limits, check_fits, parse_generate
from services.llm.schema import check_output, parse_schema
from services.pb.trunkline.llm.v1 import llm_pb2 as pb

LIMITS = Limits(context_tokens=1000, max_tokens=120, temperature=0.3)
USER = pb.Message(role=pb.Message.ROLE_USER, content="Hello")
SYSTEM = pb.Message(role=pb.Message.ROLE_SYSTEM, content="Be brief.")
ASSISTANT = pb.Message(role=pb.Message.ROLE_ASSISTANT, content="Yes.")


def parse(**fields: Any) -> Any:
    return parse_generate(pb.GenerateRequest(**{"messages": [SYSTEM, USER], **fields}), "r1", LIMITS)


def test_defaults_come_from_the_service() -> None:
    request = parse()
    assert (request.max_tokens, request.temperature, request.seed, request.schema) == (120, 0.3, None, None)
    assert request.messages == (Message(Role.SYSTEM, "Be brief."), Message(Role.USER, "Hello"))


def test_zero_temperature_is_not_the_default_temperature() -> None:
    assert parse(temperature=0.0).temperature == 0.0


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"messages": []}, "messages"),
        ({"messages": [pb.Message(content="no role")]}, "messages[0].role"),
        ({"messages": [pb.Message(role=9, content="unknown role")]}, "messages[0].role"),
        ({"messages": [USER, SYSTEM]}, "messages[1].role"),
        ({"messages": [pb.Message(role=pb.Message.ROLE_USER, content=" \n")]}, "messages[0].content"),
        ({"messages": [USER, ASSISTANT]}, "messages"),
        ({"messages": [USER] * 513}, "messages"),
        ({"messages": [pb.Message(role=pb.Message.ROLE_USER, content="x" * 200_001)]}, "messages"),
        ({"max_tokens": 1000}, "max_tokens"),
        ({"max_tokens": 2**32 - 1}, "max_tokens"),
        ({"temperature": -0.1}, "temperature"),
        ({"temperature": 2.5}, "temperature"),
        ({"temperature": float("nan")}, "temperature"),
        ({"temperature": float("inf")}, "temperature"),
        ({"stop": ["x"] * 9}, "stop"),
        ({"stop": ["ok", ""]}, "stop[1]"),
        ({"stop": ["x" * 65]}, "stop[0]"),
        ({"priority": -1}, "priority"),
        ({"priority": 101}, "priority"),
        ({"cache_salt": "s" * 129}, "cache_salt"),
        ({"json_schema": "{not json"}, "json_schema"),
        ({"json_schema": "[]"}, "json_schema"),
        ({"json_schema": '{"type": "nonsense"}'}, "json_schema"),
        ({"json_schema": '{"properties": 5}'}, "json_schema"),
        ({"json_schema": '{"$ref": "#/nowhere"}'}, "json_schema"),
        ({"json_schema": '{"$ref": "https://example.com/schema.json"}'}, "json_schema"),
        ({"json_schema": '{"pattern": "("}'}, "json_schema"),
        ({"json_schema": json.dumps({"description": "x" * 70_000})}, "json_schema"),
        ({"json_schema": '{"items":' * 40 + "{}" + "}" * 40}, "json_schema"),
        ({"json_schema": "[" * 100_000}, "json_schema"),
    ],
)
def test_what_cannot_be_used_is_an_invalid_input_that_names_the_field(fields: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidInputError) as error:
        parse(**fields)
    assert error.value.field == field


def test_an_error_never_quotes_the_callers_words() -> None:
    secret = "my card is 4111"
    with pytest.raises(InvalidInputError) as error:
        parse(messages=[pb.Message(role=77, content=secret)])
    assert secret not in str(error.value)


def test_a_printed_request_or_delta_shows_no_words() -> None:
    secret = "my card is 4111"
    request = parse(messages=[SYSTEM, pb.Message(role=pb.Message.ROLE_USER, content=secret)])
    assert secret not in f"{request} {request!r} {Delta(secret)!r}"


def test_a_prompt_that_does_not_fit_says_how_much_to_cut_and_where() -> None:
    messages = [Message(Role.SYSTEM, "s" * 300), Message(Role.USER, "hello")]
    check_fits(880, 120, 1000, messages)
    with pytest.raises(InvalidInputError, match="Cut at least 7 tokens") as error:
        check_fits(887, 120, 1000, messages)
    assert "system message: 300 characters; turns: 1" in str(error.value)


def test_finished_output_is_held_against_its_schema() -> None:
    schema = parse_schema('{"type": "object", "required": ["act"], "properties": {"act": {"enum": ["pay", "ask"]}}}')
    check_output(schema, '{"act": "pay"}')
    for bad in ('{"act": "fly"}', "{}", "pay", "", '{"act": "pay"'):
        with pytest.raises(TrunklineError, match="schema"):
            check_output(schema, bad)


@given(st.text())
def test_any_text_as_a_schema_is_taken_or_refused_by_name(text: str) -> None:
    try:
        schema = parse_schema(text)
    except InvalidInputError as error:
        field = error.field
    else:
        field = "json_schema"
        assert isinstance(schema, dict)
    assert field == "json_schema"


@given(st.binary(max_size=200))
def test_random_bytes_that_parse_as_a_request_are_taken_or_refused_by_name(data: bytes) -> None:
    request = pb.GenerateRequest()
    try:
        request.ParseFromString(data)
    except Exception:  # noqa: BLE001 - protobuf's own error; the server refuses such a message itself
        return
    field = "none"
    try:
        parse_generate(request, "r1", LIMITS)
    except InvalidInputError as error:
        field = error.field
    assert field
