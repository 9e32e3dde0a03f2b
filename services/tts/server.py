"""The wire of the TTS service: validation, admission, warm-up and the gRPC handlers."""

import asyncio
import math
from collections.abc import AsyncIterator, Mapping
from functools import partial
from typing import Any

from services import __version__
from services.common.clock import Clock
from services.common.errors import InvalidInputError, OverloadedError, TrunklineError, UnavailableError
from services.common.log import get_logger
from services.common.models import ModelStore
from services.common.rpc_server import GrpcService
from services.common.settings import Settings
from services.pb.trunkline.common.v1 import common_pb2
from services.pb.trunkline.tts.v1 import tts_pb2, tts_pb2_grpc
from services.tts import metrics
from services.tts.cache import PhraseCache, PhraseKey
from services.tts.catalog import choose_voice, default_for_locale
from services.tts.clauses import ClauseSplitter
from services.tts.engine import ClauseJob, Engine, VoiceInfo
from services.tts.scheduler import DeadlineScheduler
from services.tts.spoken import spoken_words
from services.tts.take import Runner
from services.tts.utterance import Utterance, UtteranceConfig

log = get_logger(__name__)

RATES_HZ = (8000, 16000, 22050, 24000, 48000)
# What a leg may ask for: G.711; G.722; the browser; Opus on a trunk.
WARM_RATES_HZ = (8000, 16000, 24000, 48000)
_FULL_NAME = "trunkline.tts.v1.TtsService"
_FOREVER_NS = 2**62
MAX_LEXICON, MAX_WRITTEN_CHARS, MAX_SPOKEN_CHARS = 64, 40, 80


