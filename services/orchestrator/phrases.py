"""The sentences a call must be able to say when speech synthesis is dead: made at start, kept in memory."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from services.common.clock import Clock, sleep_s
from services.common.errors import TrunklineError
from services.common.log import get_logger
from services.common.settings import AgentSettings
from services.orchestrator.clients.backoff import Backoff
from services.orchestrator.clients.tts import TtsClient
from services.orchestrator.media.playout import SpokenWord, Utterance
from services.orchestrator.media.speech_words import words_from

log = get_logger(__name__)

# Telephone (G.711, G.722), browser, Opus on a trunk.
RATES_HZ = (8_000, 16_000, 24_000, 48_000)
# What a dialogue says again and again: most telephones, and browsers.
MORE_RATES_HZ = (8_000, 48_000)


@dataclass(frozen=True, slots=True)
class Phrase:
    """One sentence as audio at one rate."""

    text: str
    pcm: bytes
    words: tuple[SpokenWord, ...]


class Phrasebook:
    """`load` once the TTS is up; `utterance` never waits."""

    def __init__(self, tts: TtsClient, agent: AgentSettings, clock: Clock, more: Sequence[str] = ()) -> None:
        """`more`: sentences that are worth having at hand, though the service can make them in time."""
        self._tts = tts
        self._clock = clock
        self._texts = agent.sentences()
        self._more = [(text, rate_hz) for text in more for rate_hz in MORE_RATES_HZ]
        self._phrases: dict[tuple[str, int], Phrase] = {}

    @property
    def complete(self) -> bool:
        """Every sentence is there at every rate."""
        return all((text, rate_hz) in self._phrases for text in self._texts for rate_hz in RATES_HZ)

    async def load(self) -> None:
        """Make what is missing; tries again, with backoff, until all is there."""
        backoff = Backoff()
        while not self.complete:
            try:
                for text in self._texts:
                    await asyncio.gather(*(self._make(text, rate_hz) for rate_hz in RATES_HZ))
            except TrunklineError as error:
                log.info("phrases wait for tts", error=type(error).__name__)
                await sleep_s(self._clock, backoff.next_ms() / 1000)
        log.info("phrases ready", count=len(self._phrases))

    async def load_one_more(self) -> bool:
        """Make one of the others; False when all are there. Raises TrunklineError."""
        while self._more and self._more[0] in self._phrases:
            self._more.pop(0)
        if not self._more:
            return False
        await self._make(*self._more[0])
        return True

    def has(self, text: str, rate_hz: int) -> bool:
        """It is ready to play."""
        return (text, rate_hz) in self._phrases

    def utterance(self, text: str, turn: int, rate_hz: int) -> Utterance:
        """The sentence, ready to play. A rate that was not prepared gives a second of silence, never an error."""
        phrase = self._phrases.get((text, rate_hz))
        if phrase is None:
            log.error("phrase missing", rate_hz=rate_hz)
            return Utterance(turn, rate_hz, text, bytearray(2 * rate_hz), finished=True)
        return Utterance(turn, rate_hz, text, bytearray(phrase.pcm), list(phrase.words), finished=True)

    def pcm(self, text: str, rates_hz: Sequence[int]) -> dict[int, bytes]:
        """One sentence at each of those rates; nothing before `load` is done."""
        found = {rate_hz: self._phrases.get((text, rate_hz)) for rate_hz in rates_hz}
        return {rate_hz: phrase.pcm for rate_hz, phrase in found.items() if phrase is not None}

    async def _make(self, text: str, rate_hz: int) -> None:
        if (text, rate_hz) in self._phrases:
            return
        pcm = bytearray()
        words: list[SpokenWord] = []
        # No call: nobody listens while it is made, so it is made as fast as it can be, in whole clauses.
        async for response in self._tts.speak("", text, rate_hz):
            match response.WhichOneof("payload"):
                case "clause":
                    words += words_from(response.clause, rate_hz)
                case "audio":
                    pcm += response.audio.pcm
                case _:
                    pass
        self._phrases[text, rate_hz] = Phrase(text, bytes(pcm), tuple(words))
