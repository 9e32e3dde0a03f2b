"""Each utterance through the real services: what the understander makes of it, and what each opinion says alone."""

import json
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path
from typing import Any

import grpc.aio
import numpy as np

from benchmarks.understanding.cases import Case
from services.common.clock import SystemClock
from services.common.errors import TrunklineError
from services.common.personal import Personal
from services.common.rpc_client import open_channel
from services.common.rpc_server import serve
from services.common.settings import Settings
from services.llm.server import build
from services.orchestrator.bundles.checks import validate_directory
from services.orchestrator.clients.embed import EmbedClient
from services.orchestrator.clients.llm import LlmClient, LlmReply
from services.orchestrator.dialogue.history import Message
from services.orchestrator.dialogue.locales import pack
from services.orchestrator.dialogue.model import Legal
from services.orchestrator.dialogue.understanding.examples import Likeness, Opinion, without_fillers
from services.orchestrator.dialogue.understanding.understander import Knowledge, ModelUnderstander, learn

AGENTS = Path(__file__).resolve().parents[2] / "deploy" / "agents"
CLOCK = SystemClock()
WARMINGS = 12
FIRST_TOKEN_MS = 4_000


@dataclass(frozen=True, slots=True)
class Heard:
    """One utterance. `model`: the goals it starts, None: no answer; `meaning` and `wording` of each goal ("": none)."""

    case: Case
    started: tuple[str, ...]
    asked: tuple[str, ...]
    ms: float
    waited_for_model: bool
    model: tuple[str, ...] | None
    model_ms: float
    meaning: dict[str, float]
    wording: dict[str, float]

    @property
    def opinion(self) -> Opinion:
        """As the understander had it."""
        of = {goal: Likeness(self.meaning[goal], self.wording[goal]) for goal in self.meaning}
        return Opinion(of, by_meaning=True)

    @property
    def by_wording(self) -> Opinion:
        """As it would be without an embedder."""
        return Opinion({goal: Likeness(0.0, self.wording[goal]) for goal in self.wording}, by_meaning=False)


class Listening:
    """The model's client, remembering when its acts were known; the rest is the client's own."""

    def __init__(self, client: LlmClient) -> None:
        self._client = client
        self.asked = 0
        self.text = ""
        self.acts_ms = 0.0

    async def generate(
        self, call_id: str, messages: Sequence[Message], priority: int, **more: Any
    ) -> AsyncGenerator[LlmReply, None]:
        """As the client's."""
        self.asked, self.text, self.acts_ms = self.asked + 1, "", 0.0
        began_ns = CLOCK.now_ns()
        async for reply in self._client.generate(call_id, messages, priority, **more):
            self.text += reply.text
            if "]" in self.text and not self.acts_ms:
                self.acts_ms = (CLOCK.now_ns() - began_ns) / 1e6
            yield reply

    async def warm(self, call_id: str, messages: Sequence[Message]) -> None:
        """As the client's."""
        await self._client.warm(call_id, messages)


@asynccontextmanager
async def service(settings: Settings) -> AsyncIterator[grpc.aio.Channel]:
    """The language model service in this process, behind a real channel."""
    server = await serve(build(settings, CLOCK), settings.rpc, CLOCK, host="127.0.0.1", port=0)
    try:
        async with open_channel(f"127.0.0.1:{server.port}", settings.rpc) as channel:
            yield channel
    finally:
        await server.stop()


async def hear(cases: Sequence[Case], channel: grpc.aio.Channel) -> AsyncIterator[Heard]:
    """One after the other, in groups of one bundle and locale, each warmed first."""
    embedder = EmbedClient(channel)
    for bundle, locale in dict.fromkeys((case.bundle, case.locale) for case in cases):
        parts, problems = validate_directory(AGENTS / bundle)
        if parts is None:
            raise SystemExit(f"{bundle} is not valid: {problems[0]}")
        known = await learn(parts, locale, embedder)
        model = Listening(LlmClient(channel, CLOCK, FIRST_TOKEN_MS))
        subject = ModelUnderstander(known, "bench", model, embedder, CLOCK, lambda: date(2026, 11, 27))
        for _ in range(WARMINGS):
            try:
                await model.warm("bench", known.prefix)
                break
            except TrunklineError:
                # A busy machine: each try keeps what was prefilled.
                continue
        legal = Legal(goals=tuple(parts.goals), slots=tuple(parts.slots))
        for case in cases:
            if (case.bundle, case.locale) == (bundle, locale):
                yield await _one(case, known, subject, model, embedder, legal)


async def _one(
    case: Case, known: Knowledge, subject: ModelUnderstander, model: Listening, embedder: EmbedClient, legal: Legal
) -> Heard:
    before, began_ns = model.asked, CLOCK.now_ns()
    said = await subject.understand(1, Personal(case.words), (), 1.0, legal, Personal(""))
    ms = (CLOCK.now_ns() - began_ns) / 1e6
    waited = model.asked > before
    if said.rest is not None:
        await said.rest.aclose()
    proposed = await subject.propose(case.words, legal)
    await proposed.drop()
    bare = without_fillers(case.words, pack(case.locale).language.fillers)
    [vector] = await embedder.examples([bare])
    opinion = known.examples.opinion(bare, np.asarray(vector))
    started = [act.name for act in said.acts if act.kind == "start"]
    started += ["person" for act in said.acts if act.kind == "person"]
    starts = None if proposed.acts is None else tuple(
        act.name or act.kind for act in proposed.acts if act.kind in ("start", "person"))  # fmt: skip
    return Heard(
        case,
        tuple(dict.fromkeys(started)),
        said.rivals,
        ms,
        waited,
        starts,
        model.acts_ms,
        {goal: like.meaning for goal, like in opinion.of.items()},
        {goal: like.wording for goal, like in opinion.of.items()},
    )


def save(heard: Sequence[Heard], path: Path) -> None:
    """As JSON lines; the words are those of the data set, nobody's."""
    path.write_text("".join(json.dumps(asdict(one), ensure_ascii=False) + "\n" for one in heard), encoding="utf-8")


def saved(path: Path) -> list[Heard]:
    """What `save` wrote."""
    found = []
    for line in path.read_text("utf-8").splitlines():
        raw = json.loads(line)
        case = Case(**{**raw.pop("case"), "want": tuple(json.loads(line)["case"]["want"])})
        model = raw.pop("model")
        raw["started"], raw["asked"] = tuple(raw["started"]), tuple(raw["asked"])
        found.append(Heard(case=case, model=None if model is None else tuple(model), **raw))
    return found
