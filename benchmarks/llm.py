"""What a turn of the language model costs on this machine.

    python -m benchmarks.llm [--engine xllamacpp|vllm] [--threads N] [--slots N] [--repeat N] [--json FILE]

Over a real channel, one caller at a time: request → first token and → first clause (25 characters or a clause mark)
for prompts nothing is known of, for the next turn of a conversation, after `Warm` with the caller's words but the
last, after a cancelled stream, after another call's turn in the same slot; decoding speed; a JSON command. `computed`
is the number of prompt tokens that the cache did not have.
"""

import argparse
import asyncio
import json
import os
import platform
import re
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import jsonschema_rs
import numpy as np

from services.common.clock import SystemClock
from services.common.rpc_client import open_channel
from services.common.rpc_server import serve
from services.common.settings import Settings, load_settings
from services.llm.server import build
from services.pb.trunkline.common.v1 import common_pb2
from services.pb.trunkline.llm.v1 import llm_pb2 as pb
from services.pb.trunkline.llm.v1 import llm_pb2_grpc as rpc

CLOCK = SystemClock()
TIMEOUT_S = 120
CLAUSE_CHARS = 25
REPLY_TOKENS = 24
CLAUSE_MARK = re.compile(r"[,.;:!?…](\s|$)")
SAID = (
    "I would like to change my appointment on Friday please",
    "what are your opening hours at the weekend this month",
    "can you tell me where my parcel is at the moment",
    "how much does it cost to send a letter to Spain",
    "I was charged twice for the same order last week",
)
STORY = "Tell me a very long story about the sea, with every detail you can think of."
COMMAND = {
    "type": "object",
    "properties": {
        "act": {"enum": ["opening_hours", "change_appointment", "track_order", "refund", "other"]},
        "say": {"type": "string", "maxLength": 80},
    },
    "required": ["act", "say"],
    "additionalProperties": False,
}
Row = dict[str, Any]
if TYPE_CHECKING:
    Stub: TypeAlias = rpc.LlmServiceAsyncStub


@dataclass
class Turn:
    """What one stream showed; times in ms from the request."""

    ttft_ms: float = 0.0
    clause_ms: float = 0.0
    total_ms: float = 0.0
    tokens: int = 0
    computed: int = 0
    text: str = field(default="", repr=False)


@dataclass
class Samples:
    """Figures by name, in the order they first came."""

    values: dict[tuple[str, str], list[float]] = field(default_factory=dict)

    def add(self, what: str, unit: str, value: float) -> None:
        """One more."""
        self.values.setdefault((what, unit), []).append(value)

    def turn(self, case: str, turn: Turn) -> None:
        """The figures of a turn."""
        self.add(f"{case}: first token", "ms", turn.ttft_ms)
        self.add(f"{case}: first clause", "ms", turn.clause_ms)
        self.add(f"{case}: prompt tokens computed", "tokens", turn.computed)

    def rows(self) -> list[Row]:
        """n, P50 and P95 of each."""
        found = []
        for (what, unit), values in self.values.items():
            p50, p95 = np.percentile(values, (50, 95))
            found.append({"what": what, "unit": unit, "n": len(values), "p50": float(p50), "p95": float(p95)})
        return found


