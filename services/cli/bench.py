"""`trunkline bench`: N real calls on the stack, at start times fixed beforehand, measured by their own callers."""

import asyncio
import contextlib
import json
import os
import random
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from services.cli.api import Api
from services.cli.bench_result import BenchData, CallResult, result
from services.cli.clips import Clip, human_speech
from services.cli.conversation import Conversation, Line, Manners, Moment, plan_lines
from services.cli.declared import declared, is_scripted
from services.cli.dialers import OpenDialer, Target, open_dialer, stack_target
from services.cli.machine import commit, machine
from services.cli.measure import dropped_frames, hear_turns
from services.cli.recording import save_stereo
from services.cli.resources import ResourceMeter, listening_pids
from services.cli.stack import Launch, local_services
from services.cli.terminal import EXIT_FAILED, Interrupts, StackView
from services.cli.up import RunningStack, running_or_started
from services.common.clock import Clock
from services.common.errors import InvalidInputError, TrunklineError
from services.common.models import ModelStore

# Above the stack's processes, below its real-time sender thread.
_CALLER_NICE = -8
# Words of the scripted reply until its first clause is whole ("Sure,"): see services/llm/scripted.py.
SCRIPTED_CLAUSE_TOKENS = 1
# The longest clip that is said: a benchmark of long monologues measures little.
_LONGEST_CLIP_S = 5.0
# Calls begin within this long of one another, per call: fast enough to overlap, slow enough for the trunk.
_RAMP_S_PER_CALL = 0.4
_LEAST_RAMP_S = 1.0


@dataclass(frozen=True, slots=True)
class BenchRequest:
    """What the user asked for."""

    transport: str
    calls: int
    turns: int
    out: Path
    html: Path | None = None
    warmup: int = 1
    seed: int = 1
    barge_in_every: int = 5
    interrupt_after_ms: int = 900
    agent_done_ms: int = 900
    codec: str = "pcmu"
    record: Path | None = None

    def check(self) -> None:
        """Raises InvalidInputError for sizes that make no benchmark."""
        for name in ("calls", "turns"):
            if getattr(self, name) < 1:
                raise InvalidInputError(f"--{name}", expected="at least 1", got=str(getattr(self, name)))
        if not self.out.parent.exists():
            raise InvalidInputError("--out", expected="an existing directory", got=str(self.out.parent))


@dataclass(slots=True)
class Progressing:
    """Counts for the terminal."""

    turn_done: Callable[[], None] = lambda: None
    failures: list[str] = field(default_factory=list)


def start_times_s(calls: int, seed: int) -> list[float]:
    """Open loop: when each call begins, uniformly over the ramp, whatever the earlier ones do."""
    ramp_s = max(_LEAST_RAMP_S, calls * _RAMP_S_PER_CALL)
    generator = random.Random(seed)
    return sorted(round(generator.uniform(0, ramp_s), 3) for _ in range(calls)) if calls > 1 else [0.0]


async def bench(request: BenchRequest, launch: Launch, clock: Clock, interrupts: Interrupts, as_json: bool) -> int:
    """Returns 0 when every call was made and at least one turn was measured."""
    request.check()
    console = Console(stderr=True)
    clips = [c for c in human_speech(ModelStore(launch.settings.models)) if c.seconds <= _LONGEST_CLIP_S]
    async with running_or_started(launch, clock, interrupts, StackView(console=console)) as stack:
        document = await measure(request, stack, clips, clock, console)
    request.out.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    if request.html is not None:
        from services.cli.report import render

        request.html.write_text(render(document), encoding="utf-8")
    if as_json:
        Console().print_json(json.dumps({key: value for key, value in document.items() if key != "turns"}))
    else:
        for table in tables(document):
            console.print(table)
        console.print(f"written: {request.out}" + (f", {request.html}" if request.html else ""), highlight=False)
    measured = document["stages"]["voice_to_voice"]["n"]
    return 0 if measured and not document["calls"]["failed"] else EXIT_FAILED


