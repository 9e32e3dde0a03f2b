"""Test callers over SIP: a second telephony worker in a role of its own (other ports, no jitter buffer).

The worker is the engine that the stack answers with; as a caller it runs in its own process, so that a fault on one
side is not shared by the other. One worker carries all calls of a benchmark over its one `Media` stream.
"""

import asyncio
import itertools
import socket
from collections import deque
from pathlib import Path
from typing import Any, Literal

import grpc
import grpc.aio
import numpy as np

from services.cli.caller import FRAME_MS, Pcm, Track
from services.cli.stack import Launch, launch_specs
from services.cli.supervisor import Supervisor
from services.common.clock import Clock
from services.common.errors import DeadlineError, InvalidInputError, TrunklineError, UnavailableError
from services.common.rpc_client import from_rpc_error, open_channel
from services.pb.trunkline.telephony.v1 import telephony_pb2 as pb
from services.pb.trunkline.telephony.v1 import telephony_pb2_grpc as pb_grpc

WORKER_READY_S = 30.0
DIAL_DEADLINE_S = 20.0
HANGUP_DEADLINE_S = 2.0
STALL_DEADLINE_S = 5.0
# A caller flushes nothing: its worker holds enough that a late event loop here leaves no gap in what is said.
_COMMITTED_MS = 240
# The worker's look at its rings: the error of the times, against its CPU time.
_POLL_MS, _POLL_MANY_MS, _MANY = 2, 4, 8
_MAX_QUEUED_S = 600


class SipLeg:
    """One call over SIP; see `CallerLeg`. Made by `SipDialer.dial`."""

    def __init__(self, leg_id: int) -> None:
        self.leg_id = leg_id
        self.codec = ""
        self.peer_reference = ""
        # SIP tells neither: the API finds the call by its Call-ID.
        self.call_id = ""
        self.token = ""
        self.ended = ""
        self.lost_packets = 0
        # Audio the worker would not take: our accounting of what was sent is void.
        self.fault = ""
        self.sent = Track(8000)
        self.heard = Track(8000)
        self._queue: deque[Pcm] = deque()
        self._queued = 0
        self._committed: deque[Pcm] = deque()
        self._in_worker = 0
        self._sent_total = 0
        self._moved = asyncio.Event()
        self.established = asyncio.Event()
        self.gone = asyncio.Event()
        self.close_leg: Any = None

    @property
    def transport(self) -> Literal["sip", "webrtc"]:
        """Always sip."""
        return "sip"

    @property
    def playing(self) -> bool:
        """Whether queued audio has not left yet."""
        return self._queued + self._in_worker > 0

    def play(self, pcm: Pcm) -> int:
        """Queue audio at the tx rate, padded to whole frames. Returns the index of its first sample in `sent`."""
        frame = self.sent.rate_hz * FRAME_MS // 1000
        if self._queued + len(pcm) > _MAX_QUEUED_S * self.sent.rate_hz:
            raise InvalidInputError("pcm", expected=f"at most {_MAX_QUEUED_S} s queued", got="more")
        start = self.sent.samples + self._in_worker + self._queued
        padded = np.pad(pcm, (0, -len(pcm) % frame))
        for at in range(0, len(padded), frame):
            self._queue.append(padded[at : at + frame])
        self._queued += len(padded)
        return start

    async def progress(self) -> None:
        """See `CallerLeg.progress`."""
        if self.ended:
            return
        self._moved.clear()
        try:
            async with asyncio.timeout(STALL_DEADLINE_S):
                await self._moved.wait()
        except TimeoutError:
            raise DeadlineError(f"No audio moved in either direction for {STALL_DEADLINE_S:.0f} s.") from None
        if self.fault:
            raise UnavailableError(f"The caller's own worker could not keep up: {self.fault}.")

    async def hangup(self) -> None:
        """BYE; returns when the call is gone, or after two seconds."""
        if self.ended:
            return
        await self.close_leg(self.leg_id)
        try:
            async with asyncio.timeout(HANGUP_DEADLINE_S):
                await self.gone.wait()
        except TimeoutError:
            self.end("local_hangup, BYE unanswered")

    # ---- fed by the dialer ----

    def start(self, established: pb.Established) -> None:
        """Media flows. A change of rate in mid-call ends the test call: its tracks have one rate."""
        rates = (established.tx_sample_rate_hz, established.rx_sample_rate_hz)
        if self.established.is_set() and rates != (self.sent.rate_hz, self.heard.rate_hz):
            self.fault = f"the rates changed to {rates[0]} and {rates[1]} Hz in mid-call"
            return
        if not self.established.is_set():
            self.codec = established.codec
            self.peer_reference = established.sip_call_id
            self.sent, self.heard = Track(rates[0]), Track(rates[1])
            self.established.set()

    def on_frame(self, frame: pb.LegFrame, at_ns: int) -> None:
        """What came (at `at_ns`), and how far sending has come (known to the worker's 2 ms)."""
        sent_ns = frame.tx_sent_ns or at_ns
        grown = frame.tx_samples_sent - self._sent_total
        self._sent_total = frame.tx_samples_sent
        while grown > 0 and self._committed:
            chunk = self._committed.popleft()
            if len(chunk) > grown:
                self._committed.appendleft(chunk[grown:])
                chunk = chunk[:grown]
            self.sent.add(chunk, sent_ns)
            grown -= len(chunk)
            self._in_worker -= len(chunk)
        if frame.pcm:
            self.heard.add(frame.pcm, at_ns)
        self._moved.set()

    def due(self, request: pb.MediaRequest) -> None:
        """Add the frames for which the worker has room."""
        room = self.sent.rate_hz * _COMMITTED_MS // 1000 - self._in_worker
        taken: list[Pcm] = []
        while self._queue and len(self._queue[0]) <= room:
            frame = self._queue.popleft()
            taken.append(frame)
            room -= len(frame)
            self._queued -= len(frame)
            self._in_worker += len(frame)
        if taken:
            self._committed.extend(taken)
            request.frames.add(leg_id=self.leg_id, pcm=np.concatenate(taken).astype("<i2").tobytes())

    def end(self, reason: str) -> None:
        """Nothing follows."""
        self.ended = self.ended or reason
        self.gone.set()
        self.established.set()
        self._moved.set()


