"""Words → acts, for one call: the grammars, then model and second opinion side by side. Thin: the parts decide.

                    ┌─ explains all ──────────────────────────────► acts (no model)
words ─► grammars ──┤
                    └─ not all ─► opinion (7 ms) ─┬─ no goal in it ► what the grammars found
                                  model (600 ms) ─┴─ agree ────────► goals, and the values said with them
"""

import asyncio
import json
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import Final, Protocol, cast

from services.common.clock import Clock
from services.common.deadline import within
from services.common.errors import TrunklineError
from services.common.log import get_logger
from services.common.personal import Personal
from services.orchestrator.bundles.bundle import Bundle
from services.orchestrator.clients.llm import WAITING_CALLER, LlmReply
from services.orchestrator.dialogue.history import Message
from services.orchestrator.dialogue.locales import pack
from services.orchestrator.dialogue.model import Act, Legal, Understood
from services.orchestrator.dialogue.understanding import bands, prompt
from services.orchestrator.dialogue.understanding.agree import agree, among
from services.orchestrator.dialogue.understanding.answers import Grammars, Today
from services.orchestrator.dialogue.understanding.examples import (
    NO_GOAL,
    Examples,
    Floats,
    Opinion,
    phrases,
    without_fillers,
)
from services.orchestrator.dialogue.understanding.parse import Reader
from services.orchestrator.dialogue.understanding.schema import read_acts, schema
from services.orchestrator.dialogue.understanding.sentences import Sentences
from services.orchestrator.dialogue.understanding.vague import vague

log = get_logger(__name__)
# A model that has not said its acts by then is not waited for; the second opinion then asks.
MODEL_S: Final = 4.0
MAX_TOKENS: Final = 80


class Model(Protocol):
    """clients.llm.LlmClient, as far as it is needed here."""

    def generate(
        self,
        call_id: str,
        messages: Sequence[Message],
        priority: int,
        *,
        json_schema: str = "",
        max_tokens: int = 0,
        temperature: float | None = None,
    ) -> AsyncGenerator[LlmReply, None]:
        """Text as it comes. Raises TrunklineError."""
        ...

    async def warm(self, call_id: str, messages: Sequence[Message]) -> None:
        """Fill the prefix cache. Raises TrunklineError."""
        ...


class Embedder(Protocol):
    """clients.embed.EmbedClient."""

    async def examples(self, texts: Sequence[str]) -> Floats:
        """[N, D]. Raises TrunklineError."""
        ...

    async def opinion(self, call_id: str, text: str) -> Floats | None:
        """[D], or None: not in time."""
        ...


@dataclass(frozen=True)
class Knowledge:
    """What a bundle in one locale brings: made once when it is loaded, shared by its calls."""

    bundle: Bundle
    locale: str
    examples: Examples
    prefix: tuple[Message, ...]


async def learn(bundle: Bundle, locale: str, embedder: Embedder) -> Knowledge:
    """Without embedder the second opinion is by wording alone (logged); calls are answered all the same."""
    known = phrases(bundle, locale)
    vectors: Floats | None = None
    try:
        vectors = await embedder.examples([phrase for _, phrase in known])
    except TrunklineError as error:
        log.warning("no embeddings of a bundle's phrases", agent=bundle.agent.id, error=type(error).__name__)
    return Knowledge(bundle, locale, Examples(known, vectors), prompt.prefix(bundle, locale))


# All acts, then sentences.
Written = tuple[Act, ...] | str


@dataclass(frozen=True, slots=True)
class Proposed:
    """What the model proposes. `acts` None: it did not answer, or not in the form that was asked for.

    `say`: the first sentence; `rest`: the others, while they are written. Who does not take it calls `drop`.
    """

    acts: tuple[Act, ...] | None
    say: str = ""
    rest: AsyncGenerator[str, None] | None = None

    async def drop(self) -> None:
        """Nothing of it is to be said: the model need not go on."""
        if self.rest is not None:
            await self.rest.aclose()


