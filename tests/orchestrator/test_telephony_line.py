"""The one Media stream: legs, frames, commands, clears, and what happens when the worker goes away.

The worker is a fake, named so: a servicer in this process over real gRPC.
"""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from services.common.clock import SystemClock
from services.common.personal import Personal
from services.common.rpc_client import open_channel
from services.common.rpc_server import GrpcService, RunningServer, serve
from services.common.settings import RpcSettings
from services.orchestrator.media.leg import LegFormat, Playout
from services.orchestrator.media.telephony_leg import TelephonyLeg
from services.orchestrator.media.telephony_line import Presence, TelephonyLine
from services.pb.trunkline.common.v1 import common_pb2
from services.pb.trunkline.telephony.v1 import telephony_pb2 as pb
from services.pb.trunkline.telephony.v1 import telephony_pb2_grpc as rpc

CLOCK = SystemClock()


class FakeWorker(rpc.TelephonyServiceServicer):
    """Says what the test puts into `say`; keeps what the client sent."""

    def __init__(self) -> None:
        self.say: asyncio.Queue[pb.MediaResponse] = asyncio.Queue()
        self.heard: list[pb.MediaRequest] = []
        self.clients = 0

    async def Media(self, requests: AsyncIterator[pb.MediaRequest], context: Any) -> AsyncIterator[pb.MediaResponse]:
        self.clients += 1
        reader = asyncio.create_task(self._read(requests))
        try:
            while True:
                yield await self.say.get()
        finally:
            reader.cancel()

    async def _read(self, requests: AsyncIterator[pb.MediaRequest]) -> None:
        async for request in requests:
            self.heard.append(request)

    async def Describe(self, request: Any, context: Any) -> common_pb2.DescribeResponse:
        return common_pb2.DescribeResponse(service="telephony")

    def event(self, leg_id: int, **event: Any) -> None:
        stamped = pb.LegEvent(leg_id=leg_id, monotonic_ns=CLOCK.now_ns(), **event)
        self.say.put_nowait(pb.MediaResponse(events=[stamped], monotonic_ns=CLOCK.now_ns()))

    def frame(self, leg_id: int, pcm: bytes = b"", sent: int = 0, queued: int = 0) -> None:
        frame = pb.LegFrame(leg_id=leg_id, pcm=pcm, tx_samples_sent=sent, tx_samples_queued=queued)
        self.say.put_nowait(pb.MediaResponse(frames=[frame], monotonic_ns=CLOCK.now_ns()))

    def commands(self) -> list[tuple[int, str | None]]:
        return [(c.leg_id, c.WhichOneof("command")) for request in self.heard for c in request.commands]

    def frames(self) -> list[pb.PlayFrame]:
        return [frame for request in self.heard for frame in request.frames]


class Sink:
    """Writes down what the leg reports."""

    def __init__(self) -> None:
        self.log: list[Any] = []

    def on_audio(self, pcm: bytes, received_ns: int) -> None:
        self.log.append(("audio", pcm))

    def on_playout(self, playout: Playout, at_ns: int) -> None:
        self.log.append(playout)

    def on_established(self, fmt: LegFormat) -> None:
        self.log.append(fmt)

    def on_dtmf(self, digit: Personal[str], duration_ms: int) -> None:
        self.log.append(("dtmf", digit.reveal(), duration_ms))

    def on_hold(self, held: bool) -> None:
        self.log.append(("hold", held))

    def on_ended(self, cause: str, detail: str) -> None:
        self.log.append(("ended", cause, detail))


class Rig:
    """Line and worker, connected."""

    def __init__(self) -> None:
        self.worker = FakeWorker()
        self.legs: list[TelephonyLeg] = []
        self.port = 0
        self.presence = Presence("w1", 9)
        self.server: RunningServer
        self.line: TelephonyLine

    async def start_worker(self) -> None:
        self.worker = FakeWorker()
        service = GrpcService("telephony", (), lambda s: rpc.add_TelephonyServiceServicer_to_server(self.worker, s))
        self.server = await serve(service, RpcSettings(), CLOCK, host="127.0.0.1", port=self.port)
        self.port = self.server.port

    async def until(self, condition: Any) -> None:
        async with asyncio.timeout(10):
            while not condition():  # noqa: ASYNC110
                await asyncio.sleep(0.005)

    async def ring(self, leg_id: int = 7) -> tuple[TelephonyLeg, Sink]:
        before = len(self.legs)
        self.worker.event(leg_id, incoming=pb.Incoming(from_uri="sip:a@b", to_uri="sip:c@d", sip_call_id=f"id{leg_id}"))
        self.worker.event(
            leg_id, established=pb.Established(codec="pcmu", rx_sample_rate_hz=8000, tx_sample_rate_hz=8000)
        )
        await self.until(lambda: len(self.legs) > before)
        sink = Sink()
        self.legs[-1].bind(sink)
        await self.until(lambda: LegFormat("pcmu", 8000, 8000) in sink.log)
        return self.legs[-1], sink