class TtsServicer(tts_pb2_grpc.TtsServiceServicer):
    """Synthesize, ListVoices, Describe."""

    def __init__(self, settings: Settings, engine: Engine, runner: Runner, clock: Clock) -> None:
        self._settings = settings.tts
        self._agent = settings.agent
        self._engine = engine
        self._clock = clock
        self._runner = runner
        # A declared latency holds for every clause: the scripted engine's phrases are not cached.
        cache_bytes = 0 if engine.name == "scripted" else settings.tts.cache_mb * 1024 * 1024
        self._cache = PhraseCache(cache_bytes, runner)
        self._streams = 0
        self._loaded = False

    async def warm(self) -> None:
        """Load the voices (each speaks once while loading) and make the agent's own sentences in advance."""
        start_ns = self._clock.now_ns()
        await self._runner.run(self._engine.load, 0)
        self._loaded = True
        phrases = 0 if self._engine.name == "scripted" else await self._warm_phrases()
        metrics.CACHE_BYTES.set_function(lambda: float(self._cache.size))
        log.info(
            "tts warm",
            engine=self._engine.name,
            voices=len(self._engine.voices),
            phrases=phrases,
            cache_kb=self._cache.size // 1024,
            took_ms=(self._clock.now_ns() - start_ns) // 1_000_000,
        )

    async def _warm_phrases(self) -> int:
        try:
            voice = choose_voice(self._engine.voices, self._agent.voice, self._agent.locale)
        except InvalidInputError as error:
            log.warning("agent phrases not made in advance", reason=error.message)
            return 0
        texts: dict[str, None] = {}
        for sentence in self._agent.sentences():
            splitter = ClauseSplitter(self._settings.first_clause_chars, voice.locale)
            texts |= {clause.text.strip(): None for clause in [*splitter.push(sentence), *splitter.flush()]}
        return sum(await asyncio.gather(*(self._warm_phrase(text, voice) for text in texts)))

    async def _warm_phrase(self, text: str, voice: VoiceInfo) -> bool:
        words = spoken_words(text, voice.locale, _lexicon(self._agent.say))
        if not words:
            return False
        job = ClauseJob(words, voice.name, voice.native_sample_rate_hz, 1.0)
        made = await self._runner.run(partial(self._engine.prerender, job, WARM_RATES_HZ), _FOREVER_NS)
        for rate, (plan, pcm) in made.items():
            key = PhraseKey(text, voice.name, voice.version, rate, 1.0, tuple(word.spoken for word in words))
            self._cache.keep(key, plan, pcm)
        return True

    @property
    def cached_phrases(self) -> int:
        """Phrases in the cache."""
        return len(self._cache)

    async def close(self) -> None:
        """Free the threads."""
        self._runner.close()

    async def Synthesize(
        self, request_iterator: AsyncIterator[tts_pb2.SynthesizeRequest], context: Any
    ) -> AsyncIterator[tts_pb2.SynthesizeResponse]:
        """See the proto."""
        self._admit()
        self._streams += 1
        metrics.STREAMS.set(self._streams)
        reader: asyncio.Task[None] | None = None
        try:
            config = self._checked(await _first(request_iterator))
            utterance = Utterance(config, self._engine, self._cache, self._settings, self._clock)
            reader = asyncio.create_task(_read(request_iterator, utterance))
            reader.add_done_callback(lambda task: _pass_on(task, utterance))
            async for response in utterance.speak():
                yield response
        finally:
            self._streams -= 1
            metrics.STREAMS.set(self._streams)
            if reader is not None:
                reader.cancel()

    async def ListVoices(self, request: tts_pb2.ListVoicesRequest, context: Any) -> tts_pb2.ListVoicesResponse:
        """See the proto."""
        voices = self._engine.voices
        return tts_pb2.ListVoicesResponse(
            voices=[
                tts_pb2.Voice(
                    name=voice.name,
                    locale=voice.locale,
                    native_sample_rate_hz=voice.native_sample_rate_hz,
                    default_for_locale=default_for_locale(voices, voice),
                )
                for voice in voices.values()
            ]
        )

    async def Load(self, request: common_pb2.LoadRequest, context: Any) -> common_pb2.LoadResponse:
        """See the proto."""
        return self._runner.load().to_proto(self._clock.now_ns())

    async def Describe(self, request: common_pb2.DescribeRequest, context: Any) -> common_pb2.DescribeResponse:
        """See the proto."""
        return common_pb2.DescribeResponse(
            service="tts",
            version=__version__,
            engine=self._engine.name,
            engine_version=self._engine.version,
            models=[
                common_pb2.ModelInfo(name=v.name, version=v.version, sha256=v.sha256, licence=v.licence)
                for v in self._engine.voices.values()
            ],
            device=self._engine.device,
            details=dict(self._engine.details()),
        )

    def _admit(self) -> None:
        """Refuse what would be late or make others late. Raises OverloadedError, UnavailableError while loading."""
        if not self._loaded:
            raise UnavailableError("The tts service is loading its voices.", remedy="Wait until health says SERVING.")
        late_ms = self._runner.lateness_ms()
        if self._streams >= self._settings.max_streams or late_ms > self._settings.max_late_ms:
            metrics.REFUSED.inc()
            raise OverloadedError("The tts service", retry_after_s=max(1.0, late_ms / 1000))

    def _checked(self, request: tts_pb2.SynthesizeRequest | None) -> UtteranceConfig:
        """The first message as a config. Raises InvalidInputError naming the field."""
        kind = request.WhichOneof("payload") if request is not None else None
        if request is None or kind != "config":
            raise InvalidInputError("payload", expected="config first", got=kind or "nothing")
        config = request.config
        voice = choose_voice(self._engine.voices, config.voice, config.locale)
        if config.sample_rate_hz not in RATES_HZ:
            expected = f"one of {', '.join(map(str, RATES_HZ))}"
            raise InvalidInputError("config.sample_rate_hz", expected=expected, got=str(config.sample_rate_hz))
        # proto3 cannot tell 0 from "not set".
        rate = config.speaking_rate or 1.0
        if not math.isfinite(rate) or not 0.5 <= rate <= 2.0:
            raise InvalidInputError("config.speaking_rate", expected="0.5 to 2.0", got=f"{rate:g}")
        return UtteranceConfig(
            voice,
            config.sample_rate_hz,
            round(rate, 3),
            paced=bool(config.call_id),
            call_id=config.call_id,
            say=_lexicon(config.say),
        )


