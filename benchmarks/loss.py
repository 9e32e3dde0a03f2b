"""What loss, jitter and silence suppression do to what the stack hears: real calls over bad lines.

    python -m benchmarks.loss [--transport sip|webrtc] [--rounds 1] [--together 3] [--clips N] [--fec 10] [--json FILE]

A stack with the real recogniser and voice detector and scripted models behind them; one call per line quality and
round, in which the recorded speech set is said and answered sentence by sentence. Per quality: word error rate of
what the stack heard (against what was said, and against what it heard on the clean line), turns that were ended
inside a sentence, sentences without an answer, and how far the onset and end that the stack reports are from the
audio that was sent (ms, median and P95).

A WebRTC caller codes as a browser does that was told of `--fec` percent of loss: most packets of voice hold a copy of
the one before (how many is in the row). `--fec 0`: none does, as before a browser was told.
"""

import argparse
import asyncio
import contextlib
import json
import os
import tempfile
from collections.abc import AsyncIterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import jiwer
import numpy as np
from whisper_normalizer.english import EnglishTextNormalizer

from services.cli.api import Api
from services.cli.caller import CallerLeg
from services.cli.caller_role import free_ports
from services.cli.clips import Clip, human_speech
from services.cli.conversation import Conversation, Manners, plan_lines
from services.cli.lossy import LineQuality, LossyLine
from services.cli.lossy_relay import SipRelay, target_of
from services.cli.machine import commit, machine
from services.cli.sip_caller import SipDialer
from services.cli.stack import Launch, launch_specs, local_services, sip_uri, web_url
from services.cli.supervisor import Supervisor
from services.cli.webrtc_caller import WebRtcCaller, WebRtcDialer
from services.common.clock import SystemClock, sleep_s
from services.common.models import ModelStore
from services.common.settings import load_settings

CLOCK = SystemClock()
NORMAL = EnglishTextNormalizer()
QUALITIES = {
    "clean": LineQuality(),
    "loss 1 %": LineQuality(loss=0.01),
    "loss 3 %": LineQuality(loss=0.03),
    "loss 5 %": LineQuality(loss=0.05),
    "loss 10 %": LineQuality(loss=0.10),
    "loss 3 % in bursts of 4": LineQuality(loss=0.03, burst_packets=4),
    "loss 10 % in bursts of 4": LineQuality(loss=0.10, burst_packets=4),
    "jitter 20 ms": LineQuality(jitter_ms=20),
    "jitter 60 ms": LineQuality(jitter_ms=60),
    "jitter 60 ms, reordered": LineQuality(jitter_ms=60, reorder=True),
    "loss 3 %, jitter 60 ms": LineQuality(loss=0.03, jitter_ms=60),
    "silence suppressed": LineQuality(dtx=True),
    "silence suppressed, loss 3 %": LineQuality(dtx=True, loss=0.03),
}


@dataclass
class Heard:
    """What one line quality did, over all its calls."""

    said: list[str] = field(default_factory=list)
    heard: list[str] = field(default_factory=list)
    split: int = 0
    unheard: int = 0
    packets: int = 0
    lost: int = 0
    copies: int = 0
    onset_ms: list[float] = field(default_factory=list)
    end_ms: list[float] = field(default_factory=list)
    endpoint_ms: list[float] = field(default_factory=list)