class SipDialer:
    """Places calls with one worker process. Use `async with`, or `start` and `close`."""

    def __init__(self, launch: Launch, clock: Clock, *, target: str, max_calls: int = 1) -> None:
        ports = free_ports(2)
        self._launch = launch.with_overrides(*caller_role(target, ports, max_calls))
        self._clock = clock
        log_dir = launch.settings.data_dir.expanduser() / "logs" / "caller"
        self._supervisor = Supervisor(launch_specs(self._launch, ["telephony"], clock), Path(log_dir), clock)
        self._legs: dict[int, SipLeg] = {}
        self._dials: dict[int, asyncio.Future[SipLeg]] = {}
        self._ids = itertools.count(1)
        self._channel: grpc.aio.Channel | None = None
        self._stream: Any = None
        self._writing = asyncio.Lock()
        self._reader: asyncio.Task[None] | None = None

    @property
    def pids(self) -> dict[str, int]:
        """The worker's process, for accounting."""
        return {f"caller ({name})": pid for name, pid in self._supervisor.pids.items()}

    async def start(self) -> "SipDialer":
        """Start the worker and attach to it. Raises UnavailableError or DeadlineError."""
        self._supervisor.start()
        await self._supervisor.until_ready(WORKER_READY_S)
        settings = self._launch.settings
        self._channel = open_channel(settings.telephony.address(), settings.rpc, clock=self._clock)
        self._stream = pb_grpc.TelephonyServiceStub(self._channel).Media()
        self._reader = asyncio.create_task(self._read(), name="sip caller")
        return self

    async def dial(self, target: str) -> SipLeg:
        """See `Dialer.dial`."""
        dial_id = next(self._ids)
        dialed: asyncio.Future[SipLeg] = asyncio.get_running_loop().create_future()
        self._dials[dial_id] = dialed
        try:
            async with asyncio.timeout(DIAL_DEADLINE_S):
                await self._send(pb.Command(dial=pb.Dial(dial_id=dial_id, target_uri=target)))
                leg = await dialed
                await leg.established.wait()
        except TimeoutError:
            if dialed.done() and not dialed.cancelled():
                await self._hangup(dialed.result().leg_id)
            raise DeadlineError(
                f"Nobody answered within {DIAL_DEADLINE_S:.0f} s.", remedy="Is the stack up? Run trunkline up."
            ) from None
        finally:
            self._dials.pop(dial_id, None)
        if leg.ended:
            raise UnavailableError(f"The call was refused: {leg.ended}.")
        return leg

    async def close(self) -> None:
        """End the calls, stop the worker."""
        live = [leg for leg in self._legs.values() if not leg.ended]
        if self._reader is not None and not self._reader.done():
            await asyncio.gather(*(leg.hangup() for leg in live), return_exceptions=True)
            self._reader.cancel()
            await asyncio.wait({self._reader})
        if self._channel is not None:
            await self._channel.close()
        await self._supervisor.stop()

    async def __aenter__(self) -> "SipDialer":
        try:
            return await self.start()
        except BaseException:
            await self._supervisor.stop()
            raise

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def _send(self, command: pb.Command) -> None:
        await self._write(pb.MediaRequest(commands=[command]))

    async def _write(self, request: pb.MediaRequest) -> None:
        async with self._writing:
            try:
                await self._stream.write(request)
            except grpc.aio.AioRpcError as error:
                raise from_rpc_error(error) from error
            except asyncio.InvalidStateError:
                raise UnavailableError("The caller's telephony worker is gone.") from None

    async def _hangup(self, leg_id: int) -> None:
        await self._send(pb.Command(leg_id=leg_id, hangup=pb.Hangup()))

    async def _read(self) -> None:
        problem = "the caller's telephony worker is gone"
        try:
            async for message in self._stream:
                request = self._on_message(message)
                if request.frames:
                    await self._write(request)
        except (grpc.aio.AioRpcError, TrunklineError) as error:
            problem = f"the caller's telephony worker failed ({type(error).__name__})"
        finally:
            for leg in self._legs.values():
                leg.end(problem)
            for dialed in self._dials.values():
                if not dialed.done():
                    dialed.set_exception(UnavailableError(f"Cannot call: {problem}."))

    def _on_message(self, message: pb.MediaResponse) -> pb.MediaRequest:
        for event in message.events:
            self._on_event(event)
        request = pb.MediaRequest()
        for frame in message.frames:
            if (leg := self._legs.get(frame.leg_id)) is not None:
                leg.on_frame(frame, message.monotonic_ns)
        for leg_id in {frame.leg_id for frame in message.frames}:
            if (leg := self._legs.get(leg_id)) is not None:
                leg.due(request)
        return request

    def _on_event(self, event: pb.LegEvent) -> None:
        leg = self._legs.get(event.leg_id)
        match event.WhichOneof("event"):
            case "dialed":
                self._dialed(event)
            case "established" if leg is not None:
                leg.start(event.established)
            case "ended" if leg is not None:
                leg.lost_packets = event.ended.stats.rx_lost
                leg.end(ended_reason(event.ended))
            case "command_failed":
                self._failed(event, leg)
            case _:
                # Incoming calls, DTMF, hold: a test caller has no use for them.
                return

    def _dialed(self, event: pb.LegEvent) -> None:
        leg = SipLeg(event.leg_id)
        leg.close_leg = self._hangup
        self._legs[leg.leg_id] = leg
        if (dialed := self._dials.get(event.dialed.dial_id)) is not None and not dialed.done():
            dialed.set_result(leg)

    def _failed(self, event: pb.LegEvent, leg: SipLeg | None) -> None:
        failed = event.command_failed
        if failed.dial_id and (dialed := self._dials.get(failed.dial_id)) is not None and not dialed.done():
            dialed.set_exception(UnavailableError(f"Cannot call: {failed.message}."))
        elif leg is not None and failed.command == "play":
            leg.fault = failed.message


