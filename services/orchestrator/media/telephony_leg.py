"""SIP legs: ONE Media stream to the telephony worker carries the frames, commands and events of all its calls.

What goes out within one turn of the event loop leaves in one message. A stream that breaks ends its calls (the
worker ends their legs after its own grace time) and is opened again with backoff.
"""

import asyncio
from collections import deque
from collections.abc import Callable

import grpc.aio

from services.common.clock import Clock, sleep_s
from services.common.errors import UnavailableError
from services.common.log import get_logger
from services.common.metrics import DROPPED_MS
from services.common.personal import Personal
from services.orchestrator.clients.backoff import Backoff
from services.orchestrator.clients.wire import receive
from services.orchestrator.media.leg import FRAME_MS, Leg, LegFormat, LegInfo, LegSink, Playout
from services.pb.trunkline.common.v1 import common_pb2
from services.pb.trunkline.telephony.v1 import telephony_pb2 as pb
from services.pb.trunkline.telephony.v1 import telephony_pb2_grpc as rpc

log = get_logger(__name__)

# Of a leg nobody has bound yet; two seconds of frames.
MAX_BACKLOG = 100
MAX_OUT_MESSAGES = 4096
DESCRIBE_DEADLINE_S = 2.0
# Frames to wait for the worker's word that it flushed; then its counts are believed as they are.
CLEAR_FRAMES = 10
# Frames that are not urgent gather for so long, so that many calls cost few messages.
GATHER_NS = 9_000_000
# A report may have left the worker before our frames reached it: listen on for so many.
REPORTS_AFTER = 50
# The worker's clock is ours when its stamps are this close; else it is on another machine.
SAME_CLOCK_NS = 1_000_000_000

_CAUSES = {
    pb.Ended.CAUSE_REMOTE_BYE: "remote_bye",
    pb.Ended.CAUSE_LOCAL_HANGUP: "local_hangup",
    pb.Ended.CAUSE_CANCELLED: "cancelled",
    pb.Ended.CAUSE_REJECTED: "rejected",
    pb.Ended.CAUSE_FAILED: "failed",
    pb.Ended.CAUSE_TRANSFERRED: "transferred",
    pb.Ended.CAUSE_MEDIA_TIMEOUT: "media_timeout",
}


class TelephonyLeg:
    """Implements `Leg` over its place in the worker's stream."""

    def __init__(self, line: "TelephonyLine", leg_id: int, incoming: pb.Incoming) -> None:
        self._line = line
        self.leg_id = leg_id
        self._info = LegInfo(
            leg_id=str(leg_id),
            transport="sip",
            caller=Personal(incoming.from_uri, "uri"),
            callee=Personal(incoming.to_uri, "uri"),
            peer_reference=incoming.sip_call_id,
        )
        self._sink: LegSink | None = None
        self._backlog: deque[Callable[[LegSink], None]] = deque(maxlen=MAX_BACKLOG)
        # Frames left to wait for Cleared; 0: no clear is under way.
        self._clearing = 0
        # Reports still to pass on after the last sign of playing.
        self._reports = 0
        self._sent = 0
        self._starving = True
        self.ended = False

    @property
    def info(self) -> LegInfo:
        """Fixed facts."""
        return self._info

    def bind(self, sink: LegSink) -> None:
        """Deliver to `sink`, what came before first."""
        self._sink = sink
        while self._backlog:
            self._backlog.popleft()(sink)

    def answer(self) -> None:
        """200 OK."""
        self._command(pb.Command(leg_id=self.leg_id, answer=pb.Answer()))

    def reject(self, sip_status: int) -> None:
        """Refuse the call."""
        self._command(pb.Command(leg_id=self.leg_id, reject=pb.Reject(sip_status=sip_status)))

    def play(self, frame: bytes) -> None:
        """Commit 20 ms; it leaves with the other legs' frames of this turn of the event loop."""
        if not self.ended:
            # The first frames of an utterance go at once; later ones have 40 ms of audio before them.
            first = not self._reports or self._starving
            self._reports = REPORTS_AFTER
            self._line.play(self.leg_id, frame, at_once=first)

    def clear(self) -> None:
        """Flush; reports are held back until the worker says that it is done."""
        self._clearing = CLEAR_FRAMES
        self._reports = REPORTS_AFTER
        self._line.drop_frames(self.leg_id)
        self._command(pb.Command(leg_id=self.leg_id, clear=pb.Clear()))

    def hangup(self) -> None:
        """BYE."""
        self._command(pb.Command(leg_id=self.leg_id, hangup=pb.Hangup()))

    def send_dtmf(self, digits: Personal[str]) -> None:
        """RFC 4733 events."""
        self._command(pb.Command(leg_id=self.leg_id, send_dtmf=pb.SendDtmf(digits=digits.reveal())))

    def hold(self, on: bool) -> None:
        """re-INVITE."""
        self._command(pb.Command(leg_id=self.leg_id, hold=pb.Hold(on=on)))

    def transfer(self, target: Personal[str], consult: Leg | None = None) -> None:
        """REFER, attended with another SIP leg in `consult`."""
        consult_id = consult.leg_id if isinstance(consult, TelephonyLeg) else 0
        transfer = pb.Transfer(target_uri=target.reveal(), consult_leg_id=consult_id)
        self._command(pb.Command(leg_id=self.leg_id, transfer=transfer))

    # ---- from the line

    def on_frame(self, frame: pb.LegFrame, received_ns: int) -> None:
        """What the leg heard in a tick, and how far its playing has come."""
        if frame.pcm:
            pcm = frame.pcm
            self._deliver(lambda sink: sink.on_audio(pcm, received_ns))
        self._clearing = max(0, self._clearing - 1)
        if not self._reports or self._clearing:
            return
        moving = frame.tx_samples_queued > 0 or frame.tx_samples_sent != self._sent
        self._reports = REPORTS_AFTER if moving else self._reports - 1
        self._starving = frame.tx_samples_queued == 0
        self._sent = frame.tx_samples_sent
        self._report(Playout(frame.tx_samples_sent, frame.tx_samples_queued, frame.tx_samples_starved), received_ns)

    def on_event(self, event: pb.LegEvent, at_ns: int) -> None:
        """One event of this leg."""
        match event.WhichOneof("event"):
            case "established":
                e = event.established
                fmt = LegFormat(e.codec, e.rx_sample_rate_hz, e.tx_sample_rate_hz)
                self._deliver(lambda sink: sink.on_established(fmt))
            case "dtmf":
                digit = Personal(event.dtmf.digit, "dtmf")
                duration_ms = event.dtmf.duration_ms
                self._deliver(lambda sink: sink.on_dtmf(digit, duration_ms))
            case "hold_changed":
                held = event.hold_changed.held
                self._deliver(lambda sink: sink.on_hold(held))
            case "cleared":
                self._clearing = 0
                self._report(Playout(event.cleared.tx_samples_sent, 0, 0), at_ns)
            case "ended":
                self.end(_CAUSES.get(event.ended.cause, "failed"), f"{event.ended.sip_status}".lstrip("0"))
            case "command_failed":
                # "clear" on a leg without audio: nothing was queued, so nothing is awaited.
                self._clearing = 0
                log.warning("leg command failed", leg=self.leg_id, command=event.command_failed.command)
            case _:
                pass

    def end(self, cause: str, detail: str) -> None:
        """The leg is gone; said once."""
        if not self.ended:
            self.ended = True
            self._deliver(lambda sink: sink.on_ended(cause, detail))

    def _report(self, playout: Playout, at_ns: int) -> None:
        self._deliver(lambda sink: sink.on_playout(playout, at_ns))

    def _deliver(self, deliver: Callable[[LegSink], None]) -> None:
        if self._sink is None:
            self._backlog.append(deliver)
        else:
            deliver(self._sink)

    def _command(self, command: pb.Command) -> None:
        if not self.ended:
            self._line.command(command)


