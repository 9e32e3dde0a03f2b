"""More SIP callers than the model can serve: the same load with admission off and on, in one run.

    python -m benchmarks.admission [--models fake|real] [--callers N] [--every S] [--turns N] [--out FILE.json]

Real SIP calls on a real stack. With `--models fake` the four model services are scripted: they understand nothing, and
the language model has one place and declared, slow times (so its capacity is known), for which calls queue. With
`real` they are those of the cpu profile. Callers come one after the other and stay; both arms have the same arrivals.
Times are heard in the audio: from the end of the caller's speech to the agent's first. Spoken fillers are off in both
arms: "One moment." after 800 ms would be what is heard first and hide every longer wait.

What a refused caller is told is read from the wire: each must have had SIP 503 with a Retry-After of 1 to 60 s. Right
after each refusal a browser's offer is made over HTTP; refused, it must have HTTP 503 with Retry-After. Exit status 1
when one had not, or when admission refused nobody.
"""

import argparse
import asyncio
import json
import os
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.sip_tap import FinalAnswer, SipTap
from services.cli.api import Api
from services.cli.caller import CallRefusedError, Dialer
from services.cli.caller_role import free_ports
from services.cli.clips import Clip, human_speech
from services.cli.conversation import Conversation, Manners, plan_lines
from services.cli.dialers import open_dialer, stack_target
from services.cli.lossy_relay import target_of
from services.cli.machine import commit, machine
from services.cli.measure import hear_turns
from services.cli.stack import SCRIPTED, Launch
from services.cli.terminal import Interrupts, StackView
from services.cli.up import started_stack
from services.cli.webrtc_caller import WebRtcDialer
from services.common.clock import Clock, SystemClock, sleep_s
from services.common.errors import InvalidInputError, TrunklineError
from services.common.models import ModelStore
from services.common.settings import Settings, load_settings
from services.orchestrator.admission import percentile

# In both arms, whatever the models.
NO_FILLER = "orchestrator.turns.filler_ms=0"
# One place; a reply keeps it for ttft + words / rate. Short sentences, so that turns come fast.
SLOW_MODEL = (
    "scripted.llm_slots=1",
    "scripted.llm_ttft_ms=400",
    "scripted.llm_tokens_per_s=10",
    "llm.max_tokens=4",
    "agent.greeting=Hello.",
    NO_FILLER,
)
REAL_MODELS = ("agent.greeting=Hello.", NO_FILLER)
MODELS = {
    "fake": "fake: scripted models that understand nothing; the language model has one place, and declared times",
    "real": "the real models of the cpu profile",
}
MANNERS = Manners(agent_done_ms=400)
SANE_RETRY_S = range(1, 61)
_SERVICES = ("vad", "asr", "llm", "tts", "telephony")


@dataclass
class Outcome:
    """What the callers of one run met. `waits_ms`: voice-to-voice of every answered turn, with when it began."""

    refused: list[str] = field(default_factory=list)
    taken: int = 0
    waits_ms: list[tuple[float, float]] = field(default_factory=list)
    # Every turn by how it went; those that were not answered as they should be have no voice-to-voice.
    outcomes: Counter[str] = field(default_factory=Counter)
    # Calls that were taken and did not come to their end, by what was said of it.
    broken: Counter[str] = field(default_factory=Counter)

    def p95_ms(self, from_s: float = 0.0) -> float | None:
        """Of the turns that began so long after the first call, or later."""
        waits = sorted(ms for at_s, ms in self.waits_ms if at_s >= from_s)
        return percentile(waits, 0.95) if waits else None

    def to_json(self) -> dict[str, Any]:
        """For the result file."""
        waits = sorted(ms for _, ms in self.waits_ms)
        callers = self.taken + len(self.refused)
        return {
            "callers": callers,
            "taken": self.taken,
            "refused": len(self.refused),
            "refused_share": round(len(self.refused) / callers, 3) if callers else None,
            "refusals": sorted(set(self.refused)),
            "turns": len(waits),
            "outcomes": dict(self.outcomes),
            "broken": dict(self.broken),
            "voice_to_voice_p50_ms": round(percentile(waits, 0.5), 1) if waits else None,
            "voice_to_voice_p95_ms": round(percentile(waits, 0.95), 1) if waits else None,
        }


