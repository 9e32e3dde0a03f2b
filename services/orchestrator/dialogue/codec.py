"""A state as JSON, personal data set apart: the skeleton holds places, the list beside it what belongs there.

Erasing a caller's data is forgetting the list; the skeleton then still tells which goals there were and how they ended.
"""

import types
import typing
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from functools import cache
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from services.common.errors import TrunklineError
from services.common.personal import Personal
from services.orchestrator.dialogue.state import SCHEMA, DialogueState

_PLACE = "personal"


class StateError(TrunklineError):
    """A stored state that cannot be read: erased, of another schema, or damaged."""


def dump(state: DialogueState) -> tuple[dict[str, Any], list[Any]]:
    """(skeleton, personal values): both JSON-ready."""
    personal: list[Any] = []
    skeleton = _plain(state, personal)
    assert isinstance(skeleton, dict)
    return skeleton, personal


def load(skeleton: Mapping[str, Any], personal: list[Any] | None) -> DialogueState:
    """Back again. Raises StateError."""
    if skeleton.get("schema") != SCHEMA:
        raise StateError(
            f"A dialogue's state has schema {skeleton.get('schema')!r}; this version reads {SCHEMA}.",
            remedy="Finish calls on the version that began them, or begin the dialogue anew.",
        )
    if personal is None:
        raise StateError("The personal data of this dialogue was erased.", remedy="Begin the dialogue anew.")
    try:
        state = _typed(DialogueState, skeleton, personal)
    except (KeyError, TypeError, ValueError, IndexError, AttributeError) as error:
        raise StateError(f"A dialogue's state is damaged ({type(error).__name__}).") from None
    assert isinstance(state, DialogueState)
    return state


def _plain(value: Any, personal: list[Any]) -> Any:
    if isinstance(value, Personal):
        inner = value.reveal()
        personal.append(dict(inner) if isinstance(inner, Mapping) else inner)
        return {_PLACE: len(personal) - 1}
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: _plain(getattr(value, field.name), personal) for field in fields(value)}
    if isinstance(value, Mapping):
        return {str(key): _plain(item, personal) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item, personal) for item in value]
    return value


@cache
def _hints(cls: type) -> dict[str, Any]:
    return get_type_hints(cls)


def _typed(kind: Any, value: Any, personal: list[Any]) -> Any:
    """`value` as the annotation `kind` says."""
    origin, args = get_origin(kind), get_args(kind)
    if origin is Personal:
        return Personal(personal[value[_PLACE]], "slot")
    if origin in (Union, types.UnionType) and type(None) in args:
        if value is None:
            return None
        rest = [arg for arg in args if arg is not type(None)]
        return _typed(rest[0], value, personal) if len(rest) == 1 else value
    if origin is Literal or origin in (Union, types.UnionType):
        return value
    if origin in (tuple, list):
        items = [_typed(args[0], item, personal) for item in value]
        return tuple(items) if origin is tuple else items
    if origin in (dict, typing.get_origin(Mapping[str, str])):
        key = int if args[0] is int else str
        return {key(name): _typed(args[1], item, personal) for name, item in value.items()}
    if isinstance(kind, type) and is_dataclass(kind):
        hints = _hints(kind)
        return kind(**{name: _typed(hints[name], value[name], personal) for name in value})
    return value
