"""One cell of a benchmark on a stack that is ready: place its calls, let them talk, analyse what they heard."""

import asyncio
import contextlib
import os
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from services.cli.api import Api
from services.cli.benchmark.bad_line import BadLine, open_line
from services.cli.benchmark.excerpts import Excerpt, cut_excerpts
from services.cli.benchmark.noisy_leg import NoisyLeg
from services.cli.benchmark.per_worker import worker_rows
from services.cli.benchmark.request import BenchRequest, Cell
from services.cli.benchmark.result import BenchData, CallResult, cell_result
from services.cli.benchmark.scripts import Voices, has_noise, plan
from services.cli.benchmark.sounds import noise
from services.cli.caller import CallerLeg, CallRefusedError
from services.cli.conversation import Conversation, Line, Manners, Moment, plan_lines
from services.cli.declared import declared, is_scripted
from services.cli.measure import Utterance, dropped_frames, hear_asides, hear_turns
from services.cli.recording import save_stereo
from services.cli.resources import ResourceMeter, listening_pids
from services.cli.stack import local_services
from services.cli.up import RunningStack
from services.common.clock import Clock
from services.common.errors import TrunklineError
from services.orchestrator import node

# Above the stack's processes, below its real-time sender thread.
_CALLER_NICE = -8
# Words of the scripted reply until its first clause is whole ("Sure,"): see services/llm/scripted.py.
SCRIPTED_CLAUSE_TOKENS = 1
# Calls begin within this long of one another, per call: fast enough to overlap, slow enough for the trunk.
RAMP_S_PER_CALL = 0.4
_LEAST_RAMP_S = 1.0
# A stage time may reach the stack's ring a moment after its call has ended.
_SETTLE_S = 0.3


@dataclass(frozen=True, slots=True)
class CellRun:
    """A cell's document, and the turns worth listening to."""

    document: dict[str, Any]
    excerpts: list[Excerpt]


def start_times_s(calls: int, seed: int) -> list[float]:
    """Open loop: when each call begins, uniformly over the ramp, whatever the earlier ones do."""
    ramp_s = max(_LEAST_RAMP_S, calls * RAMP_S_PER_CALL)
    generator = random.Random(seed)
    return sorted(round(generator.uniform(0, ramp_s), 3) for _ in range(calls)) if calls > 1 else [0.0]


def prefer_callers(pids: Sequence[int]) -> bool:
    """Let the callers run before the stack where we may: an instrument that is late measures itself.

    The stack keeps its own priority: it was started before.
    """
    try:
        for pid in (0, *pids):
            os.setpriority(os.PRIO_PROCESS, pid, _CALLER_NICE)
    except (PermissionError, ProcessLookupError):
        return False
    return True


async def run_cell(
    cell: Cell,
    request: BenchRequest,
    stack: RunningStack,
    voices: Voices,
    clock: Clock,
    turn_done: Callable[[], None] = lambda: None,
) -> CellRun:
    """Raises TrunklineError when the callers cannot be started or the stack does not answer."""
    settings = stack.launch.settings
    async with Api(settings) as api, open_line(cell, request, stack.launch, clock) as line:
        callers = _Callers(cell, request, line, api, voices, clock, turn_done)
        for _ in range(request.warmup):
            await callers.warm_up()
        pids = {**(stack.pids or listening_pids(settings, local_services(settings))), **line.pids}
        preferred = prefer_callers(list(line.pids.values()))
        meter = ResourceMeter(pids, clock, own_name="caller (this command)")
        meter.begin()
        following = asyncio.create_task(meter.follow())
        since_ns = clock.now_ns()
        try:
            calls = await callers.run()
        finally:
            following.cancel()
        meter.end()
        await clock.sleep_until_ns(clock.now_ns() + int(_SETTLE_S * 1e9))
        samples = await api.stages(since_ns)
        lost = line.lost_share()
    await asyncio.to_thread(_analyse, calls, request.record)
    excerpts = await asyncio.to_thread(cut_excerpts, cell, calls)
    for call in calls:
        call.leg = None
    known = {call.call_id for call in calls if call.call_id}
    data = BenchData(
        calls,
        [s for s in samples if not known or s.call_id in known],
        declared(settings, SCRIPTED_CLAUSE_TOKENS) if is_scripted(settings) else None,
        # An adaptive jitter buffer grows with the jitter; WebRTC's packets are taken before any.
        settings.telephony.jitter_buffer_ms[1] if cell.transport == "sip" else 0,
    )
    facts = {
        "cell": {
            "transport": cell.transport,
            "calls": cell.calls,
            "script": cell.script,
            "turns_per_call": cell.turns,
            "codecs": sorted({call.codec for call in calls if call.codec}),
            "callers_preferred": preferred,
            **({"noise": request.noise, "snr_db": request.snr_db} if has_noise(cell.script) else {}),
            **({"caller_packets_lost": lost} if lost is not None else {}),
        },
        "stopped": callers.stopped,
    }
    minutes = sum(call.minutes for call in calls)
    processes = meter.to_json(minutes)
    rows = worker_rows(calls, node.workers(settings), data.declared, processes)
    return CellRun({**cell_result(data, facts, processes), "workers": rows}, excerpts)