@dataclass
class Offers:
    """A browser that asks whenever a SIP caller was refused."""

    settings: Settings
    dialer: WebRtcDialer
    refused: list[tuple[int, int | None]] = field(default_factory=list)
    # What was said of it: which of admission's reasons.
    said: Counter[str] = field(default_factory=Counter)
    taken: int = 0

    async def ask(self) -> None:
        """One offer; a call that is taken after all is hung up at once."""
        try:
            leg = await self.dialer.dial(stack_target("webrtc", self.settings).address)
        except CallRefusedError as error:
            self.refused.append((error.http_status, error.retry_after_s))
            self.said[error.message] += 1
            return
        self.taken += 1
        await leg.hangup()

    def to_json(self) -> dict[str, Any]:
        """Answers to the refused, and how many were taken: the verdict had changed by then."""
        return {
            "made": len(self.refused) + self.taken,
            "refused": len(self.refused),
            "taken": self.taken,
            "said": dict(self.said),
            "http_status": sorted({status for status, _ in self.refused}),
            "retry_after_s": sorted({str(value) for _, value in self.refused}),
        }


async def flood(
    dialer: Dialer,
    target: str,
    said: Sequence[Clip],
    clock: Clock,
    *,
    callers: int,
    every_s: float,
    turns: int,
    offers: Offers | None = None,
) -> Outcome:
    """Callers come every so often, whatever happens to those before them; each says its turns and hangs up."""
    outcome, begun_ns = Outcome(), clock.now_ns()

    async def one(number: int) -> None:
        await sleep_s(clock, number * every_s)
        try:
            leg = await dialer.dial(target)
        except TrunklineError as error:
            outcome.refused.append(error.message)
            if offers is not None:
                await offers.ask()
            return
        outcome.taken += 1
        lines = plan_lines(said, turns, 0, 0, number)
        try:
            utterances = await Conversation(leg, clock, MANNERS).run(lines)
        except TrunklineError as error:
            # A call that breaks is a result, and its turns are not known.
            outcome.broken[error.message] += 1
            return
        for turn in hear_turns(utterances, leg.sent, leg.heard):
            outcome.outcomes[turn.outcome] += 1
            if turn.voice_to_voice_ms is not None and turn.answer_ns is not None:
                outcome.waits_ms.append(((turn.answer_ns - begun_ns) / 1e9, turn.voice_to_voice_ms))
        await leg.hangup()

    await asyncio.gather(*(one(number) for number in range(callers)))
    return outcome


def told_rightly(refused: int, answers: Sequence[FinalAnswer], offers: Sequence[tuple[int, int | None]]) -> list[str]:
    """What is wrong with how the refused were told; empty: nothing. `refused`: SIP callers that were not taken."""
    wrong = []
    if len(answers) != refused:
        wrong.append(f"{refused} SIP callers were refused, {len(answers)} final answers were seen on the wire")
    for status, retry_after_s in [*((a.status, a.retry_after_s) for a in answers), *offers]:
        if status != 503 or retry_after_s not in SANE_RETRY_S:
            wrong.append(f"expected 503 with Retry-After from 1 to 60 s, got {status} with {retry_after_s}")
    return wrong


