"""Speech from text that is still being written: clauses come back as audio with word timings."""

import asyncio
from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass, field

import grpc.aio

from services.common.clock import Clock
from services.common.deadline import deadline
from services.common.errors import DeadlineError, UnavailableError
from services.common.rpc_client import from_rpc_error
from services.orchestrator.clients.wire import receive
from services.pb.trunkline.tts.v1 import tts_pb2 as pb
from services.pb.trunkline.tts.v1 import tts_pb2_grpc as rpc

SYNTHESIZE_DEADLINE_S = 90.0


@dataclass(frozen=True, slots=True)
class Voice:
    """How to speak."""

    name: str
    locale: str
    # Written word → how it is said (a bundle's lexicon).
    say: Mapping[str, str] = field(default_factory=dict)


class TtsClient:
    """Shared by all calls; `open` gives one utterance's stream."""

    def __init__(self, channel: grpc.aio.Channel, clock: Clock, voice: Voice, first_audio_deadline_ms: int) -> None:
        self._stub = rpc.TtsServiceStub(channel)
        self._clock = clock
        self._voice = voice
        self._first_ms = first_audio_deadline_ms

    def open(self, call_id: str, rate_hz: int) -> "TtsStream":
        """Begin one utterance at `rate_hz`."""
        config = pb.SynthesizeConfig(
            call_id=call_id,
            voice=self._voice.name,
            locale=self._voice.locale,
            sample_rate_hz=rate_hz,
            speaking_rate=1.0,
            say=self._voice.say,
        )
        return TtsStream(self._stub.Synthesize(timeout=SYNTHESIZE_DEADLINE_S), config, self._clock, self._first_ms)

    async def speak(self, call_id: str, text: str, rate_hz: int) -> AsyncGenerator[pb.SynthesizeResponse, None]:
        """A whole text at once. Raises TrunklineError."""
        stream = self.open(call_id, rate_hz)
        try:
            await stream.write(text)
            await stream.end()
            async for response in stream.responses():
                yield response
        finally:
            stream.cancel()


class TtsStream:
    """Write text, read audio; two tasks may do so at the same time. Errors come out of `responses`."""

    def __init__(
        self,
        call: "grpc.aio.StreamStreamCall[pb.SynthesizeRequest, pb.SynthesizeResponse]",
        config: pb.SynthesizeConfig,
        clock: Clock,
        first_audio_deadline_ms: int,
    ) -> None:
        self._call = call
        self._clock = clock
        self._config: pb.SynthesizeConfig | None = config
        self._first_s = first_audio_deadline_ms / 1000
        # Set when the service has enough text to speak: from then on audio is due.
        self._audio_due = asyncio.Event()
        self._broken = False
        # One message at a time: gRPC takes no second one while the first is on its way.
        self._writing = asyncio.Lock()

    async def begin(self) -> None:
        """Tell the service what is coming, so that the first text finds it prepared. Needed by nobody."""
        async with self._writing:
            await self._introduce()

    async def write(self, text: str) -> None:
        """Send a piece of text, in its order. Does nothing on a broken stream: the reader raises."""
        if text:
            await self._write(pb.SynthesizeRequest(text=text))

    def expect_audio(self) -> None:
        """A whole clause was written: from now on the first audio has a deadline."""
        self._audio_due.set()

    async def end(self) -> None:
        """No more text comes."""
        await self._write(pb.SynthesizeRequest(end=pb.End()))
        if not self._broken:
            await self._call.done_writing()
        self._audio_due.set()

    async def _write(self, message: pb.SynthesizeRequest) -> None:
        async with self._writing:
            await self._introduce()
            await self._send(message)

    async def _introduce(self) -> None:
        if self._config is not None:
            config, self._config = self._config, None
            await self._send(pb.SynthesizeRequest(config=config))

    async def _send(self, message: pb.SynthesizeRequest) -> None:
        if self._broken:
            return
        try:
            await self._call.write(message)
        except (grpc.aio.AioRpcError, asyncio.InvalidStateError):
            self._broken = True
            self._audio_due.set()

    async def responses(self) -> AsyncGenerator[pb.SynthesizeResponse, None]:
        """Clauses and audio until Finished; the first audio within the deadline once it is due.

        Raises DeadlineError and other TrunklineErrors.
        """
        due = asyncio.create_task(self._audio_due.wait())
        first = asyncio.create_task(self._first())
        try:
            await asyncio.wait({due, first}, return_when=asyncio.FIRST_COMPLETED)
            async with deadline(self._clock, self._first_s):
                response = await asyncio.shield(first)
            while True:
                if response is None:
                    raise UnavailableError("Speech synthesis broke off.")
                yield response
                if response.WhichOneof("payload") == "finished":
                    return
                response = await receive(self._call)
        except TimeoutError:
            raise DeadlineError(f"No speech within {self._first_s:.1f} s.") from None
        except grpc.aio.AioRpcError as error:
            raise from_rpc_error(error) from error
        finally:
            for task in (due, first):
                task.cancel()
            await asyncio.gather(due, first, return_exceptions=True)

    async def _first(self) -> pb.SynthesizeResponse | None:
        return await receive(self._call)

    def cancel(self) -> None:
        """Stop; harmless when it is over."""
        self._call.cancel()