class _Callers:
    """The calls of one cell, at start times fixed beforehand. `stopped` says why the cell ended early, if it did."""

    def __init__(
        self,
        cell: Cell,
        request: BenchRequest,
        line: BadLine,
        api: Api,
        voices: Voices,
        clock: Clock,
        turn_done: Callable[[], None],
    ) -> None:
        self._cell, self._request, self._line, self._api = cell, request, line, api
        self._voices, self._clock, self._turn_done = voices, clock, turn_done
        self._legs: list[CallerLeg] = []
        self._noise: dict[int, Any] = {}
        self.stopped = ""

    async def warm_up(self) -> None:
        """One call of one turn, not counted."""
        call = CallResult(0, 0, lines=plan_lines(self._voices.clips, 1, 0, 0, 0))
        await self._one(call, lambda _: None)

    async def run(self) -> list[CallResult]:
        """All calls, whatever becomes of each."""
        zero_ns = self._clock.now_ns()
        times = start_times_s(self._cell.calls, self._request.seed)
        calls = await asyncio.gather(*(self._later(i, zero_ns + int(at * 1e9)) for i, at in enumerate(times)))
        return [call for call in calls if call is not None]

    async def _later(self, index: int, at_ns: int) -> CallResult | None:
        request, cell = self._request, self._cell
        lines = plan(cell.script, self._voices, cell.turns, index, request.seed, request.talk)
        call = CallResult(index + 1, 0, lines=lines)
        await self._clock.sleep_until_ns(at_ns)
        if self.stopped:
            return None

        def tell(moment: Moment) -> None:
            if moment.kind == "caller_done":
                self._turn_done()

        await self._one(call, tell)
        if call.refused and not self.stopped:
            await self._stop(f"call {call.index} of {cell.calls} was refused: {call.error}")
        return call

    async def _stop(self, why: str) -> None:
        """More load than the stack takes: what it says of the calls in progress is no longer this cell."""
        self.stopped = why
        live = [leg for leg in self._legs if not leg.ended]
        await asyncio.gather(*(leg.hangup() for leg in live), return_exceptions=True)

    async def _one(self, call: CallResult, tell: Callable[[Moment], None]) -> None:
        """Fills `call`. A call that fails is a result, not the end of the benchmark."""
        call.started_ns = self._clock.now_ns()
        try:
            leg = await self._line.dial()
        except TrunklineError as error:
            call.error, call.refused = error.message, isinstance(error, CallRefusedError)
            call.ended_ns = self._clock.now_ns()
            return
        self._legs.append(leg)
        talk = Conversation(self._noisy(leg), self._clock, Manners(agent_done_ms=self._request.agent_done_ms), tell)
        try:
            call.codec = leg.codec
            call.call_id = await self._api.call_id(leg.peer_reference)
            call.said = self._audible(await talk.run(call.lines), call.lines, leg.sent.rate_hz)
            if leg.ended and not self.stopped:
                call.error = f"the call ended early: {leg.ended}"
            if talk.asides and call.call_id:
                call.completed_ns = await self._api.completed_ns(call.call_id)
        except TrunklineError as error:
            call.error = call.error or error.message
        finally:
            with contextlib.suppress(TrunklineError):
                await leg.hangup()
            call.ended_ns, call.ended = self._clock.now_ns(), leg.ended
            call.leg, call.beside = leg, talk.asides

    def _audible(self, said: Sequence[Utterance], lines: Sequence[Line], rate_hz: int) -> list[Utterance]:
        """In noise a caller's speech ends where it sinks below the noise: what is under it nobody can answer."""
        if not has_noise(self._cell.script):
            return list(said)
        snr_db = self._request.snr_db
        return [
            replace(one, end=one.start + line.clip.at(rate_hz).audible_samples(snr_db))
            for one, line in zip(said, lines, strict=False)
        ]

    def _noisy(self, leg: CallerLeg) -> CallerLeg:
        if not has_noise(self._cell.script):
            return leg
        rate, request = leg.sent.rate_hz, self._request
        if rate not in self._noise:
            self._noise[rate] = noise(request.noise, request.snr_db, rate, self._voices.clips, request.seed)
        return NoisyLeg(leg, self._noise[rate])


def _analyse(calls: Sequence[CallResult], record: Path | None) -> None:
    """Find the speech in every call. Only when all have ended: it would take the processor from the callers."""
    for call in calls:
        if call.leg is None or not call.leg.heard.samples:
            continue
        leg = call.leg
        call.turns = hear_turns(call.said, leg.sent, leg.heard)
        call.asides = hear_asides(call.beside, leg.sent, leg.heard, _limits(call), call.completed_ns)
        call.dropped_frames = dropped_frames(leg.heard)
        call.lost_packets = leg.lost_packets
        if record is not None:
            save_stereo(record / f"call{call.index:03d}.wav", leg.sent, leg.heard)


def _limits(call: CallResult) -> list[int]:
    """When the caller's next words began after each sound; the end of the call after the last."""
    assert call.leg is not None
    sent, heard = call.leg.sent, call.leg.heard

    def limit(aside: Utterance) -> int:
        following = next((said for said in call.said if said.start > aside.start), None)
        return sent.time_ns(following.start) if following else heard.time_ns(heard.samples)

    return [limit(aside) for aside in call.beside]
