"""The caller's own use of the model services: text spoken by tts (`--text`), the agent's audio read by asr."""

import asyncio
from collections.abc import AsyncIterator

import grpc.aio
import numpy as np
import soxr

from services.cli.caller import Pcm
from services.cli.clips import Clip, make_clip
from services.common.clock import Clock
from services.common.errors import DeadlineError, UnavailableError
from services.common.rpc_client import from_rpc_error, open_channel
from services.common.settings import Settings
from services.pb.trunkline.asr.v1 import asr_pb2, asr_pb2_grpc
from services.pb.trunkline.tts.v1 import tts_pb2, tts_pb2_grpc

_RATE_HZ = 16_000
_CHUNK_MS = 100
_SPEAK_DEADLINE_S = 30.0
_READ_DEADLINE_S = 30.0
# Whisper's own window; more is cut, a turn of a telephone call is shorter.
_LONGEST_READ_S = 28


async def speak(text: str, settings: Settings, clock: Clock, *, rate: float = 1.0) -> Clip:
    """`text` in the stack's voice at `rate` times its usual pace. Raises UnavailableError or DeadlineError."""
    channel = open_channel(settings.tts.address(), settings.rpc, clock=clock)
    # No call_id: the whole clip is wanted at once, not at the pace of a listener.
    config = tts_pb2.SynthesizeConfig(
        voice=settings.agent.voice,
        locale=settings.agent.locale,
        sample_rate_hz=_RATE_HZ,
        speaking_rate=rate,
    )
    requests = [
        tts_pb2.SynthesizeRequest(config=config),
        tts_pb2.SynthesizeRequest(text=text),
        tts_pb2.SynthesizeRequest(end=tts_pb2.End()),
    ]
    audio = bytearray()
    try:
        answers = tts_pb2_grpc.TtsServiceStub(channel).Synthesize(_each(requests), timeout=_SPEAK_DEADLINE_S)
        async for answer in answers:
            audio += answer.audio.pcm
    except grpc.aio.AioRpcError as error:
        raise from_rpc_error(error) from error
    finally:
        await channel.close()
    return make_clip("--text", text, np.frombuffer(bytes(audio), dtype="<i2").astype(np.int16), _RATE_HZ)


async def transcribe(pcm: Pcm, rate_hz: int, settings: Settings, clock: Clock) -> str:
    """What asr reads in `pcm`; "" when it rejects it. Raises UnavailableError or DeadlineError."""
    wide = pcm if rate_hz == _RATE_HZ else np.asarray(soxr.resample(pcm, rate_hz, _RATE_HZ), dtype=np.int16)
    wide = wide[: _LONGEST_READ_S * _RATE_HZ]
    channel = open_channel(settings.asr.address(), settings.rpc, clock=clock)
    stop = asyncio.Event()
    try:
        answers = asr_pb2_grpc.AsrServiceStub(channel).Recognize(
            _recognition(wide, settings.agent.locale, stop), timeout=_READ_DEADLINE_S
        )
        async for answer in answers:
            kind = answer.WhichOneof("payload")
            if kind == "final" and not answer.final.provisional:
                return str(answer.final.text).strip()
            if kind == "error":
                raise UnavailableError(f"asr: {answer.error.message}")
    except grpc.aio.AioRpcError as error:
        raise from_rpc_error(error) from error
    finally:
        stop.set()
        await channel.close()
    raise DeadlineError("asr ended without a final transcript.")


async def _recognition(pcm: Pcm, locale: str, stop: asyncio.Event) -> AsyncIterator[asr_pb2.RecognizeRequest]:
    """One utterance, then the stream stays open until the answer is there."""
    mark = asr_pb2.Mark
    yield asr_pb2.RecognizeRequest(
        config=asr_pb2.RecognizeConfig(call_id="trunkline-call", locale=locale, sample_rate_hz=_RATE_HZ)
    )
    yield asr_pb2.RecognizeRequest(mark=mark(kind=mark.KIND_SPEECH_STARTED, utterance_id=1))
    step = _RATE_HZ * _CHUNK_MS // 1000
    for seq, at in enumerate(range(0, len(pcm), step)):
        chunk = pcm[at : at + step].astype("<i2").tobytes()
        yield asr_pb2.RecognizeRequest(audio=asr_pb2.Audio(seq=seq, pcm=chunk))
    yield asr_pb2.RecognizeRequest(mark=mark(kind=mark.KIND_FINALIZE, utterance_id=1, deadline_ms=10_000))
    await stop.wait()


async def _each(requests: list[tts_pb2.SynthesizeRequest]) -> AsyncIterator[tts_pb2.SynthesizeRequest]:
    for request in requests:
        yield request