async def measure(arguments: argparse.Namespace, *, admission: bool) -> dict[str, Any]:
    """One stack, one flood."""
    clock = SystemClock()
    said = [clip for clip in human_speech(ModelStore(load_settings().models)) if clip.seconds < 2]
    with tempfile.TemporaryDirectory(prefix="tl") as folder:
        launch = arm(arguments, folder, admission=admission)
        settings = launch.settings
        if settings.orchestrator.turns.filler_ms:
            raise InvalidInputError("orchestrator.turns.filler_ms", expected="0 in both arms", got="another")
        async with started_stack(launch, clock, Interrupts(), StackView(as_json=False)):
            async with Api(settings) as api:
                services = (await api.about())["services"]
            target, load = stack_target("sip", settings), os.getloadavg()[0]
            offers = Offers(settings, WebRtcDialer(clock))
            async with (
                SipTap(target_of(target.address)) as tap,
                open_dialer(target, launch, clock, max_calls=arguments.callers + 1) as opened,
            ):
                outcome = await flood(
                    opened.dialer,
                    tap.uri,
                    said,
                    clock,
                    callers=arguments.callers,
                    every_s=arguments.every,
                    turns=arguments.turns,
                    offers=offers,
                )
            await offers.dialer.close()
    answers = tap.refusals()
    return {
        "admission": admission,
        "target_p95_ms": arguments.target,
        "filler_ms": settings.orchestrator.turns.filler_ms,
        "load_average": [round(load, 1), round(os.getloadavg()[0], 1)],
        **outcome.to_json(),
        "sip_refusals": {
            "seen": len(answers),
            "status": sorted({answer.status for answer in answers}),
            "retry_after_s": sorted({str(answer.retry_after_s) for answer in answers}),
        },
        "http_offers": offers.to_json(),
        "wrong": told_rightly(len(outcome.refused), answers, offers.refused),
        "services": {
            name: {"engine": one.get("engine"), "models": [m.get("name") for m in one.get("models", [])]}
            for name, one in services.items()
            if name in ("vad", "asr", "llm", "tts") and isinstance(one, dict)
        },
    }


def arm(arguments: argparse.Namespace, folder: str, *, admission: bool) -> Launch:
    """The stack of one arm: free ports, and admission as told; all else is the same in both."""
    ports = free_ports(len(_SERVICES) + 2)
    return Launch.load(
        None,
        "cpu",
        [
            *((*SCRIPTED, *SLOW_MODEL) if arguments.models == "fake" else REAL_MODELS),
            *(f"{name}.port={port}" for name, port in zip(_SERVICES, ports, strict=False)),
            *(f"{name}.metrics_port=0" for name in (*_SERVICES, "orchestrator")),
            f"telephony.sip.port={ports[-2]}",
            f"web.port={ports[-1]}",
            f"data_dir={folder}",
            f"orchestrator.admission.enabled={str(admission).lower()}",
            f"orchestrator.admission.target_p95_ms={arguments.target}",
            "rpc.drain_s=1",
        ],
    )


async def main() -> int:
    """Both arms, one after the other."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", choices=list(MODELS), default="fake")
    parser.add_argument("--callers", type=int, default=12)
    parser.add_argument("--every", type=float, default=2.0, metavar="S", help="seconds between callers")
    parser.add_argument("--turns", type=int, default=8, help="of each caller")
    parser.add_argument("--target", type=int, default=2200, metavar="MS", help="orchestrator.admission.target_p95_ms")
    parser.add_argument("--out", type=Path, help="write a JSON file")
    arguments = parser.parse_args()
    rows = [await measure(arguments, admission=admission) for admission in (False, True)]
    without, with_it = rows
    wrong = [*without["wrong"], *with_it["wrong"]]
    if not with_it["refused"]:
        wrong.append("admission refused nobody: the model can serve this load, and nothing was compared")
    document = {
        "what": "benchmarks.admission",
        "commit": commit(),
        "machine": (await machine()).to_json(),
        "models": MODELS[arguments.models],
        "declared": list(SLOW_MODEL) if arguments.models == "fake" else list(REAL_MODELS),
        "arrivals": {"callers": arguments.callers, "every_s": arguments.every, "turns": arguments.turns},
        "rows": rows,
        "wrong": wrong,
    }
    print(json.dumps(document, indent=2))
    if arguments.out:
        arguments.out.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
