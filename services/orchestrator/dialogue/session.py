"""Drives one dialogue: events in, state stored, decisions acted on, in that order. Thin: it decides nothing itself.

    said, keyed, played ──► Dialogue.handle ──► store ──► say, expect, read ∥ read, judge, perform (shielded)
                                 ▲                                     │
                                 └── answers, the model's sentences ───┘

Reads run side by side, acts one after the other and never broken off. Every port has a deadline; one that fails gives
an honest sentence, never silence. When another worker has gone on with the call, nothing more is done here.
"""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from services.common.clock import Clock
from services.common.deadline import within
from services.common.errors import TrunklineError
from services.common.log import get_logger
from services.common.personal import Personal
from services.orchestrator.control.model import Outcome, Rejected
from services.orchestrator.dialogue.flow import Flow
from services.orchestrator.dialogue.locales import LOCALES, pack
from services.orchestrator.dialogue.manager import Dialogue
from services.orchestrator.dialogue.model import (
    Act,
    CallerKeyed,
    CallerSaid,
    Decision,
    EffectDone,
    End,
    Event,
    Expect,
    FindWaiting,
    HandOver,
    Identified,
    Identify,
    Judge,
    Judged,
    Legal,
    ModelSaid,
    Perform,
    Played,
    Read,
    ReadDone,
    Reading,
    Say,
    TakeBack,
    TakenBack,
    Understood,
    WaitingFound,
)
from services.orchestrator.dialogue.packet import known_records, packet_of
from services.orchestrator.dialogue.ports import Control, Sayer, SpeechKind, StateStore, TakenOverError, Understander
from services.orchestrator.dialogue.prepared import Prepared

log = get_logger(__name__)

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Patience:
    """Seconds until a port counts as failed; `filler_s`: until the caller is told to wait."""

    understand_s: float = 6.0
    read_s: float = 8.0
    judge_s: float = 8.0
    # An act goes on after that; the caller is told that its end is not known.
    perform_s: float = 20.0
    identify_s: float = 8.0
    save_s: float = 2.0
    filler_s: float = 0.8
    # Failures of understanding in a row before a person takes over.
    failures: int = 2