async def measure(
    request: BenchRequest, stack: RunningStack, clips: Sequence[Clip], clock: Clock, console: Console
) -> dict[str, Any]:
    """Run the calls on a stack that is ready; returns the benchmark document."""
    settings = stack.launch.settings
    target = stack_target(request.transport, settings)
    async with (
        Api(settings) as api,
        open_dialer(target, stack.launch, clock, max_calls=request.calls + 1, codec=request.codec) as opened,
    ):
        about = await api.about()
        for _ in range(request.warmup):
            await _one_call(CallResult(0, 0), plan_lines(clips, 1, 0, 0, 0), request, target, opened, api, clock)
        pids = {**(stack.pids or listening_pids(settings, local_services(settings))), **opened.pids}
        preferred = prefer_callers(list(opened.pids.values()))
        meter = ResourceMeter(pids, clock, own_name="caller (this command)")
        meter.begin()
        following = asyncio.create_task(meter.follow())
        since_ns = clock.now_ns()
        try:
            calls = await _all_calls(request, target, opened, api, clips, clock, console)
        finally:
            following.cancel()
        meter.end()
        samples = await api.stages(since_ns)
    await _analyse(calls, request)
    known = {call.call_id for call in calls if call.call_id}
    samples = [s for s in samples if not known or s.call_id in known]
    data = BenchData(
        calls,
        samples,
        declared(settings, SCRIPTED_CLAUSE_TOKENS) if is_scripted(settings) else None,
        # An adaptive jitter buffer grows with the jitter; WebRTC's packets are taken before any.
        settings.telephony.jitter_buffer_ms[1] if request.transport == "sip" else 0,
    )
    minutes = sum(call.minutes for call in calls)
    facts = await _facts(request, stack, about, clock, calls)
    facts["request"]["callers_preferred"] = preferred
    return result(data, facts, meter.to_json(minutes))


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


async def _all_calls(
    request: BenchRequest,
    target: Target,
    opened: OpenDialer,
    api: Api,
    clips: Sequence[Clip],
    clock: Clock,
    console: Console,
) -> list[CallResult]:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    zero_ns = clock.now_ns()
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task(
            f"{request.calls} {request.transport} calls: turns", total=request.calls * request.turns
        )

        async def later(index: int, at_s: float) -> CallResult:
            call = CallResult(index + 1, 0)
            lines = plan_lines(clips, request.turns, request.barge_in_every, request.interrupt_after_ms, index)
            await clock.sleep_until_ns(zero_ns + int(at_s * 1e9))

            def tell(moment: Moment) -> None:
                if moment.kind == "caller_done":
                    progress.advance(task)

            await _one_call(call, lines, request, target, opened, api, clock, tell)
            return call

        times = start_times_s(request.calls, request.seed)
        return list(await asyncio.gather(*(later(index, at_s) for index, at_s in enumerate(times))))


async def _one_call(
    call: CallResult,
    lines: Sequence[Line],
    request: BenchRequest,
    target: Target,
    opened: OpenDialer,
    api: Api,
    clock: Clock,
    tell: Callable[[Moment], None] = lambda _: None,
) -> None:
    """Fills `call`. A call that fails is a result, not the end of the benchmark."""
    call.started_ns = clock.now_ns()
    try:
        leg = await opened.dialer.dial(target.address)
    except TrunklineError as error:
        call.error, call.ended_ns = error.message, clock.now_ns()
        return
    said = []
    try:
        call.codec = leg.codec
        call.call_id = await api.call_id(leg.peer_reference)
        manners = Manners(agent_done_ms=request.agent_done_ms)
        said = await Conversation(leg, clock, manners, tell).run(lines)
        if leg.ended:
            call.error = f"the call ended early: {leg.ended}"
    except TrunklineError as error:
        call.error = error.message
    finally:
        with contextlib.suppress(TrunklineError):
            await leg.hangup()
        call.ended_ns = clock.now_ns()
        call.ended = leg.ended
        call.leg, call.said = leg, said


