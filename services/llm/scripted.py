"""An engine with declared, fixed latencies and one fixed reply: it exists to measure our own overhead alone.

It says so in Describe and in the log. It is never a fallback for a model that failed to load.
"""

import asyncio
from collections.abc import AsyncGenerator, Sequence

from services.common.clock import Clock
from services.common.settings import ScriptedSettings
from services.llm.engine import (
    Delta,
    Description,
    Event,
    Finished,
    FinishReason,
    GenerationRequest,
    Message,
    Started,
    Warmed,
)

REPLY = "Sure, I can help. Your order is on its way and arrives tomorrow."
CONTEXT_TOKENS = 4096
UNLIMITED_SLOTS = 1024


class ScriptedEngine:
    """First token after `llm_ttft_ms`, then one word of REPLY each 1/`llm_tokens_per_s` s; schemas are ignored."""

    def __init__(self, settings: ScriptedSettings, clock: Clock, slots: int = UNLIMITED_SLOTS) -> None:
        self._settings = settings
        self._clock = clock
        self._slots = slots
        self._aborts: dict[str, asyncio.Event] = {}

    @property
    def context_tokens(self) -> int:
        """As much as the CPU default has."""
        return CONTEXT_TOKENS

    @property
    def slots(self) -> int:
        """Nothing is computed, so nothing need wait."""
        return self._slots

    async def start(self) -> None:
        """Nothing to load."""

    async def close(self) -> None:
        """Stop what runs."""
        for event in self._aborts.values():
            event.set()

    async def generate(self, request: GenerationRequest) -> AsyncGenerator[Event, None]:
        """The fixed reply at the declared pace."""
        aborted = self._aborts[request.request_id] = asyncio.Event()
        prompt = await self.count_tokens(request.messages, CONTEXT_TOKENS)
        words = [word if index == 0 else f" {word}" for index, word in enumerate(REPLY.split())]
        due_ns = self._clock.now_ns() + self._settings.llm_ttft_ms * 1_000_000
        sent = 0
        try:
            await self._clock.sleep_until_ns(due_ns)
            if aborted.is_set():
                return
            yield Started(float(self._settings.llm_ttft_ms), prompt, 0)
            for word in words[: request.max_tokens]:
                await self._clock.sleep_until_ns(due_ns)
                if aborted.is_set():
                    break
                yield Delta(word)
                sent += 1
                due_ns += 1_000_000_000 // self._settings.llm_tokens_per_s
        finally:
            del self._aborts[request.request_id]
        reason = FinishReason.STOP if sent == len(words) else FinishReason.LENGTH
        yield Finished(FinishReason.ABORTED if aborted.is_set() else reason, prompt, sent, 0)

    def abort(self, request_id: str) -> None:
        """Seen before the next word."""
        if event := self._aborts.get(request_id):
            event.set()

    async def warm(self, request_id: str, messages: Sequence[Message], cache_salt: str) -> Warmed:
        """There is no cache."""
        return Warmed(await self.count_tokens(messages, CONTEXT_TOKENS), 0)

    async def count_tokens(self, messages: Sequence[Message], limit: int) -> int:
        """Words."""
        return sum(len(message.content.split()) for message in messages)

    def describe(self) -> Description:
        """Says that it is scripted, and how."""
        return Description(
            engine="scripted",
            engine_version="1",
            device="none",
            model="scripted",
            details={
                "llm_ttft_ms": str(self._settings.llm_ttft_ms),
                "llm_tokens_per_s": str(self._settings.llm_tokens_per_s),
                "reply_words": str(len(REPLY.split())),
            },
        )
