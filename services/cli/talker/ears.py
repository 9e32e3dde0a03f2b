"""The caller's ears: they wait until the agent has finished, and read what it said.

Reading takes a moment; an agent that goes on meanwhile ("One moment." … the answer) is heard out and read again, from
where it began.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from services.cli.caller import CallerLeg, Pcm
from services.cli.conversation import Floor, Manners
from services.cli.measure import trim
from services.common.clock import Clock

Transcribe = Callable[[Pcm, int], Awaitable[str]]
# Around the speech that is read: a recogniser wants to hear it begin and end.
_MARGIN_MS = 200


@dataclass(frozen=True, slots=True)
class Heard:
    """What the agent said since `forget`; empty when nothing came in time, or nothing that could be read."""

    words: str
    came: bool


class Ears:
    """Of one call. Fed by whoever waits for the leg (`moved`)."""

    def __init__(self, leg: CallerLeg, clock: Clock, transcribe: Transcribe, manners: Manners) -> None:
        self._leg = leg
        self._clock = clock
        self._transcribe = transcribe
        self._manners = manners
        self._floor = Floor(leg.heard.rate_hz)
        self._fed = 0
        self._from = 0

    async def moved(self) -> None:
        """The leg's next progress."""
        await self._leg.progress()
        for chunk in self._leg.heard.from_chunk(self._fed):
            self._floor.hear(chunk.pcm, chunk.at_ns)
            self._fed += 1

    def forget(self) -> None:
        """What was heard up to here has been taken in."""
        self._floor.reset()
        self._from = self._leg.heard.samples

    async def listen(self, deadline_ms: int) -> Heard:
        """All that is said since `forget`, once the agent has been silent for long enough; `deadline_ms` to begin."""
        began_ns = self._clock.now_ns()
        while not self._leg.ended:
            if self._floor.spoke():
                if self._done() or self._floor.spoken_ms(self._clock.now_ns()) > self._manners.patience_ms:
                    words = await self._read()
                    if words is not None:
                        return Heard(words, True)
            elif (self._clock.now_ns() - began_ns) / 1e6 > deadline_ms:
                return Heard("", False)
            await self.moved()
        words = await self._read() if self._floor.spoke() else None
        return Heard(words or "", words is not None)

    def _done(self) -> bool:
        return self._floor.silent_ms(self._clock.now_ns()) >= self._manners.agent_done_ms

    async def _read(self) -> str | None:
        """None when the agent has gone on meanwhile."""
        audio = self._leg.heard.since(self._from)
        rate_hz = self._leg.heard.rate_hz
        span = trim(audio, rate_hz)
        if span is None:
            return ""
        margin = rate_hz * _MARGIN_MS // 1000
        last_loud_ns = self._floor.last_loud_ns
        reading = asyncio.ensure_future(
            self._transcribe(audio[max(0, span.start - margin) : span.end + margin], rate_hz)
        )
        try:
            while not reading.done() and not self._leg.ended:
                await self.moved()
            words = await reading
        finally:
            reading.cancel()
        return words if self._floor.last_loud_ns == last_loud_ns or self._leg.ended else None
