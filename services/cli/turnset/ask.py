"""Puts the questions to the real vad and asr services, and asks again where one is too busy."""

import asyncio
import itertools
from collections.abc import AsyncIterator, Sequence
from typing import Any

import grpc.aio

from services.cli.caller import Pcm
from services.cli.turnset.hearing import Hearing
from services.cli.turnset.outputs import Ask
from services.common.clock import Clock, sleep_s
from services.common.errors import DeadlineError, OverloadedError, UnavailableError
from services.common.rpc_client import from_rpc_error, open_channel
from services.common.settings import Settings
from services.orchestrator.media.audio import MODEL_RATE_HZ
from services.pb.trunkline.asr.v1 import asr_pb2, asr_pb2_grpc
from services.pb.trunkline.common.v1 import common_pb2
from services.pb.trunkline.vad.v1 import vad_pb2, vad_pb2_grpc

_DEADLINE_S = 60.0
_TEXT_DEADLINE_MS = 30_000
_PIECE = MODEL_RATE_HZ // 10
_TRIES = 7
# As many as the recogniser puts in one batch without making each wait.
_TEXTS_AT_ONCE = 4
_FRAMES_PER_MESSAGE = 100


class Models:
    """The services. `close` when done."""

    def __init__(self, settings: Settings, clock: Clock) -> None:
        self._settings = settings
        self._clock = clock
        self._vad_channel = open_channel(settings.vad.address(), settings.rpc, clock=clock)
        self._asr_channel = open_channel(settings.asr.address(), settings.rpc, clock=clock)
        self._vad = vad_pb2_grpc.VadServiceStub(self._vad_channel)
        self._asr = asr_pb2_grpc.AsrServiceStub(self._asr_channel)
        self._calls = itertools.count()
        # The turn model takes one question at a time, and refuses those that would wait.
        self._turn_model = asyncio.Lock()
        self._recogniser = asyncio.Semaphore(_TEXTS_AT_ONCE)

    async def close(self) -> None:
        """Free the channels."""
        await self._vad_channel.close()
        await self._asr_channel.close()

    async def check(self) -> None:
        """Raises UnavailableError when a service runs other models than the settings name (scripted ones)."""
        vad = self._settings.vad
        try:
            _check(await self._vad.Describe(common_pb2.DescribeRequest(), timeout=_DEADLINE_S), vad.model)
            _check(await self._vad.Describe(common_pb2.DescribeRequest(), timeout=_DEADLINE_S), vad.turn_model)
            asr = await self._asr.Describe(common_pb2.DescribeRequest(), timeout=_DEADLINE_S)
            _check(asr, self._settings.asr.model)
            if self._settings.asr.ending_model:
                _check(asr, self._settings.asr.ending_model)
        except grpc.aio.AioRpcError as error:
            raise from_rpc_error(error) from error

    async def answer(self, ask: Ask, hearing: Hearing) -> Any:
        """One answer. Raises TrunklineError when the service does not give one."""
        for attempt in range(_TRIES):
            try:
                match ask.kind:
                    case "vad":
                        return await self._speech(hearing)
                    case "turn":
                        return await self._turn(hearing.wide()[ask.start : ask.end])
                    case "text":
                        return await self._text(hearing.wide()[ask.start : ask.end])
            except (OverloadedError, DeadlineError):
                if attempt == _TRIES - 1:
                    raise
                await sleep_s(self._clock, 0.5 * 2**attempt)
        raise UnavailableError("unreachable")

    async def _speech(self, hearing: Hearing) -> list[float]:
        call_id = f"turnset-{next(self._calls)}"
        frames = hearing.frame_pcm()
        requests = []
        for at in range(0, len(frames), _FRAMES_PER_MESSAGE):
            chunk = [
                vad_pb2.Frame(call_id=call_id, seq=at + index, pcm=pcm)
                for index, pcm in enumerate(frames[at : at + _FRAMES_PER_MESSAGE])
            ]
            requests.append(vad_pb2.DetectRequest(frames=chunk))
        requests.append(vad_pb2.DetectRequest(closed_call_ids=[call_id]))
        out: list[float] = []
        try:
            async for response in self._vad.Detect(_each(requests), timeout=_DEADLINE_S):
                if response.errors:
                    raise UnavailableError(f"vad refused a frame: {response.errors[0].message}")
                out += [round(detection.speech_probability, 4) for detection in response.detections]
        except grpc.aio.AioRpcError as error:
            raise from_rpc_error(error) from error
        if len(out) != len(frames):
            raise UnavailableError(f"vad answered {len(out)} of {len(frames)} frames.")
        return out

    async def _turn(self, pcm: Pcm) -> float:
        request = vad_pb2.PredictTurnRequest(
            call_id="turnset", pcm=pcm.astype("<i2").tobytes(), sample_rate_hz=MODEL_RATE_HZ
        )
        try:
            async with self._turn_model:
                answer = await self._vad.PredictTurn(request, timeout=_DEADLINE_S)
        except grpc.aio.AioRpcError as error:
            raise from_rpc_error(error) from error
        return round(answer.complete_probability, 4)

    async def _text(self, pcm: Pcm) -> dict[str, Any]:
        """The provisional final at a dip at the end of `pcm`."""
        async with self._recogniser:
            return await self._recognise(pcm)

    async def _recognise(self, pcm: Pcm) -> dict[str, Any]:
        answered = asyncio.Event()
        try:
            answers = self._asr.Recognize(_recognition(pcm, self._settings.agent.locale, answered), timeout=_DEADLINE_S)
            async for answer in answers:
                kind = answer.WhichOneof("payload")
                if kind == "final":
                    return _final(answer.final)
                if kind == "error":
                    raise OverloadedError(f"asr ({answer.error.message})", retry_after_s=0.5)
        except grpc.aio.AioRpcError as error:
            raise from_rpc_error(error) from error
        finally:
            answered.set()
        raise UnavailableError("asr ended without a final.")


