"""What it gains to speak a model's own words sentence by sentence: the caller's words in → first audio out.

    python -m benchmarks.say [--json FILE]

The real model and the real voice over real channels. Each utterance is answered twice, in turns which way goes first:
the whole text is waited for and then spoken; or its first sentence is spoken while the rest is written (and the model
then takes its share of the machine from the voice). The shipped examples show the model an empty sentence, so it says
nothing of its own; here those that want nothing show one, else there would be nothing to measure. Utterances are those
of the tuning half that the model finds no act in, and some that want nothing.
"""

import argparse
import asyncio
import json
import os
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import grpc.aio
import numpy as np

from benchmarks.understanding import cases
from benchmarks.understanding.hearing import AGENTS, FIRST_TOKEN_MS, WARMINGS, service
from services.cli.machine import commit, machine
from services.common.clock import SystemClock
from services.common.errors import TrunklineError
from services.common.rpc_client import open_channel
from services.common.rpc_server import serve
from services.common.settings import Settings, load_settings
from services.orchestrator.bundles.checks import validate_directory
from services.orchestrator.clients.llm import WAITING_CALLER, LlmClient
from services.orchestrator.dialogue.history import Message
from services.orchestrator.dialogue.model import Legal
from services.orchestrator.dialogue.understanding.parse import Reader
from services.orchestrator.dialogue.understanding.prompt import answer, prefix
from services.orchestrator.dialogue.understanding.schema import NOTHING, read_acts, schema
from services.orchestrator.dialogue.understanding.sentences import Sentences
from services.orchestrator.dialogue.understanding.understander import MAX_TOKENS
from services.pb.trunkline.tts.v1 import tts_pb2, tts_pb2_grpc
from services.tts.server import build as voice_service

CLOCK = SystemClock()
WANT_NOTHING = (
    "do you know when the next bus leaves",
    "my neighbour is very loud again",
    "is it going to rain this afternoon",
    "I would like to order a pizza",
    "can you recommend a good film",
    "who won the match last night",
    "what is the capital of Australia",
    "could you help me with my homework",
    "I am looking for a new bicycle",
    "how do I get to the station",
    "sing me a song please",
    "what time do the shops close",
    "how do you make pancakes",
    "my dog has eaten my shoe",
)
SAYS = (
    "I am afraid I cannot help with that. I can look after cards, payments and your address.",
    "That is not something I can do here. Is it about a card or a payment?",
    "I did not quite get what you need. Just tell me in a few words what it is about.",
)


@dataclass(frozen=True, slots=True)
class Spoken:
    """ms from the caller's words to: the acts, the first sentence, all of the text, the first audio."""

    way: str
    acts: float
    sentence: float
    text: float
    audio: float
    said: str


class Bench:
    """One model, one voice."""

    def __init__(self, llm: grpc.aio.Channel, tts: grpc.aio.Channel, settings: Settings) -> None:
        self._model = LlmClient(llm, CLOCK, FIRST_TOKEN_MS)
        self._voice: Any = tts_pb2_grpc.TtsServiceStub(tts)
        self._settings = settings
        self._spoken = 0

    async def warm(self, messages: list[Message]) -> None:
        for _ in range(WARMINGS):
            try:
                return await self._model.warm("bench", messages)
            except TrunklineError:
                continue
        raise SystemExit("The model does not read its prompt in time.")

    async def speak(self, words: str, shown: list[Message], legal: Legal, *, streamed: bool) -> Spoken | None:
        """None: the model found an act, or said nothing."""
        reader, sentences, began = Reader(), Sentences(), CLOCK.now_ns()
        acts = sentence = 0.0
        audio: asyncio.Task[float] | None = None
        stream = self._model.generate(
            "bench", [*shown, Message("user", words)], WAITING_CALLER, json_schema=json.dumps(schema(legal)),
            max_tokens=MAX_TOKENS, temperature=0.0,
        )  # fmt: skip
        async with aclosing(stream) as replies:
            async for reply in replies:
                piece = reader.feed(reply.text)
                if piece.acts_done:
                    acts = _ms(began)
                    if read_acts(reader.acts, legal):
                        return None
                for one in sentences.feed(piece.say):
                    sentence = sentence or _ms(began)
                    if streamed and audio is None:
                        audio = asyncio.create_task(self._first_audio(one, began))
        text = _ms(began)
        if not reader.say:
            return None
        if audio is None:
            audio = asyncio.create_task(self._first_audio(reader.say, began))
        way = "streamed" if streamed else "whole"
        return Spoken(way, acts, sentence or text, text, await audio, reader.say)

    async def _first_audio(self, text: str, began: int) -> float:
        # A pace of its own: nothing comes from the phrase cache.
        self._spoken += 1
        config = tts_pb2.SynthesizeConfig(
            call_id="bench", voice=self._settings.tts.voices[0], locale="en-US", sample_rate_hz=16_000,
            speaking_rate=1.0 + self._spoken * 1e-4,
        )  # fmt: skip
        call = self._voice.Synthesize()
        await call.write(tts_pb2.SynthesizeRequest(config=config))
        await call.write(tts_pb2.SynthesizeRequest(text=text))
        await call.done_writing()
        async for response in call:
            if response.WhichOneof("payload") == "audio":
                ms = _ms(began)
                call.cancel()
                return ms
        raise SystemExit("The voice said nothing.")


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    document = asyncio.run(_measure())
    for name, row in document["ms"].items():
        print(f"{name:<10} {row}")
    print({name: value for name, value in document.items() if name not in ("ms", "machine", "texts")})
    if given.json:
        given.json.write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


