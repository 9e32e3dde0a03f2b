"""The OpenAPI contracts of a bundle: which operations there are, what they need, what they answer.

Read once at publish. A tool names `file#operationId`; arguments and said fields are checked against the contract, so a
contract change that would break us fails at publish, not in a call.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

_METHODS = ("get", "put", "post", "delete", "patch")
_READS = frozenset({"get"})
IDEMPOTENCY_HEADER = "Idempotency-Key"


@dataclass(frozen=True, slots=True)
class Field:
    """A parameter or a property: its JSON type, and whether it must be there."""

    type: str
    required: bool
    where: str = "body"


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation of a contract. `answer` are the properties of its success answer."""

    id: str
    method: str
    path: str
    params: Mapping[str, Field]
    answer: Mapping[str, Field]
    takes_idempotency_key: bool
    # The items of a list answer are records of this shape.
    many: bool = False

    @property
    def reads(self) -> bool:
        """HTTP says that it changes nothing."""
        return self.method in _READS


def operations(document: Any) -> Iterator[Operation | str]:
    """The operations of one OpenAPI 3 document, or a sentence for each thing that cannot be read."""
    if not isinstance(document, Mapping) or not str(document.get("openapi", "")).startswith("3."):
        yield "it is not an OpenAPI 3 document (openapi: 3.x)"
        return
    paths = document.get("paths")
    if not isinstance(paths, Mapping) or not paths:
        yield "it has no paths"
        return
    for path, item in paths.items():
        if not isinstance(item, Mapping):
            yield f"path {path} is not a mapping"
            continue
        for method in _METHODS:
            operation = item.get(method)
            if isinstance(operation, Mapping):
                yield _operation(document, str(path), method, operation, item.get("parameters"))


def _operation(
    document: Mapping[str, Any], path: str, method: str, operation: Mapping[str, Any], shared: Any
) -> Operation | str:
    name = operation.get("operationId")
    if not isinstance(name, str) or not name:
        return f"{method} {path} has no operationId"
    params: dict[str, Field] = {}
    key = False
    for listed in (shared, operation.get("parameters")):
        for raw in listed if isinstance(listed, list) else ():
            param = _resolve(document, raw)
            if str(param.get("name", "")).lower() == IDEMPOTENCY_HEADER.lower() and param.get("in") == "header":
                key = True
            elif param.get("in") in ("path", "query"):
                schema = _resolve(document, param.get("schema"))
                required = bool(param.get("required"))
                params[str(param.get("name"))] = Field(str(schema.get("type", "string")), required, str(param["in"]))
    body = _json_schema(document, operation.get("requestBody"))
    params |= _properties(document, body, "body")
    answer, many = _answer(document, operation)
    return Operation(name, method, path, params, answer, key, many)


def _answer(document: Mapping[str, Any], operation: Mapping[str, Any]) -> tuple[dict[str, Field], bool]:
    responses = operation.get("responses")
    for status, response in responses.items() if isinstance(responses, Mapping) else ():
        if str(status).startswith("2"):
            schema = _json_schema(document, response)
            if schema.get("type") == "array":
                return _properties(document, _resolve(document, schema.get("items")), "body"), True
            return _properties(document, schema, "body"), False
    return {}, False


def _json_schema(document: Mapping[str, Any], holder: Any) -> Mapping[str, Any]:
    content = _resolve(document, holder).get("content")
    media = content.get("application/json") if isinstance(content, Mapping) else None
    return _resolve(document, media.get("schema")) if isinstance(media, Mapping) else {}


def _properties(document: Mapping[str, Any], schema: Mapping[str, Any], where: str) -> dict[str, Field]:
    properties = schema.get("properties")
    required = schema.get("required") or ()
    if not isinstance(properties, Mapping):
        return {}
    return {
        str(name): Field(str(_resolve(document, raw).get("type", "string")), name in required, where)
        for name, raw in properties.items()
    }


def _resolve(document: Mapping[str, Any], raw: Any, depth: int = 0) -> Mapping[str, Any]:
    """Follow local references (`#/components/…`); anything else is an empty schema, which then lacks what is needed."""
    if not isinstance(raw, Mapping):
        return {}
    reference = raw.get("$ref")
    if not isinstance(reference, str) or depth > 8:
        return raw
    node: Any = document
    for part in reference.removeprefix("#/").split("/"):
        node = node.get(part) if isinstance(node, Mapping) else None
    return _resolve(document, node, depth + 1)