@pytest.fixture
async def rig() -> AsyncIterator[Rig]:
    rig = Rig()
    await rig.start_worker()
    channel = open_channel(f"127.0.0.1:{rig.port}", RpcSettings())
    rig.line = TelephonyLine(channel, CLOCK, rig.legs.append, lambda: rig.presence, lambda: {8000: b"bye"})
    task = asyncio.create_task(rig.line.run())
    await rig.until(lambda: rig.worker.clients == 1)
    yield rig
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    await rig.server.stop()
    await channel.close()


async def test_a_leg_rings_and_what_came_before_it_was_bound_is_delivered_in_order(rig: Rig) -> None:
    leg, sink = await rig.ring()
    assert leg.info.peer_reference == "id7"
    assert "sip:" not in str(leg.info)
    rig.worker.frame(7, b"ab")
    rig.worker.event(7, dtmf=pb.Dtmf(digit="5", duration_ms=80))
    rig.worker.event(7, hold_changed=pb.HoldChanged(held=True))
    rig.worker.event(7, ended=pb.Ended(cause=pb.Ended.CAUSE_REMOTE_BYE))
    await rig.until(lambda: ("ended", "remote_bye", "") in sink.log)
    assert sink.log[1:] == [("audio", b"ab"), ("dtmf", "5", 80), ("hold", True), ("ended", "remote_bye", "")]


async def test_frames_of_many_legs_leave_in_one_message(rig: Rig) -> None:
    legs = [(await rig.ring(n))[0] for n in range(1, 6)]
    before = len(rig.worker.heard)
    for leg in legs:
        leg.play(bytes(320))
        leg.play(bytes(320))
    await rig.until(lambda: len(rig.worker.frames()) == 10)
    assert len(rig.worker.heard) == before + 1


async def test_playing_is_reported_even_when_the_first_report_is_older_than_our_frames(rig: Rig) -> None:
    leg, sink = await rig.ring()
    leg.play(bytes(320))
    rig.worker.frame(7, sent=0, queued=0)
    rig.worker.frame(7, sent=0, queued=160)
    rig.worker.frame(7, sent=160, queued=0)
    await rig.until(lambda: Playout(160, 0, 0) in sink.log)
    assert Playout(0, 160, 0) in sink.log


async def test_after_a_clear_the_first_report_is_the_worker_s_own_count(rig: Rig) -> None:
    leg, sink = await rig.ring()
    leg.play(bytes(320))
    await rig.until(lambda: rig.worker.frames())
    leg.clear()
    rig.worker.frame(7, sent=0, queued=160)
    rig.worker.event(7, cleared=pb.Cleared(tx_samples_sent=160, tx_samples_flushed=320))
    await rig.until(lambda: any(isinstance(item, Playout) for item in sink.log))
    assert [item for item in sink.log if isinstance(item, Playout)] == [Playout(160, 0, 0)]


async def test_frames_that_have_not_left_are_taken_back_by_a_clear(rig: Rig) -> None:
    leg, _ = await rig.ring()
    leg.play(bytes(320))
    leg.clear()
    await rig.until(lambda: (7, "clear") in rig.worker.commands())
    assert rig.worker.frames() == []


async def test_a_lost_worker_ends_its_calls_and_new_ones_work_when_it_is_back(rig: Rig) -> None:
    _, sink = await rig.ring()
    await rig.server.stop()
    await rig.until(lambda: ("ended", "failed", "telephony worker lost") in sink.log)
    await rig.start_worker()
    await rig.until(lambda: rig.worker.clients == 1)
    leg, _ = await rig.ring(8)
    leg.answer()
    await rig.until(lambda: (8, "answer") in rig.worker.commands())


async def test_it_says_who_it_is_first_and_again_when_that_changes(rig: Rig) -> None:
    def said() -> list[str]:
        return [request.attach.refusing for request in rig.worker.heard if request.HasField("attach")]

    await rig.until(lambda: rig.worker.heard)
    assert (rig.worker.heard[0].attach.name, rig.worker.heard[0].attach.capacity) == ("w1", 9)
    rig.line.flush()
    rig.presence = Presence("w1", 9, "draining")
    rig.line.flush()
    await rig.until(lambda: said() == ["", "draining"])
    farewells = [request.attach.farewells for request in rig.worker.heard if request.HasField("attach")]
    assert [[(f.sample_rate_hz, f.pcm) for f in given] for given in farewells] == [[(8000, b"bye")], []]


async def test_legs_of_an_earlier_stream_are_hung_up(rig: Rig) -> None:
    rig.worker.frame(99, b"ab")
    rig.worker.frame(99, b"ab")
    await rig.until(lambda: (99, "hangup") in rig.worker.commands())
    assert rig.worker.commands().count((99, "hangup")) == 1
