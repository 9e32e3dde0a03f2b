"""One Synthesize stream: text in on one side, clauses of audio out on the other, at the pace of a listener.

`feed`, `flush`, `end` and `fail` are called as requests arrive; `speak` yields responses. Audio is made at most
`ahead_ms` beyond what a listener can have heard since it began, so that an interruption wastes little.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field

from services.common.clock import Clock
from services.common.errors import DeadlineError, InvalidInputError
from services.common.metrics import observe_stage
from services.common.settings import TtsSettings
from services.pb.trunkline.common.v1 import common_pb2
from services.pb.trunkline.tts.v1 import tts_pb2
from services.tts import metrics
from services.tts.cache import PhraseCache, PhraseKey
from services.tts.clauses import Clause, ClauseSplitter
from services.tts.engine import ClauseJob, Engine, VoiceInfo
from services.tts.spoken import spoken_words
from services.tts.take import Plan, Take

# Largest piece of audio in one message: the first leaves at once, and a client can stop within one.
CHUNK_MS = 100
# Less audio in hand than this while text is held back: speak what there is.
_RELIEF_MS = 250
# Text that ends like a sentence is spoken when nothing follows for so long.
_STALL_MS = 300
_NEVER_NS = 2**62
MAX_CHARS = 20_000


@dataclass(frozen=True, slots=True)
class UtteranceConfig:
    """A validated SynthesizeConfig. `paced`: somebody listens while it is made; `call_id`: who takes turns."""

    voice: VoiceInfo
    sample_rate_hz: int
    speaking_rate: float
    paced: bool = True
    call_id: str = ""
    # Folded written words → how they are said.
    say: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Ready:
    clause: Clause
    ready_ns: int


class Utterance:
    """See the module."""

    def __init__(
        self, config: UtteranceConfig, engine: Engine, cache: PhraseCache, settings: TtsSettings, clock: Clock
    ) -> None:
        self._config = config
        self._engine = engine
        self._cache = cache
        self._clock = clock
        self._ahead_ns = settings.ahead_ms * 1_000_000
        self._idle_ns = settings.idle_s * 1_000_000_000
        self._splitter = ClauseSplitter(
            settings.first_clause_chars, config.voice.locale, settings.first_words if config.paced else 0
        )
        self._ready: deque[_Ready] = deque()
        self._changed = asyncio.Event()
        self._ended = False
        self._failure: BaseException | None = None
        self._chars = 0
        self._fed_ns = clock.now_ns()
        # When a listener that plays at once will have heard all that was sent.
        self._playout_end_ns = 0
        self._samples = 0
        self._clauses = 0
        self._cached = 0

    def feed(self, text: str) -> None:
        """A piece of text. Raises InvalidInputError when the utterance is too long or was ended."""
        self._must_be_open()
        self._chars += len(text)
        if self._chars > MAX_CHARS:
            raise InvalidInputError("text", expected=f"at most {MAX_CHARS} characters in all", got=f"{self._chars}")
        self._queue(self._splitter.push(text))

    def flush(self) -> None:
        """Speak what is held back."""
        self._must_be_open()
        self._queue(self._splitter.flush())

    def end(self) -> None:
        """No more text."""
        self._must_be_open()
        self._ended = True
        self._queue(self._splitter.flush())

    def fail(self, error: BaseException) -> None:
        """The input broke: `speak` raises this."""
        self._failure = error
        self._changed.set()

    async def speak(self) -> AsyncIterator[tts_pb2.SynthesizeResponse]:
        """All responses. Raises what `fail` was given, DeadlineError when no text comes, TrunklineError."""
        while (ready := await self._next_ready()) is not None:
            async for response in self._speak_clause(ready):
                yield response
        finished = tts_pb2.Finished(samples=self._samples, clauses=self._clauses, cached_clauses=self._cached)
        yield tts_pb2.SynthesizeResponse(finished=finished)

    def _must_be_open(self) -> None:
        if self._ended:
            raise InvalidInputError("payload", expected="nothing after `end`", got="another message")

    def _queue(self, clauses: Sequence[Clause]) -> None:
        self._fed_ns = self._clock.now_ns()
        self._ready.extend(_Ready(clause, self._fed_ns) for clause in clauses)
        self._changed.set()

    async def _next_ready(self) -> _Ready | None:
        """The next clause; None after the last. Relieves the splitter when the listener would soon hear silence."""
        while True:
            if self._failure is not None:
                raise self._failure
            if self._ready:
                return self._ready.popleft()
            if self._ended:
                return None
            self._changed.clear()
            # A stream may be kept open in silence, but not for ever.
            idle_ns = max(self._fed_ns, self._playout_end_ns) + self._idle_ns
            relief_ns, urgent = self._relief()
            if await self._wait_change(min(idle_ns, relief_ns)):
                continue
            if self._clock.now_ns() >= idle_ns:
                raise DeadlineError("No text came.", remedy="Send `end` after the last text, or raise tts.idle_s.")
            self._ready.extend(_Ready(c, self._clock.now_ns()) for c in self._splitter.relieve(urgent=urgent))

    def _relief(self) -> tuple[int, bool]:
        """When to speak what is held though the text goes on: at a stall, or before the listener hears silence."""
        dry_ns = max(self._playout_end_ns - _RELIEF_MS * 1_000_000, self._fed_ns)
        if self._samples and self._splitter.relief(urgent=True):
            return dry_ns, True
        return (self._fed_ns + _STALL_MS * 1_000_000 if self._splitter.relief(urgent=False) else _NEVER_NS), False

    async def _wait_change(self, deadline_ns: int) -> bool:
        """Wait for input; False when `deadline_ns` came first."""
        changed = asyncio.ensure_future(self._changed.wait())
        timer = asyncio.ensure_future(self._clock.sleep_until_ns(deadline_ns))
        try:
            await asyncio.wait({changed, timer}, return_when=asyncio.FIRST_COMPLETED)
            return changed.done()
        finally:
            changed.cancel()
            timer.cancel()

    async def _speak_clause(self, ready: _Ready) -> AsyncIterator[tts_pb2.SynthesizeResponse]:
        text = ready.clause.text.strip()
        words = spoken_words(text, self._config.voice.locale, self._config.say)
        if not words:
            yield self._started(ready, Plan(0, ()), 0.0, cached=False)
            return
        config = self._config
        job = ClauseJob(words, config.voice.name, config.sample_rate_hz, config.speaking_rate)
        voice, spoken = config.voice, tuple(word.spoken for word in words)
        key = PhraseKey(text, voice.name, voice.version, config.sample_rate_hz, config.speaking_rate, spoken)
        take, cached = self._cache.take(key, lambda: self._engine.render(job))
        try:
            index = 0
            while (piece := await self._paced(take, index, ready)) is not None:
                if index == 0 and take.plan is not None:
                    yield self._started(ready, take.plan, 0.0 if cached else take.compute_ms, cached=cached)
                for chunk in self._chunks(piece):
                    yield chunk
                index += 1
            self._measure(take, cached=cached)
        finally:
            take.leave()

    async def _paced(self, take: Take, index: int, ready: _Ready) -> bytes | None:
        if self._config.paced and self._playout_end_ns > self._ahead_ns:
            await self._clock.sleep_until_ns(self._playout_end_ns - self._ahead_ns)
        return await take.piece(index, max(self._playout_end_ns, ready.ready_ns), self._config.call_id)

    def _started(self, ready: _Ready, plan: Plan, compute_ms: float, *, cached: bool) -> tts_pb2.SynthesizeResponse:
        clause, rate = ready.clause, self._config.sample_rate_hz
        offset = clause.offset + len(clause.text) - len(clause.text.lstrip())
        total_ms = (self._clock.now_ns() - ready.ready_ns) / 1e6
        if self._samples == 0 and plan.samples:
            observe_stage("tts_ttfa", total_ms)
        started = tts_pb2.ClauseStarted(
            index=clause.index,
            text=clause.text,
            text_offset=clause.offset,
            sample_offset=self._samples,
            samples=plan.samples,
            words=[
                tts_pb2.Word(
                    text=word.written,
                    text_offset=offset + word.offset,
                    start_ms=round((self._samples + word.start_sample) * 1000 / rate),
                    end_ms=round((self._samples + word.end_sample) * 1000 / rate),
                )
                for word in plan.words
            ],
            cached=cached,
            timings=common_pb2.Timings(
                queue_ms=max(0.0, total_ms - compute_ms), compute_ms=compute_ms, total_ms=total_ms
            ),
        )
        self._clauses += 1
        self._cached += cached
        return tts_pb2.SynthesizeResponse(clause=started)

    def _chunks(self, pcm: bytes) -> list[tts_pb2.SynthesizeResponse]:
        """Audio messages of at most CHUNK_MS; advances the listener's clock."""
        rate = self._config.sample_rate_hz
        size = rate * CHUNK_MS // 1000 * 2
        samples = len(pcm) // 2
        self._samples += samples
        begins_ns = max(self._playout_end_ns, self._clock.now_ns())
        self._playout_end_ns = begins_ns + samples * 1_000_000_000 // rate
        index = self._clauses - 1
        pieces = [pcm[at : at + size] for at in range(0, len(pcm), size)]
        return [tts_pb2.SynthesizeResponse(audio=tts_pb2.Audio(clause_index=index, pcm=p)) for p in pieces]

    def _measure(self, take: Take, *, cached: bool) -> None:
        metrics.CLAUSES.labels(source="cache" if cached else "model").inc()
        if not cached and take.size:
            metrics.COMPUTE_SECONDS.observe(take.compute_ms / 1000)
            metrics.RTF.observe(take.compute_ms / 1000 / (take.size / 2 / self._config.sample_rate_hz))