def ended_reason(ended: pb.Ended) -> str:
    """ "rejected, SIP 486 Busy Here"; words of the contract, no personal data."""
    cause = pb.Ended.Cause.Name(ended.cause).removeprefix("CAUSE_").lower()
    status = f", SIP {ended.sip_status} {ended.reason}".rstrip() if ended.sip_status else ""
    return f"{cause}{status}"


def caller_role(target: str, ports: list[int], max_calls: int) -> tuple[str, ...]:
    """Settings that make a telephony worker a test caller beside a stack on the same machine."""
    local = local_address(target)
    return (
        "telephony.host=127.0.0.1",
        "telephony.target=",
        f"telephony.port={ports[0]}",
        "telephony.metrics_port=0",
        f"telephony.sip.bind={local}",
        f"telephony.sip.port={ports[1]}",
        "telephony.sip.registrar=",
        "telephony.sip.user=caller",
        "telephony.sip.rtp_ports=30000,33999",
        "telephony.jitter_buffer=off",
        f"telephony.poll_ms={_POLL_MS if max_calls < _MANY else _POLL_MANY_MS}",
        f"telephony.committed_ms={_COMMITTED_MS}",
        "telephony.tx_times=true",
        "telephony.max_calls_per_s=25",
        f"telephony.max_calls={max_calls}",
        "rpc.drain_s=1",
    )


def local_address(target: str) -> str:
    """The address of this machine from which `target` (a SIP URI) is reached. Nothing is sent."""
    host = target.split("@")[-1].removeprefix("sips:").removeprefix("sip:").split(";")[0]
    name = host.rsplit(":", 1)[0] if ":" in host and not host.endswith("]") else host
    family = socket.AF_INET6 if name.startswith("[") else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        try:
            # Connecting a UDP socket only asks the routing table.
            probe.connect((name.strip("[]"), 9))
        except OSError as error:
            raise UnavailableError(
                f"{name} cannot be reached from here: {error.strerror}.", remedy="Check the host of the SIP URI."
            ) from error
        return str(probe.getsockname()[0])


def free_ports(count: int) -> list[int]:
    """Ports free for TCP and UDP on loopback right now."""
    found: list[int] = []
    held: list[socket.socket] = []
    try:
        while len(found) < count:
            tcp, udp = socket.socket(), socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            held += [tcp, udp]
            tcp.bind(("127.0.0.1", 0))
            port = int(tcp.getsockname()[1])
            try:
                udp.bind(("127.0.0.1", port))
            except OSError:
                continue
            found.append(port)
    finally:
        for one in held:
            one.close()
    return found