class TelephonyLine:
    """The stream. `run` keeps it open until cancelled; `on_incoming` gets every ringing leg."""

    def __init__(self, channel: grpc.aio.Channel, clock: Clock, on_incoming: Callable[[TelephonyLeg], None]) -> None:
        self._stub = rpc.TelephonyServiceStub(channel)
        self._clock = clock
        self._on_incoming = on_incoming
        self._legs: dict[int, TelephonyLeg] = {}
        self._unknown: set[int] = set()
        self._frames: list[pb.PlayFrame] = []
        self._commands: deque[pb.Command] = deque(maxlen=MAX_OUT_MESSAGES)
        self._wake = asyncio.Event()
        self._written_ns = 0
        self.up = False

    def play(self, leg_id: int, frame: bytes, *, at_once: bool) -> None:
        """Queue one frame; without `at_once` it may wait for the frames of other legs."""
        if not self.up or len(self._frames) >= MAX_OUT_MESSAGES:
            DROPPED_MS.labels(queue="playout").inc(FRAME_MS)
            return
        self._frames.append(pb.PlayFrame(leg_id=leg_id, pcm=frame))
        if at_once or self._clock.now_ns() - self._written_ns >= GATHER_NS:
            self._wake.set()

    def flush(self, _now_ns: int = 0) -> None:
        """The ticker: nothing waits longer than a tick."""
        if self._frames:
            self._wake.set()

    def drop_frames(self, leg_id: int) -> None:
        """Take back what has not left yet."""
        self._frames = [frame for frame in self._frames if frame.leg_id != leg_id]

    def command(self, command: pb.Command) -> None:
        """Queue one command, behind the frames queued so far."""
        if self.up:
            self._commands.append(command)
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
            self._frames.clear()
            self._commands.clear()
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
        # An empty message opens the stream on the worker's side.
        self._wake.set()
        log.info("telephony stream up")

    async def _write(self, stream: "grpc.aio.StreamStreamCall[pb.MediaRequest, pb.MediaResponse]") -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            self._written_ns = self._clock.now_ns()
            request = pb.MediaRequest(frames=self._frames, commands=self._commands)
            self._frames = []
            self._commands.clear()
            try:
                await stream.write(request)
            except (grpc.aio.AioRpcError, asyncio.InvalidStateError):
                # The reader sees the same end, with its status.
                return

    def _take(self, response: pb.MediaResponse) -> None:
        now_ns = self._clock.now_ns()
        for event in response.events:
            self._event(event, _our_time(event.monotonic_ns, now_ns))
        at_ns = _our_time(response.monotonic_ns, now_ns)
        for frame in response.frames:
            leg = self._legs.get(frame.leg_id)
            if leg is not None:
                leg.on_frame(frame, at_ns)
            elif frame.leg_id not in self._unknown:
                # Left over from a stream before this one: nobody here speaks to it.
                self._unknown.add(frame.leg_id)
                self.command(pb.Command(leg_id=frame.leg_id, hangup=pb.Hangup()))

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
