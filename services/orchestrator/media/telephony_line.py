"""The line to the telephony worker: ONE Media stream carries the frames, commands and events of all our calls.

It begins with who we are and whether we take new calls (`Presence`), which is said again whenever it changes: the
worker offers each call to the least loaded of the orchestrator workers that take calls.
What goes out within one turn of the event loop leaves in one message. A stream that breaks ends its calls (the
worker ends their legs after its own grace time) and is opened again with backoff.
"""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import grpc.aio

from services.common.clock import Clock, sleep_s
from services.common.errors import UnavailableError
from services.common.log import get_logger
from services.common.metrics import DROPPED_MS
from services.orchestrator.clients.backoff import Backoff
from services.orchestrator.clients.wire import receive
from services.orchestrator.media.leg import FRAME_MS
from services.orchestrator.media.telephony_leg import TelephonyLeg
from services.pb.trunkline.common.v1 import common_pb2
from services.pb.trunkline.telephony.v1 import telephony_pb2 as pb
from services.pb.trunkline.telephony.v1 import telephony_pb2_grpc as rpc

log = get_logger(__name__)

MAX_OUT_MESSAGES = 4096
DESCRIBE_DEADLINE_S = 2.0
# The worker's clock is ours when its stamps are this close; else it is on another machine.
SAME_CLOCK_NS = 1_000_000_000
# Frames that are not urgent gather for so long, so that many calls cost few messages.
GATHER_NS = 9_000_000


@dataclass(frozen=True, slots=True)
class Presence:
    """Who we are to the telephony worker. `capacity` in calls, 0: unbounded; `refusing`: why no new calls, "" takes."""

    name: str = ""
    capacity: int = 0
    refusing: str = ""


