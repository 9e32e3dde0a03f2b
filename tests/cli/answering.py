"""The simplest agent: a real telephony worker whose client answers every call, greets with a burst and answers
each thing the caller says with another, a fixed time after its end."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import numpy as np

from services.cli.caller_role import caller_role, free_ports
from services.cli.measure import dbfs
from services.cli.stack import Launch, launch_specs, sip_uri
from services.cli.supervisor import Supervisor
from services.common.clock import SystemClock
from services.common.rpc_client import open_channel
from services.pb.trunkline.telephony.v1 import telephony_pb2 as pb
from services.pb.trunkline.telephony.v1 import telephony_pb2_grpc as pb_grpc
from tests.cli.signals import burst

QUIET_FRAMES = 10


class Agent:
    """One call: `quiet` counts frames of silence after speech; at ten (200 ms) the answer begins."""

    def __init__(self, rate_hz: int) -> None:
        self.rate_hz = rate_hz
        self.pending = burst(800, rate_hz)
        self.heard = False
        self.quiet = 0

    def hear(self, pcm: bytes) -> None:
        loud = dbfs(np.frombuffer(pcm, dtype="<i2")) > -45
        self.quiet = 0 if loud else self.quiet + 1
        self.heard = self.heard or loud
        if self.heard and loud and len(self.pending):
            self.pending = self.pending[:0]
        if self.heard and self.quiet == QUIET_FRAMES:
            self.heard = False
            self.pending = burst(900, self.rate_hz)

    def answer(self) -> None:
        self.pending = burst(900, self.rate_hz)

    def say(self) -> bytes:
        size = self.rate_hz // 50
        frame, self.pending = self.pending[:size], self.pending[size:]
        return frame.astype("<i2").tobytes() if len(frame) == size else b""


@asynccontextmanager
async def answering_worker(tmp_path: Path, *pairs: str, told: list[str] | None = None) -> AsyncIterator[str]:
    """Yields the SIP URI to call; `told` gets who calls (From URI) and every key."""
    clock = SystemClock()
    ports = free_ports(2)
    role = caller_role("sip:127.0.0.1", ports, 60)
    launch = Launch.load(None, "cpu", [*role, "telephony.sip.rtp_ports=26000,29999", *pairs])
    stack = Supervisor(launch_specs(launch, ["telephony"], clock), tmp_path / "logs", clock)
    stack.start()
    channel = open_channel(launch.settings.telephony.address(), launch.settings.rpc)
    task = None
    try:
        await stack.until_ready(30)
        task = asyncio.create_task(_answer(channel, [] if told is None else told))
        yield sip_uri(launch.settings)
    finally:
        if task:
            task.cancel()
        await channel.close()
        await stack.stop()


async def _answer(channel, told: list[str]) -> None:
    stream = pb_grpc.TelephonyServiceStub(channel).Media()
    await stream.write(pb.MediaRequest(attach=pb.Attach(name="answering")))
    agents: dict[int, Agent] = {}
    async for message in stream:
        out = pb.MediaRequest()
        for event in message.events:
            kind = event.WhichOneof("event")
            if kind == "incoming":
                told.append(event.incoming.from_uri)
                out.commands.append(pb.Command(leg_id=event.leg_id, answer=pb.Answer()))
            elif kind == "established":
                agents[event.leg_id] = Agent(event.established.tx_sample_rate_hz)
            elif kind == "dtmf":
                told.append(event.dtmf.digit)
                agents[event.leg_id].answer()
            elif kind == "ended":
                agents.pop(event.leg_id, None)
        for frame in message.frames:
            if frame.pcm and (agent := agents.get(frame.leg_id)):
                agent.hear(frame.pcm)
                if pcm := agent.say():
                    out.frames.add(leg_id=frame.leg_id, pcm=pcm)
        if out.frames or out.commands:
            await stream.write(out)
