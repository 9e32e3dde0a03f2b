"""From the wire to validated work: every field of a request is checked here, and named when it cannot be used."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from services.common.errors import InvalidInputError
from services.llm.engine import GenerationRequest, Message, Role
from services.llm.schema import parse_schema
from services.pb.trunkline.llm.v1 import llm_pb2 as pb

MAX_MESSAGES = 512
MAX_CONTENT_CHARS = 200_000
MAX_STOPS = 8
MAX_STOP_CHARS = 64
MAX_ID_CHARS = 128
MAX_PRIORITY = 100
MAX_TEMPERATURE = 2.0
MAX_TEXTS = 64
MAX_TEXT_CHARS = 2_000

_ROLES = {
    pb.Message.ROLE_SYSTEM: Role.SYSTEM,
    pb.Message.ROLE_USER: Role.USER,
    pb.Message.ROLE_ASSISTANT: Role.ASSISTANT,
}


@dataclass(frozen=True)
class Limits:
    """The service's defaults and the engine's size."""

    context_tokens: int
    max_tokens: int
    temperature: float


def parse_generate(request: pb.GenerateRequest, request_id: str, limits: Limits) -> GenerationRequest:
    """Validated work. Raises InvalidInputError."""
    messages = parse_messages(request.messages)
    if messages[-1].role is Role.ASSISTANT:
        raise InvalidInputError(
            "messages", expected="a last message of the user (or system) to answer", got="one of the assistant"
        )
    return GenerationRequest(
        request_id=request_id,
        messages=messages,
        max_tokens=_max_tokens(request.max_tokens, limits),
        temperature=_temperature(request, limits),
        schema=parse_schema(request.json_schema) if request.json_schema else None,
        stop=_stop(request.stop),
        priority=_priority(request.priority),
        cache_salt=identifier("cache_salt", request.cache_salt),
        seed=request.seed if request.HasField("seed") else None,
    )


def parse_messages(wire: Iterable[pb.Message]) -> tuple[Message, ...]:
    """Messages with known roles, not empty, of a bearable size. Raises InvalidInputError."""
    messages: list[Message] = []
    chars = 0
    for index, message in enumerate(wire):
        role = _ROLES.get(message.role)
        if role is None:
            raise InvalidInputError(
                f"messages[{index}].role", expected="ROLE_SYSTEM, ROLE_USER or ROLE_ASSISTANT", got=str(message.role)
            )
        if role is Role.SYSTEM and index:
            raise InvalidInputError(f"messages[{index}].role", expected="ROLE_SYSTEM first only", got="a later one")
        if not message.content.strip() and role is not Role.ASSISTANT:
            raise InvalidInputError(f"messages[{index}].content", expected="text", got="nothing")
        chars += len(message.content)
        messages.append(Message(role, message.content))
    if not messages:
        raise InvalidInputError("messages", expected="at least one message", got="none")
    if len(messages) > MAX_MESSAGES:
        raise InvalidInputError("messages", expected=f"at most {MAX_MESSAGES} messages", got=str(len(messages)))
    if chars > MAX_CONTENT_CHARS:
        raise InvalidInputError(
            "messages", expected=f"at most {MAX_CONTENT_CHARS} characters in all", got=str(chars), remedy=_CUT
        )
    return tuple(messages)


def parse_texts(wire: Sequence[str]) -> list[str]:
    """Texts to embed. Raises InvalidInputError."""
    if not 1 <= len(wire) <= MAX_TEXTS:
        raise InvalidInputError("texts", expected=f"1 to {MAX_TEXTS} texts", got=str(len(wire)))
    for index, text in enumerate(wire):
        if not text.strip() or len(text) > MAX_TEXT_CHARS:
            got = f"{len(text)} characters" if text.strip() else "nothing"
            raise InvalidInputError(f"texts[{index}]", expected=f"1 to {MAX_TEXT_CHARS} characters", got=got)
    return list(wire)


_CUT = "Drop the oldest turns after the system message, or shorten the system message."


def check_fits(prompt_tokens: int, reply_tokens: int, context_tokens: int, messages: Sequence[Message]) -> None:
    """Raise InvalidInputError, saying how much to cut where, when prompt and reply exceed the context."""
    over = prompt_tokens + reply_tokens - context_tokens
    if over <= 0:
        return
    system = len(messages[0].content) if messages[0].role is Role.SYSTEM else 0
    raise InvalidInputError(
        "messages",
        expected=f"at most {context_tokens - reply_tokens} prompt tokens beside {reply_tokens} of reply",
        got=f"{prompt_tokens} (system message: {system} characters; turns: {len(messages) - bool(system)})",
        remedy=f"Cut at least {over} tokens. {_CUT}",
    )


def identifier(field: str, value: str) -> str:
    """An id or salt of bearable length. Raises InvalidInputError."""
    if len(value) > MAX_ID_CHARS:
        raise InvalidInputError(field, expected=f"at most {MAX_ID_CHARS} characters", got=str(len(value)))
    return value


def _max_tokens(value: int, limits: Limits) -> int:
    if value >= limits.context_tokens:
        raise InvalidInputError(
            "max_tokens", expected=f"less than the context, {limits.context_tokens}", got=str(value)
        )
    return value or limits.max_tokens


def _temperature(request: pb.GenerateRequest, limits: Limits) -> float:
    if not request.HasField("temperature"):
        return limits.temperature
    if not math.isfinite(request.temperature) or not 0 <= request.temperature <= MAX_TEMPERATURE:
        raise InvalidInputError("temperature", expected=f"0 to {MAX_TEMPERATURE}", got=str(request.temperature))
    return round(request.temperature, 4)


def _stop(values: Iterable[str]) -> tuple[str, ...]:
    stop = tuple(values)
    if len(stop) > MAX_STOPS:
        raise InvalidInputError("stop", expected=f"at most {MAX_STOPS} strings", got=str(len(stop)))
    for index, text in enumerate(stop):
        if not 1 <= len(text) <= MAX_STOP_CHARS:
            raise InvalidInputError(f"stop[{index}]", expected=f"1 to {MAX_STOP_CHARS} characters", got=str(len(text)))
    return stop


def _priority(value: int) -> int:
    if not 0 <= value <= MAX_PRIORITY:
        raise InvalidInputError("priority", expected=f"0 to {MAX_PRIORITY}", got=str(value))
    return value