def main() -> None:
    """Measure, print a table, and write JSON where asked."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--engine", choices=["xllamacpp", "vllm", "scripted"], default="xllamacpp")
    parser.add_argument("--model", default=None)
    parser.add_argument("--threads", type=int, default=None)
    parser.add_argument("--slots", type=int, default=None)
    parser.add_argument("--repeat", type=int, default=20)
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    asked = {name: getattr(args, name) for name in ("engine", "model", "threads", "slots")}
    changes = {name: value for name, value in asked.items() if value is not None}
    settings = load_settings(overrides={"llm": changes})
    what, rows = asyncio.run(measure(settings, args.repeat))
    for row in rows:
        print(f"{row['what']:<52} n={row['n']:<4} P50 {row['p50']:8.1f}   P95 {row['p95']:8.1f} {row['unit']}")
    if args.json:
        facts = {"machine": platform.processor() or platform.machine(), "cpus": os.cpu_count(), "engine": what}
        args.json.write_text(json.dumps({**facts, "load": os.getloadavg(), "rows": rows}, indent=1), encoding="utf-8")


async def measure(settings: Settings, repeat: int) -> tuple[dict[str, str], list[Row]]:
    """Every case, `repeat` times; and what ran."""
    samples = Samples()
    async with service(settings) as stub:
        described = await stub.Describe(common_pb2.DescribeRequest(), timeout=TIMEOUT_S)
        what = {"engine": described.engine, "version": described.engine_version, **dict(described.details)}
        print(" ".join(f"{key}={value}" for key, value in what.items()))
        for number in range(repeat):
            await cold(stub, samples, settings, number)
            await conversation(stub, samples, settings, number)
            await json_command(stub, samples, settings, number)
    return what, samples.rows()


@asynccontextmanager
async def service(settings: Settings) -> AsyncIterator["Stub"]:
    """The service in this process, warm, behind a real channel."""
    started_ns = CLOCK.now_ns()
    server = await serve(build(settings, CLOCK), settings.rpc, CLOCK, host="127.0.0.1", port=0)
    print(f"ready after {(CLOCK.now_ns() - started_ns) / 1e9:.1f} s")
    try:
        async with open_channel(f"127.0.0.1:{server.port}", settings.rpc) as channel:
            yield rpc.LlmServiceStub(channel)
    finally:
        await server.stop()


async def cold(stub: "Stub", samples: Samples, settings: Settings, number: int) -> None:
    """A system prompt nobody has used yet: short, and of about 400 tokens."""
    short = f"Assistant {number}. {settings.agent.system_prompt}"
    samples.turn("cold, short prompt", await turn(stub, [_system(short), _user(SAID[number % len(SAID)])]))
    if number % 10 == 0:
        long = f"Manual {number}. " + " ".join(f"Rule {n}: be kind in case {n + number}." for n in range(36))
        samples.turn("cold, about 400 tokens", await turn(stub, [_system(long), _user(SAID[number % len(SAID)])]))


async def conversation(stub: "Stub", samples: Samples, settings: Settings, number: int) -> None:
    """A call of three turns: plain, warmed while the caller spoke, after a barge-in; another call between two."""
    history = [_system(settings.agent.system_prompt), _agent(settings.agent.greeting)]
    history.append(_user(_said(number)))
    first = await turn(stub, history)
    samples.turn("next turn", first)
    if first.tokens > 1:
        samples.add("decoding speed", "tokens/s", (first.tokens - 1) * 1000 / max(1.0, first.total_ms - first.ttft_ms))
    history.append(_agent(first.text))

    words = _said(number + 1)
    early = [*history, _user(" ".join(words.split()[:-2]))]
    await stub.Warm(pb.WarmRequest(call_id="bench", messages=early), timeout=TIMEOUT_S)
    history.append(_user(words))
    second = await turn(stub, history)
    samples.turn("next turn, warmed while speaking", second)
    history.append(_agent(second.text))

    story = stub.Generate(pb.GenerateRequest(call_id="bench", messages=[*history, _user(STORY)]), timeout=TIMEOUT_S)
    async for response in story:
        if response.WhichOneof("payload") == "delta":
            break
    story.cancel()
    history.append(_user(_said(number + 2)))
    samples.turn("after a cancelled stream", await turn(stub, history))

    other = [_system(f"You are the assistant of shop {number}."), _user(_said(number + 3))]
    await turn(stub, other, call_id="other", max_tokens=4)
    samples.turn("after another call's turn", await turn(stub, [*history[:-1], _user(_said(number + 4))]))


async def json_command(stub: "Stub", samples: Samples, settings: Settings, number: int) -> None:
    """A constrained answer, whole, in the shared conversation prefix."""
    messages = [_system(settings.agent.system_prompt), _user(_said(number))]
    answer = await turn(stub, messages, json_schema=json.dumps(COMMAND), max_tokens=80)
    samples.add("JSON command: whole", "ms", answer.total_ms)
    samples.add("JSON command: valid", "of 1", float(jsonschema_rs.is_valid(COMMAND, json.loads(answer.text))))


async def turn(stub: "Stub", messages: Sequence[pb.Message], **fields: Any) -> Turn:
    """One stream, timed."""
    usual = {"call_id": "bench", "messages": messages, "temperature": 0.0, "max_tokens": REPLY_TOKENS}
    request = pb.GenerateRequest(**{**usual, **fields})
    seen, began_ns = Turn(), CLOCK.now_ns()
    async for response in stub.Generate(request, timeout=TIMEOUT_S):
        now_ms = (CLOCK.now_ns() - began_ns) / 1e6
        kind = response.WhichOneof("payload")
        if kind == "started":
            seen.ttft_ms = now_ms
            seen.computed = response.started.prompt_tokens - response.started.cached_tokens
        elif kind == "delta":
            seen.text += response.delta.text
            if not seen.clause_ms and (len(seen.text) >= CLAUSE_CHARS or CLAUSE_MARK.search(seen.text)):
                seen.clause_ms = now_ms
        else:
            seen.tokens = response.finished.completion_tokens
            seen.total_ms = now_ms
            seen.clause_ms = seen.clause_ms or now_ms
    return seen


def _said(number: int) -> str:
    """Words that differ from turn to turn, so that only a real cache hit is one."""
    return f"{SAID[number % len(SAID)]}, number {number}"


def _system(text: str) -> pb.Message:
    return pb.Message(role=pb.Message.ROLE_SYSTEM, content=text)


def _user(text: str) -> pb.Message:
    return pb.Message(role=pb.Message.ROLE_USER, content=text)


def _agent(text: str) -> pb.Message:
    return pb.Message(role=pb.Message.ROLE_ASSISTANT, content=text)


if __name__ == "__main__":
    main()