def _lexicon(say: Mapping[str, str]) -> dict[str, str]:
    """Checked and folded. Raises InvalidInputError; a word of the lexicon may be a name, so none is repeated."""
    if len(say) > MAX_LEXICON:
        raise InvalidInputError("config.say", expected=f"at most {MAX_LEXICON} words", got=str(len(say)))
    for written, spoken in say.items():
        if not 0 < len(written) <= MAX_WRITTEN_CHARS or written.split() != [written]:
            raise InvalidInputError(
                "config.say", expected=f"single words of 1 to {MAX_WRITTEN_CHARS} characters", got="another key"
            )
        if not spoken.strip() or len(spoken) > MAX_SPOKEN_CHARS or not any(c.isalnum() for c in spoken):
            raise InvalidInputError(
                "config.say", expected=f"what is said, 1 to {MAX_SPOKEN_CHARS} characters", got="something else"
            )
    return {written.casefold(): " ".join(spoken.split()) for written, spoken in say.items()}


async def _first(requests: AsyncIterator[tts_pb2.SynthesizeRequest]) -> tts_pb2.SynthesizeRequest | None:
    async for request in requests:
        return request
    return None


async def _read(requests: AsyncIterator[tts_pb2.SynthesizeRequest], utterance: Utterance) -> None:
    """Hand requests to the utterance. A half-closed stream without `end` is ended as if it had come."""
    ended = False
    try:
        async for request in requests:
            match request.WhichOneof("payload"):
                case "text":
                    utterance.feed(request.text)
                case "flush":
                    utterance.flush()
                case "end":
                    utterance.end()
                    ended = True
                case other:
                    raise InvalidInputError("payload", expected="text, flush or end", got=other or "nothing")
        if not ended:
            utterance.end()
    except TrunklineError as error:
        utterance.fail(error)


def _pass_on(reader: asyncio.Task[None], utterance: Utterance) -> None:
    """An error that `_read` did not expect ends the utterance too, instead of leaving it to wait for text."""
    if not reader.cancelled() and (error := reader.exception()) is not None:
        utterance.fail(error)


def build(settings: Settings, clock: Clock) -> GrpcService:
    """The service as a process runs it. Raises MissingModelError, SettingsError."""
    engine, runner = make_engine(settings, clock)
    return service_of(TtsServicer(settings, engine, runner, clock))


def service_of(servicer: TtsServicer) -> GrpcService:
    """How a process runs the servicer."""
    return GrpcService(
        name="tts",
        full_names=(_FULL_NAME,),
        register=lambda server: tts_pb2_grpc.add_TtsServiceServicer_to_server(servicer, server),
        warm=servicer.warm,
        close=servicer.close,
    )


def make_engine(settings: Settings, clock: Clock) -> tuple[Engine, Runner]:
    """The engine that the settings name and what runs its steps; engines are imported only when chosen."""
    if settings.tts.engine == "scripted":
        from services.tts.scripted import ScriptedEngine, ScriptedRunner

        agent = settings.agent
        engine = ScriptedEngine(settings.scripted, voice=agent.voice, locale=agent.locale)
        return engine, ScriptedRunner(settings.scripted.tts_ttfa_ms, clock)
    from services.tts.piper_engine import PiperEngine

    scheduler = DeadlineScheduler(settings.tts.workers, clock, lambda ms: metrics.WAIT_SECONDS.observe(ms / 1000))
    return PiperEngine(settings.tts, ModelStore(settings.models), clock), scheduler
