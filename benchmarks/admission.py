"""More callers than the model can serve, with and without admission: who is refused, and how long the others wait.

    python -m benchmarks.admission [--callers N] [--every S] [--turns N] [--out FILE.json]

Real SIP calls on a real stack; the models are scripted, and the language model has one place and declared, slow times,
so that calls queue for it. Callers come one after the other and stay. Times are heard in the audio: from the end of the
caller's speech to the agent's first.
"""

import argparse
import asyncio
import json
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from services.cli.caller import Dialer
from services.cli.caller_role import free_ports
from services.cli.clips import Clip, human_speech
from services.cli.conversation import Conversation, Manners, plan_lines
from services.cli.dialers import open_dialer, stack_target
from services.cli.machine import commit, machine
from services.cli.measure import hear_turns
from services.cli.stack import SCRIPTED, Launch
from services.cli.terminal import Interrupts, StackView
from services.cli.up import started_stack
from services.common.clock import Clock, SystemClock, sleep_s
from services.common.errors import TrunklineError
from services.common.models import ModelStore
from services.common.settings import load_settings
from services.orchestrator.admission import percentile

# One place; a reply keeps it for ttft + words / rate. Short sentences, so that turns come fast.
SLOW_MODEL = (
    "scripted.llm_slots=1",
    "scripted.llm_ttft_ms=400",
    "scripted.llm_tokens_per_s=10",
    "llm.max_tokens=4",
    "agent.greeting=Hello.",
    # "One moment." after 800 ms would be what is heard first, and hide every longer wait.
    "orchestrator.turns.filler_ms=0",
)
MANNERS = Manners(agent_done_ms=400)


@dataclass
class Outcome:
    """What the callers of one run met. `waits_ms`: voice-to-voice of every answered turn, with when it began."""

    refused: list[str] = field(default_factory=list)
    taken: int = 0
    waits_ms: list[tuple[float, float]] = field(default_factory=list)
    unanswered: int = 0

    def p95_ms(self, from_s: float = 0.0) -> float | None:
        """Of the turns that began so long after the first call, or later."""
        waits = sorted(ms for at_s, ms in self.waits_ms if at_s >= from_s)
        return percentile(waits, 0.95) if waits else None

    def to_json(self) -> dict[str, Any]:
        """For the result file."""
        waits = sorted(ms for _, ms in self.waits_ms)
        return {
            "taken": self.taken,
            "refused": len(self.refused),
            "refusals": sorted(set(self.refused)),
            "turns": len(waits),
            "unanswered": self.unanswered,
            "voice_to_voice_p50_ms": round(percentile(waits, 0.5), 1) if waits else None,
            "voice_to_voice_p95_ms": round(percentile(waits, 0.95), 1) if waits else None,
        }


async def flood(
    dialer: Dialer, target: str, said: Sequence[Clip], clock: Clock, *, callers: int, every_s: float, turns: int
) -> Outcome:
    """Callers come every so often, whatever happens to those before them; each says its turns and hangs up."""
    outcome, begun_ns = Outcome(), clock.now_ns()

    async def one(number: int) -> None:
        await sleep_s(clock, number * every_s)
        try:
            leg = await dialer.dial(target)
        except TrunklineError as error:
            outcome.refused.append(error.message)
            return
        outcome.taken += 1
        lines = plan_lines(said, turns, 0, 0, number)
        utterances = await Conversation(leg, clock, MANNERS).run(lines)
        for turn in hear_turns(utterances, leg.sent, leg.heard):
            if turn.voice_to_voice_ms is not None and turn.answer_ns is not None:
                outcome.waits_ms.append(((turn.answer_ns - begun_ns) / 1e9, turn.voice_to_voice_ms))
            elif turn.outcome == "unanswered":
                outcome.unanswered += 1
        await leg.hangup()

    await asyncio.gather(*(one(number) for number in range(callers)))
    return outcome


async def measure(arguments: argparse.Namespace, *, admission: bool) -> dict[str, Any]:
    """One stack, one flood."""
    clock = SystemClock()
    said = [clip for clip in human_speech(ModelStore(load_settings().models)) if clip.seconds < 2]
    names = ("vad", "asr", "llm", "tts", "telephony")
    ports = free_ports(len(names) + 2)
    with tempfile.TemporaryDirectory(prefix="tl") as folder:
        launch = Launch.load(
            None,
            "cpu",
            [
                *SCRIPTED,
                *SLOW_MODEL,
                *(f"{name}.port={port}" for name, port in zip(names, ports, strict=False)),
                *(f"{name}.metrics_port=0" for name in (*names, "orchestrator")),
                f"telephony.sip.port={ports[-2]}",
                f"web.port={ports[-1]}",
                f"data_dir={folder}",
                f"orchestrator.admission.enabled={str(admission).lower()}",
                f"orchestrator.admission.target_p95_ms={arguments.target}",
                "rpc.drain_s=1",
            ],
        )
        view = StackView(as_json=False)
        async with started_stack(launch, clock, Interrupts(), view):
            target = stack_target("sip", launch.settings)
            async with open_dialer(target, launch, clock, max_calls=arguments.callers + 1) as opened:
                outcome = await flood(
                    opened.dialer,
                    target.address,
                    said,
                    clock,
                    callers=arguments.callers,
                    every_s=arguments.every,
                    turns=arguments.turns,
                )
    return {"admission": admission, "target_p95_ms": arguments.target, **outcome.to_json()}


async def main() -> None:
    """Both runs, one after the other."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--callers", type=int, default=12)
    parser.add_argument("--every", type=float, default=2.0, metavar="S", help="seconds between callers")
    parser.add_argument("--turns", type=int, default=8, help="of each caller")
    parser.add_argument("--target", type=int, default=2200, metavar="MS", help="orchestrator.admission.target_p95_ms")
    parser.add_argument("--out", type=Path, help="write a JSON file")
    arguments = parser.parse_args()
    rows = [await measure(arguments, admission=admission) for admission in (False, True)]
    document = {
        "what": "benchmarks.admission",
        "commit": commit(),
        "machine": (await machine()).to_json(),
        "model": list(SLOW_MODEL),
        "arrivals": {"callers": arguments.callers, "every_s": arguments.every, "turns": arguments.turns},
        "rows": rows,
    }
    print(json.dumps(document, indent=2))
    if arguments.out:
        arguments.out.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    asyncio.run(main())
