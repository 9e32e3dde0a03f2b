"""What a row holds, and what becomes of personal data on its way there. Pure."""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from services.common.personal import Personal
from services.orchestrator.events import Event, to_json

TranscriptPolicy = Literal["none", "all"]


@dataclass(frozen=True, slots=True)
class StoredEvent:
    """One event as a row. `seq` counts from 0 within its call; `payload` is JSON-ready and already censored."""

    seq: int
    at_ns: int
    wall: datetime
    type: str
    payload: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class CallRecord:
    """One call as a row; `ended_at`, `cause` and `detail` are None while it lasts (or its worker died)."""

    call_id: str
    transport: str
    caller: str
    callee: str
    agent_digest: str
    locale: str
    started_at: datetime
    ended_at: datetime | None
    cause: str | None
    detail: str | None


def censor(value: Personal[Any], policy: TranscriptPolicy) -> Any:
    """The value itself under "all"; else its placeholder, which tells kind and length only."""
    return value.reveal() if policy == "all" else str(value)


def stored_event(event: Event, seq: int, wall: datetime, policy: TranscriptPolicy) -> StoredEvent:
    """The row of an event. What JSON in PostgreSQL cannot hold (NUL, lone surrogates, NaN) is replaced."""
    fields = to_json(event, lambda value: censor(value, policy))
    kind, at_ns = fields.pop("type"), fields.pop("at_ns")
    return StoredEvent(seq, at_ns, wall, kind, clean(fields))


def clean(value: Any) -> Any:
    """A JSON value that jsonb accepts, whatever a caller's device put into the text."""
    if isinstance(value, str):
        return value.replace("\0", "\N{REPLACEMENT CHARACTER}").encode("utf-8", "replace").decode("utf-8")
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {clean(str(key)): clean(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [clean(item) for item in value]
    if value is None or isinstance(value, bool | int):
        return value
    return clean(str(value))


def to_jsonb(payload: Mapping[str, Any]) -> str:
    """Text for a jsonb column."""
    return json.dumps(payload, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