class Session:
    """One per call. Everything that takes long runs in tasks of its own; `idle` waits for them."""

    def __init__(
        self,
        dialogue: Dialogue,
        understander: Understander,
        control: Control,
        store: StateStore,
        sayer: Sayer,
        clock: Clock,
        patience: Patience | None = None,
    ) -> None:
        self.dialogue = dialogue
        self._understander, self._control, self._store, self._sayer = understander, control, store, sayer
        self._clock = clock
        self._patience = patience or Patience()
        self._order = asyncio.Lock()
        self._turns = asyncio.Lock()
        self._acts = asyncio.Lock()
        self._tasks: set[asyncio.Task[None]] = set()
        self._prepared = Prepared()
        self._flow: Flow | None = None
        self._fillers = 0
        self._failures = 0
        self._last_words = ""
        self._said_last = ""
        # Another worker has the call, or it is over: nothing is said or done any more.
        self.lost = False

    # ---- the call's side

    async def begin(self) -> None:
        """The first words; meanwhile, who calls."""
        await self._decide(self.dialogue.begin)
        self._spawn(self._recognise())

    async def resume(self) -> None:
        """Go on with a state that was stored, on this worker."""
        await self._guarded(
            self._control.restore(known_records(self.dialogue.bundle, self.dialogue.state)), self._patience.read_s
        )
        await self._decide(self.dialogue.resume)

    def prepare(self, words: str) -> None:
        """The turn has probably ended with `words`: understand them already. Nothing is looked up or done by that."""
        if not self.lost:
            legal, turn = self.dialogue.legal(), self.dialogue.state.turn + 1
            self._prepared.begin(words, legal, lambda: self._ask(turn, words, (), 1.0, legal))

    def unprepare(self) -> None:
        """The turn goes on: what was prepared is of no use."""
        self._prepared.drop()

    async def said(self, turn: int, words: str, alternatives: Sequence[str] = (), heard: float = 1.0) -> None:
        """The caller's turn is over. Returns when it is understood and what follows is said or under way."""
        self.hush()
        async with self._turns:
            if self.lost:
                return
            self._last_words = words
            try:
                understood = await self._understand(turn, words, alternatives, heard)
            except TrunklineError as error:
                log.warning("not understood", failed=type(error).__name__)
                self._failures += 1
                give_up = self._failures >= self._patience.failures
                await self._decide(lambda: self.dialogue.trouble(give_up=give_up))
                return
            self._failures = 0
            self._flow = flow = Flow(turn) if understood.free else None
            await self._handle(CallerSaid(replace(understood, turn=turn)))
            if understood.rest is not None and flow is not None:
                if self.dialogue.state.saying != turn:
                    flow.hush()
                self._spawn(self._go_on(flow, understood.rest))

    def hush(self) -> None:
        """The caller speaks, or has spoken: what the model still writes is not waited for, and not said."""
        if self._flow is not None:
            self._flow.hush()

    async def keyed(self, turn: int, keys: Personal[str]) -> None:
        """Keys; while the caller is to be identified they go to the control layer alone."""
        self.hush()
        question = self.dialogue.state.question
        if question is not None and question.kind == "identify":
            level = self.dialogue.state.level
            found = await self._guarded(self._control.identify(keys), self._patience.identify_s)
            if found is None:
                await self._decide(lambda: self.dialogue.trouble(give_up=True))
            else:
                await self._handle(found if found.level >= level else Identified(level))
            return
        slot = question.slot if question is not None else ""
        value = self._keyed_value(slot, keys)
        if value is None:
            await self._handle(CallerKeyed(turn, slot, keys))
        else:
            await self._handle(CallerSaid(Understood(turn, Personal("", "keys"), (Act("fill", slot, value),))))

    async def played(self, speech: int, complete: bool) -> None:
        """A speech ended: to its last word, or cut."""
        self._control.played(speech, complete)
        if not complete:
            self.hush()
        await self._handle(Played(speech, complete))

    async def idle(self) -> None:
        """When nothing is under way any more (text channels, evals, tests)."""
        while self._tasks:
            await asyncio.wait(set(self._tasks))

    async def close(self) -> None:
        """The call is over: reads are broken off, acts are not."""
        self.lost = True
        self.unprepare()
        self.hush()
        for task in self._tasks:
            if task.get_name() != "perform":
                task.cancel()
        await self.idle()

    def _keyed_value(self, slot: str, keys: Personal[str]) -> Reading | None:
        """What the keys say for the slot; None where they say nothing that its type can be."""
        spec, locale = self.dialogue.bundle.slots.get(slot), self.dialogue.locale
        if spec is None or locale not in LOCALES:
            return None
        grammars = pack(locale, self.dialogue.bundle.agent.locales[locale])
        found = grammars.read(spec, keys.reveal(), keyed=True, today=self._clock.wall().date())
        return found[0] if found else None

    # ---- events, state, decisions

    async def _handle(self, event: Event) -> None:
        await self._decide(lambda: self.dialogue.handle(event))

    async def _decide(self, step: Callable[[], tuple[Decision, ...]]) -> None:
        """One event at a time: decide, store, act."""
        async with self._order:
            if self.lost:
                return
            decisions = step()
            stored = await self._stored()
            if stored is None:
                return
            for decision in decisions:
                self._act(decision, stored=stored)

    async def _stored(self) -> bool | None:
        """None: another worker has the call."""
        try:
            await within(self._clock, self._patience.save_s, self._store.save(self.dialogue.state))
        except TakenOverError:
            log.warning("dialogue taken over")
            self.lost = True
            return None
        except TrunklineError as error:
            # The conversation goes on; what must not be done without a state on disk is not done.
            log.error("dialogue not stored", failed=type(error).__name__)
            return False
        return True

    def _act(self, decision: Decision, *, stored: bool) -> None:
        match decision:
            case Say():
                self._say(decision)
            case Expect():
                self._sayer.expect(decision)
            case Read():
                self._spawn(self._read(decision))
            case Judge():
                self._spawn(self._judge(decision))
            case Perform() if stored:
                self._spawn(self._perform(decision), name="perform")
            case Perform():
                self._spawn(self._handle(EffectDone(decision.request, decision.proposal.tool, None)))
            case FindWaiting():
                self._spawn(self._find(decision))
            case TakeBack() if stored:
                self._spawn(self._take_back(decision), name="perform")
            case TakeBack():
                self._spawn(self._handle(TakenBack(decision.request, "unknown")))
            case HandOver():
                words = Personal(self._last_words, "words")
                packet = packet_of(self.dialogue.bundle, self.dialogue.state, words)
                self._sayer.hand_over(decision.route, decision.reason, packet)
            case End():
                self._sayer.end()
            case Identify():
                # The keys come by `keyed`; what is asked was said.
                pass

    async def _go_on(self, flow: Flow, rest: AsyncGenerator[str, None]) -> None:
        """Further sentences of the model's, each decided, stored and said like the first, while it writes the next."""
        await flow.run(rest, lambda sentence: self._handle(ModelSaid(flow.turn, sentence)))
        if not flow.hushed:
            await self._handle(ModelSaid(flow.turn))

    def _say(self, say: Say) -> None:
        question = self.dialogue.state.question
        asks = question is not None and question.speech == say.speech
        if asks and question is not None and question.proposal is not None:
            self._control.asked(question.proposal, say.speech)
        flow = self._flow if say.free else None
        if flow is not None and flow.hushed:
            return
        try:
            text = self._free(say.free) if say.free else self._control.fill(say)
        except TrunklineError as error:
            log.error("sentence not filled", prompt=say.prompt, failed=type(error).__name__)
            text = self._plain("talk.trouble")
        if flow is not None and flow.said and not text:
            # In the place of what a model may not say, and of all after it, stands the question that is open.
            return
        kind: SpeechKind = "ask" if asks else "tell"
        self._speak(say.speech, text or self._plain("talk.not_heard"), kind, protected=say.protected)

    def _free(self, text: str) -> str:
        guard = self._control.guard
        return self._flow.passed(text, guard) if self._flow is not None else guard(text)

    def _speak(self, speech: int, text: str, kind: SpeechKind, *, protected: bool = False) -> None:
        self._said_last = text
        self._sayer.say(speech, text, kind=kind, protected=protected)

    def _plain(self, prompt: str) -> str:
        return self.dialogue.bundle.prompt(prompt, self.dialogue.locale).text

    # ---- ports

    async def _understand(self, turn: int, words: str, alternatives: Sequence[str], heard: float) -> Understood:
        legal = self.dialogue.legal()
        task = self._prepared.take(words, legal)
        if task is not None:
            try:
                # What the recogniser is sure of is known only now.
                return replace(await task, heard=heard)
            except TrunklineError as error:
                log.info("prepared understanding failed", failed=type(error).__name__)
        return await self._ask(turn, words, alternatives, heard, legal)

    async def _ask(self, turn: int, words: str, alternatives: Sequence[str], heard: float, legal: Legal) -> Understood:
        asked = self._understander.understand(
            turn,
            Personal(words, "words"),
            tuple(Personal(other, "words") for other in alternatives),
            heard,
            legal,
            Personal(self._said_last, "words"),
        )
        return await within(self._clock, self._patience.understand_s, asked)

    async def _recognise(self) -> None:
        found = await self._guarded(self._control.recognise(), self._patience.identify_s)
        if found is not None:
            await self._handle(found)

    async def _read(self, read: Read) -> None:
        done = await self._guarded(self._control.read(read), self._patience.read_s, read.tool)
        await self._handle(done or ReadDone(read.request, read.tool, None, "down"))

    async def _judge(self, judge: Judge) -> None:
        judged = await self._guarded(self._control.judge(judge), self._patience.judge_s, judge.proposal.tool)
        await self._handle(judged or Judged(judge.request, Rejected("", "it cannot be judged now")))

    async def _perform(self, perform: Perform) -> None:
        tool = perform.proposal.tool
        async with self._acts:
            try:
                done = await within(
                    self._clock,
                    self._patience.perform_s,
                    self._control.perform(perform),
                    late=lambda: self._fill(tool),
                    late_s=self._patience.filler_s,
                    keep=True,
                )
            except Exception as error:  # noqa: BLE001  # whatever it was: it may have been done
                log.error("act without an answer", tool=tool, failed=type(error).__name__)
                done = EffectDone(perform.request, tool, Outcome("", "unknown", reason="no answer"))
        await self._handle(done)

    async def _find(self, find: FindWaiting) -> None:
        found = await self._guarded(self._control.waiting(find), self._patience.read_s)
        await self._handle(found or WaitingFound(find.request, None))

    async def _take_back(self, take_back: TakeBack) -> None:
        async with self._acts:
            taken = await self._guarded(self._control.take_back(take_back), self._patience.perform_s)
        await self._handle(taken or TakenBack(take_back.request, "unknown"))

    async def _guarded(self, work: Awaitable[T], seconds: float, tool: str = "") -> T | None:
        """None when it failed or took too long."""
        late = (lambda: self._fill(tool)) if tool else None
        try:
            return await within(self._clock, seconds, work, late=late, late_s=self._patience.filler_s)
        except TrunklineError as error:
            log.warning("port failed", tool=tool, failed=type(error).__name__)
            return None

    def _fill(self, tool: str) -> None:
        """It takes long: a word of patience, of the tool's own."""
        prompt = self.dialogue.bundle.tools[tool].filler
        if prompt is not None and not self.lost:
            self._fillers += 1
            self._speak(-self._fillers, self._plain(prompt), "filler")

    def _spawn(self, work: Coroutine[Any, Any, None], name: str | None = None) -> None:
        task = asyncio.create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: "asyncio.Task[None]") -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("dialogue task failed", failed=type(error).__name__, exc_info=error)
