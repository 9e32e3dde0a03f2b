"""A recogniser without a model: a fixed text after a declared, fixed time, to measure our own overhead alone.

The time counts from the mark that asked (SPEECH_PAUSED, or FINALIZE when there was no pause), as with the real one.
"""

import asyncio

from services.asr.effects import JobKind
from services.asr.hypothesis import Alternative, EngineInfo, Hypothesis, Recognition, Word
from services.asr.runner import Ticket, Times
from services.common.clock import Clock
from services.common.load import Load
from services.common.personal import Personal

TEXT = "this is a scripted transcript"
WORD_MS = 200


class ScriptedRecogniser:
    """A `Recogniser` that computes nothing. `final_ms`: from the mark to the answer."""

    def __init__(self, final_ms: int, clock: Clock) -> None:
        self._final_ms = final_ms
        self._clock = clock
        self.info = EngineInfo("scripted", "1", "none", "scripted", {"asr_final_ms": str(final_ms)})

    def check(self, config: Recognition) -> None:
        """Every config can be served."""

    def submit(self, ticket: Ticket, key: tuple[object, ...], deadline_ms: int) -> None:
        """Answer after the declared time."""
        ticket.task = asyncio.create_task(self._answer(ticket, self._clock.now_ns()), name="asr-scripted")

    def promote(self, ticket: Ticket, deadline_ms: int) -> None:
        """Its time runs from the pause already."""

    def cancel(self, ticket: Ticket) -> None:
        """Stop the timer."""
        if ticket.task is not None:
            ticket.task.cancel()

    def load(self) -> Load:
        """Nothing waits."""
        return Load()

    def partial_hop_ms(self, wanted_ms: int) -> int | None:
        """There is no load."""
        return wanted_ms or None

    async def _answer(self, ticket: Ticket, arrival_ns: int) -> None:
        await self._clock.sleep_until_ns(arrival_ns + self._final_ms * 1_000_000)
        ticket.done(_hypothesis(ticket), Times(arrival_ns, arrival_ns, self._clock.now_ns()))


def _hypothesis(ticket: Ticket) -> Hypothesis:
    text = Personal(TEXT, "transcript")
    words = tuple(
        Word(Personal(word, "word"), i * WORD_MS, (i + 1) * WORD_MS, 1.0) for i, word in enumerate(TEXT.split())
    )
    return Hypothesis(
        text=text,
        avg_logprob=-0.1,
        no_speech_prob=0.0,
        language="en",
        language_probability=1.0,
        audio_ms=ticket.request.audio_ms,
        alternatives=(Alternative(text, -0.1),),
        words=() if ticket.kind is JobKind.PARTIAL else words,
    )
