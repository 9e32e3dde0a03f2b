"""JSON Schemas from callers of the service: checked before they reach an engine, and the output checked after.

llama.cpp generates free text when its grammar compiler does not take a schema, and says nothing, so both ends are
held. References are followed inside the document only: a schema must never make this service open a connection.
"""

import json
from collections.abc import Mapping
from typing import Any

import jsonschema_rs

from services.common.errors import InvalidInputError, TrunklineError

FIELD = "json_schema"
MAX_BYTES = 64 * 1024
MAX_DEPTH = 32

Schema = Mapping[str, Any]


def parse_schema(text: str) -> Schema:
    """The schema in `text`. Raises InvalidInputError naming what is wrong."""
    if len(text.encode()) > MAX_BYTES:
        raise InvalidInputError(FIELD, expected=f"at most {MAX_BYTES} bytes", got=f"{len(text.encode())} bytes")
    try:
        schema = json.loads(text)
    except (ValueError, RecursionError) as error:
        reason = f"line {error.lineno}" if isinstance(error, json.JSONDecodeError) else type(error).__name__
        raise InvalidInputError(FIELD, expected="a JSON document", got=f"text that is not JSON ({reason})") from None
    if not isinstance(schema, dict):
        raise InvalidInputError(FIELD, expected="a JSON Schema object", got=f"a JSON {type(schema).__name__}")
    if _depth(schema) > MAX_DEPTH:
        raise InvalidInputError(FIELD, expected=f"at most {MAX_DEPTH} levels", got="a deeper document")
    _validator(schema)
    return schema


def check_output(schema: Schema, text: str) -> None:
    """Raise TrunklineError when finished output is not what the schema says: the engine's grammar let it through."""
    try:
        fits = _validator(schema).is_valid(json.loads(text))
    except ValueError:
        fits = False
    if not fits:
        raise TrunklineError(
            "The engine's grammar did not hold the JSON schema.",
            remedy="Use plainer keywords: type, properties, required, enum, items, minimum, maxLength.",
        )


def _validator(schema: Schema) -> jsonschema_rs.Draft202012Validator:
    try:
        return jsonschema_rs.Draft202012Validator(dict(schema), offline=True)
    except (jsonschema_rs.ValidationError, jsonschema_rs.ReferencingError, ValueError) as error:
        first = str(error).splitlines()[0][:160]
        raise InvalidInputError(
            FIELD, expected="a JSON Schema (2020-12) with references inside itself only", got=f"one with: {first}"
        ) from None


def _depth(value: object) -> int:
    """Nesting of a document json.loads accepted, without recursion."""
    deepest, pending = 0, [(value, 1)]
    while pending:
        node, level = pending.pop()
        deepest = max(deepest, level)
        if level > MAX_DEPTH:
            break
        children = node.values() if isinstance(node, dict) else node if isinstance(node, list) else ()
        pending.extend((child, level + 1) for child in children)
    return deepest
