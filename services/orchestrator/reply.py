"""One reply in the making: the model's text becomes speech clause by clause, into an `Utterance` that may play.

The reply does not know whether it is a speculation: whoever started it decides when its utterance is played, and
cancels it when it never will be.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import dataclass, field

from services.common.clock import Clock
from services.common.errors import TrunklineError, UnavailableError
from services.orchestrator.clients.llm import LlmReply
from services.orchestrator.clients.tts import TtsStream
from services.orchestrator.dialogue.spoken import SpokenText, has_clause
from services.orchestrator.events import Stage
from services.orchestrator.faults import ServiceName
from services.orchestrator.media.playout import Utterance
from services.orchestrator.media.speech_words import words_from


class ReplyFailedError(Exception):
    """The reply could not be completed; says which service failed and how."""

    def __init__(self, service: ServiceName, error: TrunklineError) -> None:
        self.service = service
        self.error = error
        super().__init__(service)


@dataclass(slots=True)
class ReplyTimes:
    """When what happened (ns); 0: not yet."""

    asked: int = 0
    first_token: int = 0
    first_clause: int = 0
    first_audio: int = 0

    def stages(self) -> list[tuple[Stage, float, int]]:
        """(stage, ms, ended at) of what has happened. Each stage counts from the end of the one before it."""
        marks: list[tuple[Stage, int, int]] = [
            ("llm_ttft", self.asked, self.first_token),
            ("llm_first_clause", self.first_token, self.first_clause),
            ("tts_ttfa", self.first_clause, self.first_audio),
        ]
        return [(stage, max(0, end - start) / 1e6, end) for stage, start, end in marks if start and end]


@dataclass(slots=True)
class ReplyEvents:
    """Whom a reply tells; set when it is committed. Called on the event loop."""

    progress: Callable[[], None] = lambda: None


@dataclass(slots=True)
class Reply:
    """Runs in a task of its own: `await reply.run()`; cancelling the task cancels both RPCs."""

    text_in: AsyncGenerator[LlmReply, None]
    tts: TtsStream
    utterance: Utterance
    clock: Clock
    times: ReplyTimes = field(default_factory=ReplyTimes)
    on: ReplyEvents = field(default_factory=ReplyEvents)
    complete: bool = False
    # False: the text was there already, and no stage of the model is measured.
    by_model: bool = True
    # Pieces of text the model has sent: a token each, as far as can be seen from here.
    tokens: int = 0
    # The language model broke off after some of its text was sent to be spoken.
    aborted: bool = False

    async def run(self) -> None:
        """Raises ReplyFailedError. What was spoken before stays in the utterance, which is finished in any case."""
        if self.by_model:
            self.times.asked = self.clock.now_ns()
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._write())
                tasks.create_task(self._read())
            self.complete = True
        except BaseExceptionGroup as group:
            raise _first(group) from None
        finally:
            self.tts.cancel()
            self.utterance.finished = True
            self.on.progress()

    async def _write(self) -> None:
        spoken = SpokenText()
        try:
            async with aclosing(self.text_in) as items:
                async for item in items:
                    if item.text:
                        self.tokens += 1
                        if self.by_model:
                            self.times.first_token = self.times.first_token or self.clock.now_ns()
                        await self._speak(spoken.feed(item.text))
                    self.aborted = item.ended == "aborted"
        except TrunklineError as error:
            if not self.utterance.text:
                raise ReplyFailedError("llm", error) from error
            # Better an unfinished answer than half of one followed by an apology.
            self.aborted = True
        await self._speak(spoken.end())
        if not self.utterance.text:
            raise ReplyFailedError("llm", UnavailableError("The language model said nothing."))
        self.times.first_clause = self.times.first_clause or self.clock.now_ns()
        await self.tts.end()

    async def _speak(self, text: str) -> None:
        if not text:
            return
        self.utterance.text += text
        if not self.times.first_clause and has_clause(self.utterance.text + " "):
            self.times.first_clause = self.clock.now_ns()
        await self.tts.write(text)
        if self.times.first_clause:
            self.tts.expect_audio()
        self.on.progress()

    def _clause_known(self, tts_ms: float) -> None:
        """The service says how long it had the first clause's text: it may cut earlier than we would."""
        if not self.times.first_audio:
            had_ns = self.clock.now_ns() - int(tts_ms * 1e6)
            earliest_ns = max(self.times.first_token, had_ns)
            self.times.first_clause = min(self.times.first_clause or earliest_ns, earliest_ns)

    async def _read(self) -> None:
        try:
            await self.tts.begin()
            async with aclosing(self.tts.responses()) as responses:
                async for response in responses:
                    match response.WhichOneof("payload"):
                        case "clause":
                            self._clause_known(response.clause.timings.total_ms)
                            self.utterance.words += words_from(response.clause, self.utterance.rate_hz)
                        case "audio":
                            self.times.first_audio = self.times.first_audio or self.clock.now_ns()
                            self.utterance.audio += response.audio.pcm
                            self.on.progress()
                        case _:
                            pass
        except TrunklineError as error:
            raise ReplyFailedError("tts", error) from error


def _first(group: BaseExceptionGroup[BaseException]) -> BaseException:
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
