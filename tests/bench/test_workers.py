"""Two orchestrator workers under real calls: shared, each call with its worker; killed, restarted. Scripted models."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import pytest

from services.cli.api import Api
from services.cli.caller import CallerLeg, Dialer
from services.cli.clips import Clip
from services.cli.conversation import Conversation, Manners, plan_lines
from services.cli.dialers import open_dialer, stack_target
from services.cli.supervisor import Supervisor
from services.common.clock import SystemClock
from services.orchestrator.node import worker_of
from tests.bench.scripted_stack import Stack, scripted_stack
from tests.bench.test_planted_delay import clips

CLOCK = SystemClock()
MANNERS = Manners(agent_done_ms=400)


@dataclass
class Machine:
    """A stack with two workers and a caller of its own."""

    stack: Stack
    api: Api
    dialer: Dialer
    said: list[Clip]

    @property
    def workers(self) -> Supervisor:
        return self.stack.supervisor("orchestrator")

    def pid(self, worker: int) -> int:
        return self.workers.pids[f"orchestrator-{worker}"]

    async def call(self, transport: str = "sip") -> tuple[CallerLeg, int]:
        """A call that has been greeted, and its worker."""
        leg = await self.dialer.dial(stack_target(transport, self.stack.launch.settings).address)
        call_id = leg.call_id or await self.api.call_id(leg.peer_reference)
        worker = worker_of(call_id)
        assert worker
        return leg, worker

    async def talk(self, leg: CallerLeg) -> None:
        """Two turns, both answered."""
        lines = plan_lines(self.said, 2, 0, 0, 0)
        turns = await Conversation(leg, CLOCK, MANNERS).run(lines)
        assert len(turns) == 2
        assert leg.ended == ""


@asynccontextmanager
async def machine(*pairs: str, transport: str = "sip") -> AsyncIterator[Machine]:
    said = clips()
    async with scripted_stack("orchestrator.workers=2", "telephony.client_grace_s=0.5", *pairs) as stack:
        settings = stack.launch.settings
        target = stack_target(transport, settings)
        async with Api(settings) as api, open_dialer(target, stack.launch, CLOCK, max_calls=8) as opened:
            yield Machine(stack, api, opened.dialer, said)


async def until(condition, deadline_s: float = 15.0) -> None:
    async with asyncio.timeout(deadline_s):
        while not condition():  # noqa: ASYNC110 (the condition is in another process)
            await asyncio.sleep(0.05)


@pytest.mark.slow
@pytest.mark.models
@pytest.mark.timeout(120)
async def test_a_killed_worker_ends_its_own_call_and_the_other_worker_s_goes_on() -> None:
    async with machine() as it:
        (first, killed), (second, other) = await it.call(), await it.call()
        assert {killed, other} == {1, 2}
        died = it.pid(killed)
        os.kill(died, signal.SIGKILL)
        talking = asyncio.create_task(it.talk(second))
        await until(lambda: first.ended)
        assert first.ended.startswith("remote_bye")
        # A caller who comes now is taken by the worker that is left, or by the one that is back already.
        third, takes = await it.call()
        back_already = it.workers.pids.get(f"orchestrator-{killed}") not in (None, died)
        assert takes == other or back_already
        await talking
        await it.workers.until_ready(30)
        fourth, fourth_takes = await it.call()
        # Whoever carries less gets the call: of the two, the one that was killed.
        assert fourth_takes == killed or takes == killed
        for leg in (second, third, fourth):
            await leg.hangup()


@pytest.mark.slow
@pytest.mark.models
@pytest.mark.timeout(120)
async def test_a_rolling_restart_drops_no_call_and_refuses_none() -> None:
    async with machine() as it:
        before = [it.pid(1), it.pid(2)]
        (first, one), (second, two) = await it.call(), await it.call()
        assert {one, two} == {1, 2}
        rolling = asyncio.create_task(it.workers.restart_in_turn())
        stays, goes = (first, second) if one == 1 else (second, first)
        await until(lambda: any(view.state == "retiring" for view in it.workers.views))
        # Worker 1 retires while its call goes on; worker 2 takes who comes.
        talking = asyncio.create_task(it.talk(stays))
        third, takes = await it.call()
        assert takes == 2
        await talking
        assert it.pid(1) == before[0]
        await stays.hangup()
        await until(lambda: it.workers.pids.get("orchestrator-1") not in (None, before[0]))
        assert goes.ended == third.ended == ""
        await until(lambda: it.workers.views[-1].state == "retiring", 30)
        fourth, takes = await it.call()
        assert takes == 1
        await it.talk(goes)
        for leg in (goes, third):
            await leg.hangup()
        await asyncio.wait_for(rolling, 30)
        assert fourth.ended == ""
        assert it.pid(1) not in before
        assert it.pid(2) not in before
        await fourth.hangup()


@pytest.mark.slow
@pytest.mark.models
@pytest.mark.timeout(120)
async def test_browsers_share_the_workers_and_find_their_call_again_behind_one_port() -> None:
    async with machine(transport="webrtc") as it:
        (first, one), (second, two) = await it.call("webrtc"), await it.call("webrtc")
        assert {one, two} == {1, 2}
        await asyncio.gather(it.talk(first), it.talk(second))
        for leg in (first, second):
            seen = []
            async for event in it.api.events(leg.call_id, leg.token):
                seen.append(event["type"])
                if event["type"] == "AgentSpeechStarted":
                    break
            assert seen[0] == "CallStarted"
        assert {sample.call_id for sample in await it.api.stages(0)} >= {first.call_id, second.call_id}
        await it.api.hang_up(first.call_id)
        await until(lambda: first.ended)
        assert second.ended == ""
        await second.hangup()