def _final(final: asr_pb2.Final) -> dict[str, Any]:
    return {
        "text": final.text,
        "avg_logprob": round(final.avg_logprob, 3),
        "no_speech_prob": round(final.no_speech_prob, 3),
        "language": final.language,
        "language_probability": round(final.language_probability, 3),
        "ending": round(final.ending_log_odds, 3) if final.HasField("ending_log_odds") else None,
    }


async def _recognition(pcm: Pcm, locale: str, answered: asyncio.Event) -> AsyncIterator[asr_pb2.RecognizeRequest]:
    mark = asr_pb2.Mark
    yield asr_pb2.RecognizeRequest(
        config=asr_pb2.RecognizeConfig(call_id="turnset", locale=locale, sample_rate_hz=MODEL_RATE_HZ)
    )
    # Pre-roll first, as the orchestrator's client does: the service keeps what came before the mark.
    preroll = min(len(pcm), MODEL_RATE_HZ * 400 // 1000)
    yield asr_pb2.RecognizeRequest(audio=asr_pb2.Audio(seq=0, pcm=pcm[:preroll].astype("<i2").tobytes()))
    yield asr_pb2.RecognizeRequest(mark=mark(kind=mark.KIND_SPEECH_STARTED, utterance_id=1))
    for seq, at in enumerate(range(preroll, len(pcm), _PIECE), 1):
        chunk = pcm[at : at + _PIECE].astype("<i2").tobytes()
        yield asr_pb2.RecognizeRequest(audio=asr_pb2.Audio(seq=seq, pcm=chunk))
    paused = mark(kind=mark.KIND_SPEECH_PAUSED, utterance_id=1, deadline_ms=_TEXT_DEADLINE_MS)
    yield asr_pb2.RecognizeRequest(mark=paused)
    await answered.wait()


def _check(facts: common_pb2.DescribeResponse, model: str) -> None:
    if not any(found.name == model for found in facts.models):
        known = ", ".join(found.name for found in facts.models) or "none"
        raise UnavailableError(
            f"{facts.service} runs {facts.engine} ({known}), not {model}.",
            remedy="The turn-taking set needs the real models: start without --models scripted.",
        )


async def _each(requests: Sequence[vad_pb2.DetectRequest]) -> AsyncIterator[vad_pb2.DetectRequest]:
    for request in requests:
        yield request