async def _measure() -> dict[str, Any]:
    settings = load_settings(env={})
    found: list[tuple[Spoken, Spoken]] = []
    async with service(settings) as llm, _voice(settings) as tts:
        bench = Bench(llm, tts, settings)
        chosen = [one for one in cases.load("tuning") if one.locale.startswith("en")]
        chosen += [cases.Case("bank-retail", "en-GB", (), words) for words in WANT_NOTHING]
        for name in dict.fromkeys(one.bundle for one in chosen):
            bundle, _ = validate_directory(AGENTS / name)
            assert bundle is not None
            shown, legal = _talkative(list(prefix(bundle, "en-GB"))), Legal(tuple(bundle.goals), tuple(bundle.slots))
            await bench.warm(shown)
            for one in chosen:
                if one.bundle == name:
                    first = len(found) % 2 == 0
                    pair = [await bench.speak(one.words, shown, legal, streamed=first)]
                    if pair[0] is not None:
                        pair.append(await bench.speak(one.words, shown, legal, streamed=not first))
                        done = [spoken for spoken in pair if spoken is not None]
                        if len(done) == 2:
                            done.sort(key=lambda spoken: spoken.way)
                            found.append((done[0], done[1]))
    gains = [whole.audio - streamed.audio for streamed, whole in found]
    several = [g for g, (_, whole) in zip(gains, found, strict=True) if whole.sentence < whole.text - 1]
    return {
        "what": "First audio of a model's own words: spoken by sentence while it writes, beside waiting for all of it",
        "n": len(found),
        "of several sentences": len(several),
        "ms": {
            "streamed": _row([streamed for streamed, _ in found]),
            "whole": _row([whole for _, whole in found]),
            "gain": {"p50": _at(gains, 50), "p5": _at(gains, 5), "p95": _at(gains, 95)},
        },
        "load": round(os.getloadavg()[0], 1),
        "models": f"{settings.llm.model}, {settings.tts.voices[0]}",
        "machine": asdict(await machine()),
        "commit": commit(),
        "texts": sorted({whole.said for _, whole in found}),
    }


def _talkative(messages: list[Message]) -> list[Message]:
    """The same examples, where those that want nothing show something to say."""
    nothing, shown = 0, []
    for message in messages:
        if message.text == answer(NOTHING):
            message = Message(message.role, answer(NOTHING, SAYS[nothing % len(SAYS)]))
            nothing += 1
        shown.append(message)
    return shown


@asynccontextmanager
async def _voice(settings: Settings) -> AsyncIterator[grpc.aio.Channel]:
    server = await serve(voice_service(settings, CLOCK), settings.rpc, CLOCK, host="127.0.0.1", port=0)
    try:
        async with open_channel(f"127.0.0.1:{server.port}", settings.rpc) as channel:
            yield channel
    finally:
        await server.stop()


def _row(found: list[Spoken]) -> dict[str, dict[str, float]]:
    return {
        name: {
            "p50": _at([getattr(one, name) for one in found], 50),
            "p95": _at([getattr(one, name) for one in found], 95),
        }
        for name in ("acts", "sentence", "text", "audio")
    }


def _at(values: list[float], percent: int) -> float:
    return round(float(np.percentile(values, percent)), 1) if values else 0.0


def _ms(began_ns: int) -> float:
    return (CLOCK.now_ns() - began_ns) / 1e6


if __name__ == "__main__":
    main()