class ModelUnderstander:
    """dialogue.ports.Understander over the real services; one per call."""

    def __init__(
        self, knowledge: Knowledge, call_id: str, model: Model, embedder: Embedder, clock: Clock, today: Today
    ) -> None:
        self._known = knowledge
        self._call_id = call_id
        self._model = model
        self._embedder = embedder
        self._clock = clock
        bundle, locale = knowledge.bundle, knowledge.locale
        self._grammars = Grammars(bundle, locale, pack(locale, bundle.agent.locales[locale]), today)

    async def warm(self) -> None:
        """Put the fixed part of the prompt into the model's cache; a failure costs time only."""
        try:
            await self._model.warm(self._call_id, self._known.prefix)
        except TrunklineError as error:
            log.warning("model not warmed", error=type(error).__name__)

    async def understand(
        self,
        turn: int,
        words: Personal[str],
        alternatives: Sequence[Personal[str]],
        heard: float,
        legal: Legal,
        context: Personal[str],
    ) -> Understood:
        """Only acts that are legal now. Never raises for a service that failed: less is understood then."""
        said = words.reveal().strip()
        if not said:
            return Understood(turn, words, (), heard=heard)
        declined = self._grammars.without_persons(said, legal)
        understood = await self._understand(turn, words, said, alternatives, heard, declined or legal)
        if declined is not None and not understood.acts and not understood.rivals:
            # Nothing but that: what was asked is asked again, and nobody is fetched.
            if understood.rest is not None:
                await understood.rest.aclose()
            return replace(understood, acts=(Act("repeat"),), free="", rest=None)
        return understood

    async def _understand(
        self,
        turn: int,
        words: Personal[str],
        said: str,
        alternatives: Sequence[Personal[str]],
        heard: float,
        legal: Legal,
    ) -> Understood:
        found = self._grammars.answer(said, [other.reveal() for other in alternatives], legal)
        slot = self._known.bundle.slots.get(legal.asked)
        # What is said where a masked value was asked for is shown to no model.
        if found.complete or (slot is not None and slot.masked):
            return Understood(turn, words, found.acts, heard=heard)
        bundle, fillers = self._known.bundle, self._grammars.pack.language.fillers
        bare = without_fillers(said, fillers)
        exact = self._known.examples.exact(bare)
        if exact in legal.goals and exact is not None:
            return Understood(turn, words, self._started((Act("start", exact),), said, legal), heard=heard)
        matter = () if legal.asked or found.acts else vague(bare, bundle, self._known.locale, legal.goals)
        if matter:
            # A thing was named, and nothing was asked for: the model would take the thing for a wish.
            ranked = (opinion := await self._opinion(bare)).ranked(matter)
            others = [goal for goal in opinion.ranked(legal.goals) if goal not in matter and bundle.goals[goal].do]
            return Understood(turn, words, (), (*ranked, *others)[:2], heard=heard)
        if legal.asked and (found.acts or legal.rivals):
            opinion = await self._opinion(bare)
            early = self._without_model(found.acts, opinion, legal)
            if early is not None:
                return Understood(turn, words, self._started(early, said, legal), heard=heard)
            proposed = await self.propose(said, legal)
        else:
            opinion, proposed = await asyncio.gather(self._opinion(bare), self.propose(said, legal))
        goals = agree(proposed.acts, opinion, legal, self._known.locale, heard)
        # An answer that was not understood is like the goal it is about: that is asked again, not what it is about.
        about = legal.asked and legal.active_goal in goals.rivals
        if goals.rivals and not about and (found.any_words or not found.acts):
            await proposed.drop()
            return Understood(turn, words, (), goals.rivals, heard=heard)
        acts = self._started(goals.started, said, legal)
        if not (found.any_words and acts):
            known = {(act.kind, act.name) for act in acts}
            acts = (*acts, *(act for act in found.acts if (act.kind, act.name) not in known))
        if acts:
            await proposed.drop()
            return Understood(turn, words, acts, heard=heard)
        return Understood(turn, words, (), free=proposed.say, rest=proposed.rest, heard=heard)

    def _without_model(self, acts: tuple[Act, ...], opinion: Opinion, legal: Legal) -> tuple[Act, ...] | None:
        """The answer to a question, when nothing in the words speaks for another matter."""
        if legal.asked == "goal":
            chosen = among(legal.rivals, opinion)
            return (Act("start", chosen),) if chosen is not None else None
        others = [goal for goal in opinion.ranked(legal.goals) if goal != legal.active_goal][:1]
        nothing = opinion.of[NO_GOAL].score if NO_GOAL in opinion.of else 0.0
        likely = [
            goal
            for goal in others
            if opinion.of[goal].score > nothing
            and bands.confidence(self._known.locale, opinion, goal, "absent") >= bands.CLARIFY
        ]
        return None if likely else acts

    def _started(self, acts: tuple[Act, ...], said: str, legal: Legal) -> tuple[Act, ...]:
        """With the values that were said in the same breath; these alone, where that goal is worked on already."""
        goals = [act.name for act in acts if act.kind == "start"]
        values = self._grammars.unasked(said, goals, legal) if goals else ()
        if values:
            acts = tuple(act for act in acts if act.kind != "start" or act.name != legal.active_goal)
        return (*acts, *values)

    async def _opinion(self, said: str) -> Opinion:
        return self._known.examples.opinion(said, await self._embedder.opinion(self._call_id, said))

    async def propose(self, said: str, legal: Legal) -> Proposed:
        """What the model alone makes of the words; nothing, when it fails or is late."""
        written = self._written(said, legal)
        try:
            return await within(self._clock, MODEL_S, self._first(written))
        except TrunklineError as error:
            log.warning("no proposal of the model", error=type(error).__name__)
            return Proposed(None)

    async def _first(self, written: AsyncGenerator[Written, None]) -> Proposed:
        """The acts; and, only when there is nothing to do, the first sentence: the others may still be written then."""
        kept = False
        try:
            acts = await anext(written, None)
            if not isinstance(acts, tuple):
                return Proposed(None)
            first = "" if acts else await anext(written, "")
            kept = bool(first)
            # After the acts only sentences come.
            return Proposed(acts, str(first), cast("AsyncGenerator[str, None]", written) if kept else None)
        finally:
            if not kept:
                await written.aclose()

    async def _written(self, said: str, legal: Legal) -> AsyncGenerator[Written, None]:
        """The acts, once all are known, then each sentence as soon as it is whole; nothing of what is malformed."""
        reader, sentences = Reader(), Sentences()
        stream = self._model.generate(
            self._call_id,
            [*self._known.prefix, Message("user", said)],
            WAITING_CALLER,
            json_schema=json.dumps(schema(legal)),
            max_tokens=MAX_TOKENS,
            temperature=0.0,
        )
        async with aclosing(stream) as replies:
            async for reply in replies:
                piece = reader.feed(reply.text)
                if reader.malformed:
                    log.warning("malformed proposal of the model")
                    return
                if piece.acts_done:
                    yield read_acts(reader.acts, legal)
                for sentence in sentences.feed(piece.say):
                    yield sentence
        if reader.whole:
            for sentence in sentences.end():
                yield sentence
