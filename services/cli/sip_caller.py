"""Test callers over SIP: a second telephony worker in a role of its own (other ports, no jitter buffer).

The worker is the engine that the stack answers with; as a caller it runs in its own process, so that a fault on one
side is not shared by the other. One worker carries all calls of a benchmark over its one `Media` stream.
"""

import asyncio
import itertools
from pathlib import Path
from typing import Any

import grpc.aio

from services.cli.caller import CallRefusedError
from services.cli.caller_role import caller_role, free_ports
from services.cli.sip_leg import SipLeg, ended_reason
from services.cli.stack import Launch, launch_specs
from services.cli.supervisor import Supervisor
from services.common.clock import Clock
from services.common.errors import DeadlineError, TrunklineError, UnavailableError
from services.common.rpc_client import from_rpc_error, open_channel
from services.pb.trunkline.telephony.v1 import telephony_pb2 as pb
from services.pb.trunkline.telephony.v1 import telephony_pb2_grpc as pb_grpc

WORKER_READY_S = 30.0
DIAL_DEADLINE_S = 20.0


class SipDialer:
    """Places calls with one worker process. Use `async with`, or `start` and `close`."""

    def __init__(self, launch: Launch, clock: Clock, *, target: str, max_calls: int = 1, number: str = "") -> None:
        """`number`: who calls, as the From header says it; empty: nobody in particular."""
        ports = free_ports(2)
        identity = [f"telephony.sip.user={number}"] if number else []
        self._launch = launch.with_overrides(*caller_role(target, ports, max_calls), *identity)
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
        await self._write(pb.MediaRequest(attach=pb.Attach(name="caller")))
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
            raise CallRefusedError(f"The call was refused: {leg.ended}.")
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

    async def _press(self, leg_id: int, keys: str) -> None:
        await self._send(pb.Command(leg_id=leg_id, send_dtmf=pb.SendDtmf(digits=keys)))

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
        leg.press_keys = self._press
        self._legs[leg.leg_id] = leg
        if (dialed := self._dials.get(event.dialed.dial_id)) is not None and not dialed.done():
            dialed.set_result(leg)

    def _failed(self, event: pb.LegEvent, leg: SipLeg | None) -> None:
        failed = event.command_failed
        if failed.dial_id and (dialed := self._dials.get(failed.dial_id)) is not None and not dialed.done():
            dialed.set_exception(UnavailableError(f"Cannot call: {failed.message}."))
        elif leg is not None and failed.command in ("play", "send_dtmf"):
            leg.fault = f"{failed.command}: {failed.message}"
