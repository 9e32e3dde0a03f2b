"""Recognition of one call: a stream that survives the service.

The client sends audio only while the caller speaks (with pre-roll), in pieces of 100 ms, at once before a mark. It
keeps what it sent of the open utterance, so that a stream that breaks is opened again and told everything anew.
"""

import asyncio
from collections import deque
from dataclasses import dataclass
from typing import Protocol

import grpc.aio

from services.common.clock import Clock, sleep_s
from services.common.errors import UnavailableError
from services.common.metrics import DROPPED_MS
from services.orchestrator.clients.backoff import Backoff
from services.orchestrator.clients.wire import receive, why_ended
from services.pb.trunkline.asr.v1 import asr_pb2 as pb
from services.pb.trunkline.asr.v1 import asr_pb2_grpc as rpc

MODEL_RATE_HZ = 16_000
PIECE_BYTES = 3_200
# One utterance is cut before this by the turn-taker; more audio than that is not kept for a retry.
MAX_KEPT_MESSAGES = 400
Kind = pb.Mark.Kind


class AsrSink(Protocol):
    """Where answers of one call go; called on the event loop."""

    def on_partial(self, partial: pb.Partial) -> None: ...

    def on_final(self, final: pb.Final) -> None: ...

    def on_utterance_error(self, error: pb.UtteranceError) -> None: ...

    def on_asr_state(self, up: bool, code: str) -> None: ...


@dataclass(frozen=True, slots=True)
class AsrConfig:
    """What the service is told first."""

    call_id: str
    locale: str
    partial_interval_ms: int = 500
    # Words of this business that the recogniser shall expect.
    hotwords: tuple[str, ...] = ()


class AsrCall:
    """`start`, `audio`, `mark`, `end` are synchronous; `run` does the talking until cancelled."""

    def __init__(
        self, channel: grpc.aio.Channel, clock: Clock, config: AsrConfig, sink: AsrSink, life_s: float
    ) -> None:
        """`life_s`: deadline of one stream; a call lasts no longer."""
        self._stub = rpc.AsrServiceStub(channel)
        self._clock = clock
        self._config = config
        self._sink = sink
        self._life_s = life_s
        self._piece = bytearray()
        self._out: deque[pb.RecognizeRequest] = deque()
        # Messages of the open utterance, for a new stream.
        self._kept: deque[pb.RecognizeRequest] = deque(maxlen=MAX_KEPT_MESSAGES)
        self._open = False
        self._seq = 0
        self._wake = asyncio.Event()
        self.up = False

    def start(self, utterance: int, preroll: bytes, *, hotwords: bool = True) -> None:
        """Speech began; `preroll` is the audio before now that may belong to it. Without hotwords: see the proto."""
        self._kept.clear()
        self._open = True
        self._piece.clear()
        self.audio(preroll)
        self.mark(Kind.KIND_SPEECH_STARTED, utterance, hotwords=hotwords)

    def audio(self, pcm: bytes) -> None:
        """16 kHz audio of the open utterance; ignored when none is open."""
        if not self._open:
            return
        self._piece += pcm
        if len(self._piece) >= PIECE_BYTES:
            self._flush()

    def mark(
        self, kind: pb.Mark.Kind.ValueType, utterance: int, deadline_ms: int = 0, *, hotwords: bool = True
    ) -> None:
        """Send a mark, and the audio before it at once."""
        if not self._open:
            return
        self._flush()
        plain = bool(self._config.hotwords) and not hotwords
        mark = pb.Mark(kind=kind, utterance_id=utterance, deadline_ms=max(0, deadline_ms), without_hotwords=plain)
        self._send(pb.RecognizeRequest(mark=mark))

    def end(self, kind: pb.Mark.Kind.ValueType, utterance: int) -> None:
        """The utterance is over for us: FINALIZE or DISCARD; nothing of it is kept for a retry."""
        self.mark(kind, utterance)
        self._open = False
        self._kept.clear()

    async def run(self) -> None:
        """Keep a stream open until cancelled."""
        backoff = Backoff()
        while True:
            code = await self._stream(backoff)
            self._set_state(False, code)
            await sleep_s(self._clock, backoff.next_ms() / 1000)

    async def _stream(self, backoff: Backoff) -> str:
        stream = self._stub.Recognize(timeout=self._life_s)
        writer: asyncio.Task[None] | None = None
        try:
            config = pb.RecognizeConfig(
                call_id=self._config.call_id,
                locale=self._config.locale,
                sample_rate_hz=MODEL_RATE_HZ,
                partial_interval_ms=self._config.partial_interval_ms,
                hotwords=self._config.hotwords,
            )
            await stream.write(pb.RecognizeRequest(config=config))
            self._restart()
            writer = asyncio.create_task(self._write(stream))
            self._set_state(True, "OK")
            while True:
                response = await receive(stream)
                if response is None:
                    return "EOF"
                backoff.reset()
                self._deliver(response)
        except grpc.aio.AioRpcError as error:
            return why_ended(error)
        except (UnavailableError, asyncio.InvalidStateError):
            return "UNAVAILABLE"
        finally:
            if writer is not None:
                writer.cancel()
                await asyncio.gather(writer, return_exceptions=True)
            stream.cancel()

    def _restart(self) -> None:
        """A new stream knows nothing: number from 0 and tell it the open utterance again."""
        self._seq = 0
        self._out = deque(self._kept)
        if self._out:
            self._wake.set()

    async def _write(self, stream: "grpc.aio.StreamStreamCall[pb.RecognizeRequest, pb.RecognizeResponse]") -> None:
        while True:
            while self._out:
                message = self._out.popleft()
                if message.HasField("audio"):
                    message = pb.RecognizeRequest(audio=pb.Audio(seq=self._seq, pcm=message.audio.pcm))
                    self._seq += 1
                try:
                    await stream.write(message)
                except (grpc.aio.AioRpcError, asyncio.InvalidStateError):
                    # The reader sees the same end, with its status.
                    return
            self._wake.clear()
            await self._wake.wait()

    def _flush(self) -> None:
        if self._piece:
            self._send(pb.RecognizeRequest(audio=pb.Audio(pcm=bytes(self._piece))))
            self._piece.clear()

    def _send(self, message: pb.RecognizeRequest) -> None:
        self._kept.append(message)
        if len(self._out) >= MAX_KEPT_MESSAGES:
            DROPPED_MS.labels(queue="asr").inc(len(self._out.popleft().audio.pcm) / 32)
        self._out.append(message)
        self._wake.set()

    def _deliver(self, response: pb.RecognizeResponse) -> None:
        match response.WhichOneof("payload"):
            case "partial":
                self._sink.on_partial(response.partial)
            case "final":
                self._sink.on_final(response.final)
            case "error":
                self._sink.on_utterance_error(response.error)
            case _:
                pass

    def _set_state(self, up: bool, code: str) -> None:
        if up != self.up:
            self.up = up
            self._sink.on_asr_state(up, code)