async def _analyse(calls: Sequence[CallResult], request: BenchRequest) -> None:
    """Find the speech in every call. Only when all have ended: it would take the processor from the callers."""
    for call in calls:
        if call.leg is None:
            continue
        leg, call.leg = call.leg, None
        call.turns = await asyncio.to_thread(hear_turns, call.said, leg.sent, leg.heard)
        call.dropped_frames = await asyncio.to_thread(dropped_frames, leg.heard)
        call.lost_packets = leg.lost_packets
        if request.record is not None:
            await asyncio.to_thread(save_stereo, request.record / f"call{call.index:03d}.wav", leg.sent, leg.heard)


async def _facts(
    request: BenchRequest, stack: RunningStack, about: dict[str, Any], clock: Clock, calls: Sequence[CallResult]
) -> dict[str, Any]:
    asked = {key: value for key, value in asdict(request).items() if key not in ("out", "html", "record")}
    return {
        "benchmark": "trunkline-voice-to-voice/1",
        "when": clock.wall().isoformat(timespec="seconds"),
        "commit": commit(),
        "profile": stack.launch.settings.profile,
        "scripted": is_scripted(stack.launch.settings),
        "request": {**asked, "codecs": sorted({call.codec for call in calls if call.codec})},
        "machine": (await machine()).to_json(),
        "models": about.get("services", {}),
    }


def tables(document: dict[str, Any]) -> list[Table]:
    """The final tables on the terminal."""
    stages = Table(title="latency, ms", box=None, pad_edge=False)
    for column in ("stage", "n", "P50", "P95", "P99", ""):
        stages.add_column(column, justify="left" if column in ("stage", "") else "right")
    heard = document["method"]["from_audio"]
    for name, row in document["stages"].items():
        cells = [_cell(row[key]) for key in ("n", "p50_ms", "p95_ms", "p99_ms")]
        stages.add_row(name, *cells, "heard in the audio" if name in heard else "reported by the stack")
    for name, row in document["stages_reported"].items():
        cells = [_cell(row[key]) for key in ("n", "p50_ms", "p95_ms", "p99_ms")]
        stages.add_row(f"  {name}", *cells, "the stack's own figure")
    if (over := document["overhead"]) is not None:
        note = f"voice to voice minus {over['declared']['total_ms']:.0f} ms declared"
        stages.add_row("overhead", _cell(over["n"]), _cell(over["p50_ms"]), _cell(over["p95_ms"]), "", note)
    use = Table(title="processes", box=None, pad_edge=False)
    for column in ("process", "CPU s per call-minute", "RSS MB"):
        use.add_column(column, justify="left" if column == "process" else "right")
    for name, row in document["processes"].items():
        use.add_row(name, f"{row['cpu_s_per_call_minute']:.2f}", f"{row['rss_mb']:.0f}")
    agree = document["agreement"]["voice_to_voice"]
    share = (
        "no pairs"
        if agree["share_within"] is None
        else f"{agree['share_within']:.0%} within {agree['within_ms']:.0f} ms"
    )
    outcomes = ", ".join(f"{count} {name}" for name, count in document["outcomes"].items()) or "none"
    calls = document["calls"]
    summary = Table(box=None, pad_edge=False, show_header=False)
    summary.add_row("calls", f"{calls['started']} started, {calls['failed']} failed, {calls['minutes']} call-minutes")
    summary.add_row("turns", outcomes)
    summary.add_row("dropped frames", f"{document['dropped_frames']} (lost packets {document['lost_packets']})")
    summary.add_row("heard and reported", f"{share} (n={agree['n']}, median {_cell(agree['median_ms'])} ms)")
    for error in calls["errors"]:
        summary.add_row("failed", error)
    return [stages, use, summary]


def _cell(value: float | None) -> str:
    return "–" if value is None else f"{value:.0f}"