def main() -> None:
    """Measure, print a line per quality, write JSON where asked."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--transport", default="sip", choices=["sip", "webrtc"])
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--clips", type=int, default=0, help="only so many of the shortest sentences")
    parser.add_argument("--only", default="", help="line qualities, separated by ';'")
    parser.add_argument("--together", type=int, default=3, help="calls at once")
    parser.add_argument("--fec", type=int, default=10, help="webrtc: the loss in percent that the caller codes for")
    parser.add_argument("--asr", default="whisper-tiny.en")
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    rows = asyncio.run(measure(args))
    document = {
        "what": f"{args.transport} calls over bad lines, {args.asr}",
        "machine": asdict(asyncio.run(machine())),
        "commit": commit(),
        "fec_for_percent": args.fec if args.transport == "webrtc" else 0,
        "load_average": os.getloadavg(),
        "rows": rows,
    }
    if args.json:
        args.json.write_text(json.dumps(document, indent=1), encoding="utf-8")


async def measure(args: argparse.Namespace) -> list[dict[str, Any]]:
    """All qualities on one stack."""
    clips = human_speech(ModelStore(load_settings().models))
    clips = clips[: args.clips] if args.clips else clips
    wanted = [name.strip() for name in args.only.split(";") if name.strip()]
    chosen = {
        name: quality
        for name, quality in QUALITIES.items()
        if (args.transport == "sip" or not quality.dtx) and (not wanted or name in wanted or name == "clean")
    }
    found = {name: Heard() for name in chosen}
    async with running_stack(args) as launch:
        room = asyncio.Semaphore(args.together)
        async with dialer_of(args, launch) as dialer, asyncio.TaskGroup() as tasks:
            for number in range(args.rounds):
                for name, quality in chosen.items():
                    seeded = LineQuality(**{**asdict(quality), "seed": 1 + number})
                    tasks.create_task(one_call(launch, dialer, clips, seeded, found[name], room))
    clean = found["clean"]
    rows = []
    for name, heard in found.items():
        rows.append(row(name, heard, clean))
        print(show(rows[-1]))
    return rows


@contextlib.asynccontextmanager
async def running_stack(args: argparse.Namespace) -> AsyncIterator[Launch]:
    """Real ears, scripted head and mouth, on free ports."""
    names = ("vad", "asr", "llm", "tts", "telephony")
    ports = free_ports(len(names) + 2)
    with tempfile.TemporaryDirectory(prefix="tl") as folder:
        pairs = [f"{name}.port={port}" for name, port in zip(names, ports, strict=False)]
        pairs += [f"{name}.metrics_port=0" for name in (*names, "orchestrator")]
        launch = Launch.load(
            None,
            "cpu",
            [
                *pairs,
                "llm.engine=scripted",
                "tts.engine=scripted",
                "llm.max_tokens=3",
                "agent.greeting=Hello.",
                f"asr.model={args.asr}",
                f"telephony.sip.port={ports[-2]}",
                f"web.port={ports[-1]}",
                "telephony.sip.rtp_ports=38000,39999",
                "telephony.sip.codecs=pcmu",
                "telephony.nice=0",
                # A busy machine refused calls with 503, and the run with them; what it costs shows on the clean line.
                "orchestrator.admission.enabled=false",
                f"data_dir={folder}",
                "rpc.drain_s=2",
            ],
        )
        services = local_services(launch.settings)
        supervisor = Supervisor(launch_specs(launch, services, CLOCK), Path(folder) / "logs", CLOCK)
        supervisor.start()
        try:
            await supervisor.until_ready(120)
            yield launch
        finally:
            await supervisor.stop()


@contextlib.asynccontextmanager
async def dialer_of(args: argparse.Namespace, launch: Launch) -> AsyncIterator[Any]:
    """One for all calls."""
    if args.transport == "sip":
        async with SipDialer(launch, CLOCK, target=sip_uri(launch.settings), max_calls=args.together) as dialer:
            yield dialer
    else:
        web = WebRtcDialer(CLOCK, args.fec)
        yield web
        await web.close()


async def one_call(
    launch: Launch, dialer: Any, clips: Sequence[Clip], quality: LineQuality, into: Heard, room: asyncio.Semaphore
) -> None:
    """Say every clip once; add what was heard."""
    async with room, contextlib.AsyncExitStack() as stack:
        if isinstance(dialer, SipDialer):
            relay = await stack.enter_async_context(SipRelay(target_of(sip_uri(launch.settings)), CLOCK, quality))
            leg: CallerLeg = await dialer.dial(f"sip:agent@{relay.address}")
            line = relay.calls[0].to_stack
        else:
            caller = await dialer.dial(web_url(launch.settings))
            line = LossyLine(quality)
            caller.lose(line)
            leg = caller
        manners = Manners(agent_done_ms=900, answer_deadline_ms=6000)
        async with Api(launch.settings) as api:
            events: list[dict[str, Any]] = []
            call_id = leg.call_id or await api.call_id(leg.peer_reference)
            listening = asyncio.create_task(collect(api, call_id, leg.token, events))
            said = await Conversation(leg, CLOCK, manners).run(plan_lines(clips, len(clips), 0, 0, offset=0))
            await sleep_s(CLOCK, 0.5)
            await leg.hangup()
            await asyncio.wait({listening}, timeout=5)
            listening.cancel()
    into.packets += line.passed + line.lost
    into.lost += line.lost
    into.copies += leg.copies if isinstance(leg, WebRtcCaller) else 0
    spans = [(leg.sent.time_ns(u.start), leg.sent.time_ns(u.end - 1)) for u in said]
    score(into, [clip.text for clip in clips], spans, events)


async def collect(api: Api, call_id: str, token: str, into: list[dict[str, Any]]) -> None:
    """The call's events until it ends."""
    async for event in api.events(call_id, token):
        into.append(event)


