"""What a language model engine is to the rest of the service: a stream of typed events that can be aborted.

Engines know nothing of gRPC, of other callers or of queues: `services.llm.scheduler` decides who runs and when.
"""

from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Protocol


class Role(StrEnum):
    """Who said it; the values are those of chat templates."""

    SYSTEM = "system"
    USER = "user"
    ASSISTANT = "assistant"


@dataclass(frozen=True)
class Message:
    """One turn of a conversation. The content is a caller's or an agent's words: it must not reach a log."""

    role: Role
    content: str = field(repr=False)


@dataclass(frozen=True)
class GenerationRequest:
    """Validated work for an engine. `schema` is a JSON Schema (2020-12) the whole output must satisfy."""

    request_id: str
    messages: tuple[Message, ...]
    max_tokens: int
    temperature: float
    schema: Mapping[str, Any] | None = None
    stop: tuple[str, ...] = ()
    priority: int = 0
    cache_salt: str = ""
    seed: int | None = None


class FinishReason(StrEnum):
    """Why a generation ended."""

    STOP = "stop"
    LENGTH = "length"
    ABORTED = "aborted"


@dataclass(frozen=True)
class Started:
    """The first token exists. `prefill_ms`: from the engine taking the request to that token."""

    prefill_ms: float
    prompt_tokens: int
    cached_tokens: int


@dataclass(frozen=True)
class Delta:
    """More text; never empty, never half a character."""

    text: str = field(repr=False)


@dataclass(frozen=True)
class Finished:
    """The last event of a generation."""

    reason: FinishReason
    prompt_tokens: int
    completion_tokens: int
    cached_tokens: int


Event = Started | Delta | Finished


@dataclass(frozen=True)
class Warmed:
    """A prefix is in the cache: its length, and how much of it already was."""

    prompt_tokens: int
    cached_tokens: int


@dataclass(frozen=True)
class Description:
    """What runs, for Describe, logs and benchmarks."""

    engine: str
    engine_version: str
    device: str
    model: str
    model_version: str = ""
    model_sha256: str = ""
    model_licence: str = ""
    details: Mapping[str, str] = field(default_factory=dict)


class Engine(Protocol):
    """One model in memory.

    `generate` yields Started, Deltas, Finished; it may end in a TrunklineError instead. An `abort`ed generation
    ends with Finished(ABORTED), or, before its first token, by ending without any event. Closing the generator
    (or cancelling its task) aborts too. After an abort no further token is computed beyond the one in work.
    """

    @property
    def context_tokens(self) -> int:
        """Most tokens of prompt and reply together."""
        ...

    @property
    def slots(self) -> int:
        """How many requests run at once without slowing a caller's first token unbearably."""
        ...

    async def start(self) -> None:
        """Load the model. Raises MissingModelError or UnavailableError with what to do."""
        ...

    async def close(self) -> None:
        """Abort everything and free the model."""
        ...

    def generate(self, request: GenerationRequest) -> AsyncGenerator[Event, None]:
        """Run one request now."""
        ...

    def abort(self, request_id: str) -> None:
        """Stop a generation or a warm-up; unknown ids are ignored (it may just have ended)."""
        ...

    async def warm(self, request_id: str, messages: Sequence[Message], cache_salt: str) -> Warmed:
        """Prefill what every continuation of `messages` begins with; an abort ends it early, keeping what was done."""
        ...

    async def count_tokens(self, messages: Sequence[Message], limit: int) -> int:
        """Length of the prompt for `messages`: exact when above `limit`, else possibly a cheaper upper bound <= it."""
        ...

    def describe(self) -> Description:
        """What runs."""
        ...