class TelephonyLine:
    """The stream. `run` keeps it open until cancelled; `on_incoming` gets every ringing leg; `presence` is asked at
    every tick and must be cheap."""

    def __init__(
        self,
        channel: grpc.aio.Channel,
        clock: Clock,
        on_incoming: Callable[[TelephonyLeg], None],
        presence: Callable[[], Presence] = Presence,
        farewells: Callable[[], Mapping[int, bytes]] = dict,
    ) -> None:
        self._stub = rpc.TelephonyServiceStub(channel)
        self._clock = clock
        self._on_incoming = on_incoming
        self._presence = presence
        self._farewells = farewells
        self._farewell_said = False
        self._said: Presence | None = None
        self._legs: dict[int, TelephonyLeg] = {}
        self._unknown: set[int] = set()
        # What leaves next, built in place.
        self._request = pb.MediaRequest()
        self._waiting = 0
        self._wake = asyncio.Event()
        self._written_ns = 0
        self.up = False

    def play(self, leg_id: int, frame: bytes, *, at_once: bool) -> None:
        """Queue one frame; without `at_once` it may wait for the frames of other legs."""
        if not self.up or self._waiting >= MAX_OUT_MESSAGES:
            DROPPED_MS.labels(queue="playout").inc(FRAME_MS)
            return
        self._request.frames.add(leg_id=leg_id, pcm=frame)
        self._waiting += 1
        if at_once or self._clock.now_ns() - self._written_ns >= GATHER_NS:
            self._wake.set()

    def flush(self, _now_ns: int = 0) -> None:
        """The ticker: nothing waits longer than a tick."""
        if self._waiting or self._presence() != self._said:
            self._wake.set()

    def drop_frames(self, leg_id: int) -> None:
        """Take back what has not left yet."""
        frames = self._request.frames
        for index in range(len(frames) - 1, -1, -1):
            if frames[index].leg_id == leg_id:
                del frames[index]
                self._waiting -= 1

    def command(self, command: pb.Command) -> None:
        """Queue one command, behind the frames queued so far."""
        if self.up and len(self._request.commands) < MAX_OUT_MESSAGES:
            self._request.commands.append(command)
            self._wake.set()

    async def run(self) -> None:
        """Keep the stream open until cancelled."""
        backoff = Backoff()
        while True:
            code = await self._stream(backoff)
            if self.up:
                log.warning("telephony stream lost", code=code, legs=len(self._legs))
            self.up = False
            for leg in list(self._legs.values()):
                leg.end("failed", "telephony worker lost")
            self._legs.clear()
            self._unknown.clear()
            self._request, self._waiting = pb.MediaRequest(), 0
            await sleep_s(self._clock, backoff.next_ms() / 1000)

    async def _stream(self, backoff: Backoff) -> str:
        try:
            # The worker says nothing while it has no calls: this proves that it is there.
            await self._stub.Describe(common_pb2.DescribeRequest(), timeout=DESCRIBE_DEADLINE_S)
        except grpc.aio.AioRpcError as error:
            return error.code().name
        stream = self._stub.Media()
        writer = asyncio.create_task(self._write(stream))
        self._attached()
        try:
            while True:
                response = await receive(stream)
                if response is None:
                    return "EOF"
                backoff.reset()
                self._take(response)
        except grpc.aio.AioRpcError as error:
            return error.code().name
        except (UnavailableError, asyncio.InvalidStateError):
            return "UNAVAILABLE"
        finally:
            writer.cancel()
            await asyncio.gather(writer, return_exceptions=True)
            stream.cancel()

    def _attached(self) -> None:
        self.up = True
        self._said = None
        self._farewell_said = False
        # The first message attaches us on the worker's side.
        self._wake.set()
        log.info("telephony stream up")

    async def _write(self, stream: "grpc.aio.StreamStreamCall[pb.MediaRequest, pb.MediaResponse]") -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            self._written_ns = self._clock.now_ns()
            request = self._request
            self._request, self._waiting = pb.MediaRequest(), 0
            news = self._news()
            if news is not None:
                request.attach.CopyFrom(news)
            try:
                await stream.write(request)
            except (grpc.aio.AioRpcError, asyncio.InvalidStateError):
                # The reader sees the same end, with its status.
                return

    def _news(self) -> pb.Attach | None:
        """What the worker does not know of us yet."""
        presence = self._presence()
        if presence == self._said:
            return None
        self._said = presence
        attach = pb.Attach(name=presence.name, capacity=presence.capacity, refusing=presence.refusing)
        # Once, when it is there; what callers hear should we die.
        if not self._farewell_said and (farewells := self._farewells()):
            self._farewell_said = True
            attach.farewells.extend(pb.Farewell(sample_rate_hz=hz, pcm=pcm) for hz, pcm in farewells.items())
        return attach

    def _take(self, response: pb.MediaResponse) -> None:
        now_ns = self._clock.now_ns()
        for event in response.events:
            self._event(event, _our_time(event.monotonic_ns, now_ns))
        at_ns = _our_time(response.monotonic_ns, now_ns)
        legs = self._legs
        for frame in response.frames:
            leg_id = frame.leg_id
            leg = legs.get(leg_id)
            if leg is not None:
                leg.on_frame(frame, at_ns)
            elif leg_id not in self._unknown:
                # Left over from a stream before this one: nobody here speaks to it.
                self._unknown.add(leg_id)
                self.command(pb.Command(leg_id=leg_id, hangup=pb.Hangup()))

    def _event(self, event: pb.LegEvent, at_ns: int) -> None:
        if event.HasField("incoming"):
            leg = self._legs[event.leg_id] = TelephonyLeg(self, event.leg_id, event.incoming)
            self._on_incoming(leg)
            return
        known = self._legs.get(event.leg_id)
        if known is None:
            return
        known.on_event(event, at_ns)
        if event.HasField("ended"):
            del self._legs[event.leg_id]


def _our_time(stamp_ns: int, now_ns: int) -> int:
    """The worker's stamp where its clock is this machine's (CLOCK_MONOTONIC), else the time of arrival."""
    return stamp_ns if 0 <= now_ns - stamp_ns < SAME_CLOCK_NS else now_ns
