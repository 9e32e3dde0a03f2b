"""A scripted model and a scripted embedder: they say what the test says, to test how their opinions are weighed."""

import asyncio
import json
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

import numpy as np

from services.common.clock import SystemClock
from services.common.errors import UnavailableError
from services.common.personal import Personal
from services.orchestrator.bundles.checks import validate_directory
from services.orchestrator.clients.llm import LlmReply
from services.orchestrator.dialogue.history import Message
from services.orchestrator.dialogue.model import Legal, Understood
from services.orchestrator.dialogue.understanding.examples import Examples, Floats, phrases
from services.orchestrator.dialogue.understanding.prompt import prefix
from services.orchestrator.dialogue.understanding.understander import Knowledge, ModelUnderstander

AGENTS = Path(__file__).parents[3] / "deploy" / "agents"
BANK, _ = validate_directory(AGENTS / "bank-retail")
assert BANK is not None
OPEN = Legal(goals=tuple(BANK.goals), slots=tuple(BANK.slots))
TODAY = date(2026, 11, 27)


@dataclass
class ScriptedModel:
    """Writes `acts`, character by character; None: it is away. `hangs`: it never answers."""

    acts: tuple[str, ...] | None = ()
    text: str | None = None
    hangs: bool = False
    asked: list[list[Message]] = field(default_factory=list)
    schemas: list[dict[str, object]] = field(default_factory=list)

    async def generate(
        self,
        call_id: str,
        messages: Sequence[Message],
        priority: int,
        *,
        json_schema: str = "",
        max_tokens: int = 0,
        temperature: float | None = None,
    ) -> AsyncGenerator[LlmReply, None]:
        self.asked.append(list(messages))
        self.schemas.append(json.loads(json_schema))
        if self.hangs:
            await asyncio.Event().wait()
        if self.acts is None:
            raise UnavailableError("The scripted model is away.")
        answer = {"acts": list(self.acts) or ["nothing"], "say": "I can help with cards."}
        for character in self.text if self.text is not None else json.dumps(answer, separators=(",", ":")):
            yield LlmReply(text=character)
        yield LlmReply(ended="stop")

    async def warm(self, call_id: str, messages: Sequence[Message]) -> None:
        self.asked.append(list(messages))


@dataclass
class ScriptedEmbedder:
    """Every text of a goal has that goal's axis; words have the axes given in `near`. None: it is away."""

    near: dict[str, float] | None = None

    async def examples(self, texts: Sequence[str]) -> Floats:
        raise UnavailableError("Vectors are made by `knowledge`.")

    async def opinion(self, call_id: str, text: str) -> Floats | None:
        return None if self.near is None else _vector(self.near)


AXES = [*BANK.goals, ""]


def _vector(near: dict[str, float]) -> Floats:
    vector = np.array([near.get(axis, 0.05) for axis in AXES], dtype=np.float32)
    return np.asarray(vector / np.linalg.norm(vector), dtype=np.float32)


def knowledge(locale: str = "en-GB", *, embedded: bool = True) -> Knowledge:
    known = phrases(BANK, locale)
    vectors = np.array([_vector({goal: 1.0}) for goal, _ in known]) if embedded else None
    return Knowledge(BANK, locale, Examples(known, vectors), prefix(BANK, locale))


async def understood(
    words: str,
    legal: Legal = OPEN,
    *,
    model: ScriptedModel | None = None,
    near: dict[str, float] | None = None,
    heard: float = 1.0,
    alternatives: Sequence[str] = (),
    locale: str = "en-GB",
    known: Knowledge | None = None,
) -> Understood:
    subject = ModelUnderstander(
        known or knowledge(locale),
        "call",
        model or ScriptedModel(),
        ScriptedEmbedder(near),
        SystemClock(),
        lambda: TODAY,
    )
    others = [Personal(other) for other in alternatives]
    return await subject.understand(1, Personal(words), others, heard, legal, Personal(""))


def told(said: Understood) -> list[tuple[str, str]]:
    """Acts by kind and name."""
    return [(act.kind, act.name) for act in said.acts]