def score(into: Heard, texts: list[str], spans: list[tuple[int, int]], events: list[dict[str, Any]]) -> None:
    """Give every turn of the stack to the sentence during or after which it ended."""
    finals = {e["utterance"]: e["text"] for e in events if e["type"] == "FinalTranscript" and not e["provisional"]}
    starts = {e["utterance"]: e["onset_ns"] for e in events if e["type"] == "SpeechStarted"}
    ends = [e for e in events if e["type"] == "TurnEnded"]
    for index, (text, (start_ns, end_ns)) in enumerate(zip(texts, spans, strict=False)):
        until_ns = spans[index + 1][0] if index + 1 < len(spans) else end_ns + 10_000_000_000
        mine = [e for e in ends if start_ns <= e["at_ns"] < until_ns]
        into.said.append(NORMAL(text))
        into.heard.append(NORMAL(" ".join(finals.get(e["utterance"], "") for e in mine)))
        into.split += sum(1 for e in mine if e["at_ns"] < end_ns)
        into.unheard += not mine
        if mine:
            into.onset_ms.append((starts.get(mine[0]["utterance"], 0) - start_ns) / 1e6)
            into.end_ms.append((mine[-1]["last_voiced_ns"] - end_ns) / 1e6)
            into.endpoint_ms.append((mine[-1]["at_ns"] - end_ns) / 1e6)


def row(name: str, heard: Heard, clean: Heard) -> dict[str, Any]:
    """Figures of one quality."""
    times = (len(heard.heard) + len(clean.heard) - 1) // max(1, len(clean.heard))
    return {
        "line": name,
        "n": len(heard.said),
        "words": sum(len(s.split()) for s in heard.said),
        "packets": heard.packets,
        "lost_percent": round(100 * heard.lost / max(1, heard.packets), 2),
        "packets_with_copy": heard.copies,
        "wer_percent": round(100 * float(jiwer.wer(heard.said, heard.heard)), 1),
        "wer_to_clean_percent": round(
            100 * float(jiwer.wer((clean.heard * times)[: len(heard.heard)], heard.heard)), 1
        ),
        "ended_inside_a_sentence": heard.split,
        "without_an_answer": heard.unheard,
        **spread("onset_error", heard.onset_ms),
        **spread("end_error", heard.end_ms),
        **spread("endpoint", heard.endpoint_ms),
    }


def spread(name: str, values: list[float]) -> dict[str, float]:
    """Median and P95."""
    if not values:
        return {}
    p50, p95 = np.percentile(values, [50, 95])
    return {f"{name}_p50_ms": round(float(p50)), f"{name}_p95_ms": round(float(p95))}


def show(r: dict[str, Any]) -> str:
    """One line."""
    return (
        f"{r['line']:<30} n={r['n']:<4} lost {r['lost_percent']:4.1f} %   WER {r['wer_percent']:4.1f} "
        f"(to clean {r['wer_to_clean_percent']:4.1f}) %   cut {r['ended_inside_a_sentence']}, "
        f"unanswered {r['without_an_answer']}   onset {r.get('onset_error_p50_ms')}/{r.get('onset_error_p95_ms')}, "
        f"end {r.get('end_error_p50_ms')}/{r.get('end_error_p95_ms')}, "
        f"endpoint {r.get('endpoint_p50_ms')}/{r.get('endpoint_p95_ms')} ms"
    )


if __name__ == "__main__":
    main()
