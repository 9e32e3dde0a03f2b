"""The agent's side of a call: what it says, in which order, and what it does when it cannot.

    reply(turn) ──► pending ──first packet──► speaking ──last packet──► heard, into the history
                       │ fails: apology, retry, goodbye (faults.py)
                       └── stop(): barge-in, cut to what was heard

Speeches queue up (an apology, then the reply it was for): speaking.py says them.
"""

from collections.abc import Callable
from typing import Literal

from services.common.errors import OverloadedError
from services.common.personal import Personal
from services.orchestrator import events as ev
from services.orchestrator.call_context import CallContext
from services.orchestrator.dialogue.history import History, Message
from services.orchestrator.faults import ServiceName
from services.orchestrator.questions import Questions
from services.orchestrator.recovery import Recovery
from services.orchestrator.replies import Making, ReplyMaker
from services.orchestrator.reply import ReplyFailedError
from services.orchestrator.speaking import MouthOf, Speaking
from services.orchestrator.speeches import NOT_REMEMBERED, Kind, Speech
from services.orchestrator.turns import signals as on

# The model reads on when the caller has said so many words more: each reading has a cost of its own.
WARM_WORDS = 3


class Agent:
    """Everything is synchronous; what takes time runs in tasks of the call. `speaking` belongs to the leg."""

    def __init__(
        self,
        ctx: CallContext,
        mouth: MouthOf,
        questions: Questions,
        feed: Callable[[on.Signal], None],
        hang_up: Callable[[str], None],
    ) -> None:
        self._ctx = ctx
        self._questions = questions
        self._hang_up = hang_up
        self.speaking = Speaking(ctx, mouth, feed, self._is_saying, self._was_heard)
        agent = ctx.settings.agent
        self._past = History(agent.system_prompt, agent.max_history_turns)
        self._maker = ReplyMaker(ctx)
        self._recovery = Recovery(
            ctx,
            apologise=lambda: self._say_phrase("apology", agent.apology_retry),
            again=lambda turn: self._commit(self._make(), turn),
            give_up=self.goodbye,
        )
        self._turn = 0
        self._warmed: list[Message] = []
        # Words of the caller's open turn that the model has read.
        self._read_words = 0
        self.ending = False

    # ---- what the call asks of it

    def greet(self) -> None:
        """The first thing a caller hears: legal text to its end, then a greeting that can be interrupted at once."""
        agent = self._ctx.settings.agent
        if agent.disclosure.strip():
            self._say_phrase("disclosure", agent.disclosure, protected=True)
        self._say_phrase("greeting", agent.greeting)

    def reprompt(self, kind: Literal["again", "simpler", "offer"]) -> None:
        """Nobody said anything."""
        agent = self._ctx.settings.agent
        texts = {"again": agent.reprompt, "simpler": agent.reprompt_simpler, "offer": agent.reprompt_offer}
        self._say_phrase("reprompt", texts[kind])

    def ask_again(self, last_voiced_ns: int, reason: Literal["no text", "low score", "language"]) -> None:
        """Something was said that could not be understood: say what the trouble is."""
        if self.ending:
            return
        agent = self._ctx.settings.agent
        texts = {
            "no text": agent.not_understood,
            "low score": agent.not_understood_score,
            "language": agent.not_understood_language,
        }
        self._caller_had_the_floor(last_voiced_ns)
        self._say_phrase("clarification", texts[reason])

    def fill(self, number: int) -> None:
        """The answer takes long: a word of patience before it, unless its audio is there already."""
        fillers, current = self._ctx.settings.agent.fillers, self.speaking.current
        if not fillers or current is None or current.must_finish or current.utterance.samples:
            return
        text = fillers[(number - 1) % len(fillers)]
        utterance = self._ctx.services.phrases.utterance(text, self._turn, self.speaking.rate_hz)
        self.speaking.begin(Speech(self._turn, "filler", utterance), first=True)

    def say_owed(self) -> None:
        """The caller's turn is over: what had to be said and could not begin."""
        for speech in self.speaking.take_owed():
            self._say_phrase(speech.kind, speech.utterance.text, protected=True)

    def say_goodbye(self) -> None:
        """Nobody is there: end the call."""
        self._say_phrase("goodbye", self._ctx.settings.agent.goodbye, then=lambda: self._hang_up("silence"))

    def next_turn(self) -> int:
        """Number of the caller's turn that would end now."""
        return self._turn + 1

    def speculate(self, text: str) -> None:
        """The caller's turn probably ended with `text`."""
        if not self.ending:
            messages = self._history.messages(text)
            self._maker.speculate(text, messages, self._turn + 1, self.speaking.rate_hz)

    def drop_speculation(self) -> None:
        """It did not."""
        self._maker.drop()

    def reply(self, text: str, last_voiced_ns: int) -> None:
        """The caller's turn ended: answer it."""
        if self.ending:
            return
        self._answer(text, last_voiced_ns)

    def keyed(self, keys: Personal[str]) -> None:
        """The caller keyed an answer: what a model is told of it."""
        if self.ending:
            return
        self.speaking.floor_taken(self._ctx.clock.now_ns(), "key")
        self._answer(self._ctx.settings.agent.keyed.replace("{keys}", " ".join(keys.reveal())), None)

    def _answer(self, text: str, last_voiced_ns: int | None) -> None:
        self._caller_had_the_floor(last_voiced_ns)
        self._recovery.forget()
        self._history.caller_said(text)
        making = self._maker.commit(text)
        self._commit(making or self._make(), self._turn)

    def _caller_had_the_floor(self, last_voiced_ns: int | None) -> None:
        """A new turn: what only asked the caller to speak is void, what had to be said comes first."""
        self._turn += 1
        self.speaking.log.turn_ended(last_voiced_ns)
        self.speaking.forget_overtaken()
        self.say_owed()

    def warm(self) -> None:
        """The caller begins to speak: let the model read the conversation so far meanwhile."""
        self._read_words = 0
        messages = self._history.messages()
        if self.speaking.current is None and len(messages) > 1:
            self._read_ahead(messages)

    def listening(self, stable: str) -> None:
        """The caller has said `stable` so far, and goes on: let the model read that too, a few words at a time."""
        words = len(stable.split())
        if self.speaking.current is not None or words < self._read_words + WARM_WORDS:
            return
        # What ends a partial text may be no end.
        if self._read_ahead(self._history.messages(stable.rstrip(" .,;:!?…"))):
            self._read_words = words

    def _read_ahead(self, messages: list[Message]) -> bool:
        if messages == self._warmed or not self._maker.warm(messages):
            return False
        self._warmed = messages
        return True

    def close(self) -> None:
        """The call is over: what speculation has cost."""
        self._maker.drop()
        account = self._maker.account
        self._ctx.log(
            ev.SpeculationSpent(
                at_ns=self._ctx.clock.now_ns(),
                begun=account.begun,
                committed=account.committed,
                dropped=account.dropped,
                wasted_tokens=account.wasted_tokens,
                wasted_speech_ms=account.wasted_speech_ms,
            )
        )

    def trouble(self, service: ServiceName) -> None:
        """A service the call listens with failed, or is late."""
        self._recovery.failed(service, "late", None)

    def service_answered(self, service: ServiceName) -> None:
        """It answers: when that ends an outage, say so in the log."""
        self._recovery.answered(service)

    def goodbye(self, reason: str, text: str = "") -> None:
        """Say `text` (that we have a problem), then end the call; nothing can interrupt it."""
        if self.ending:
            return
        self.ending = True
        self._recovery.stop()
        self.speaking.cut(None, for_good=True)
        text = text or self._ctx.settings.agent.apology_goodbye
        self._say_phrase("goodbye", text, then=lambda: self._hang_up(reason), last=True)

    def stop(self, onset_ns: int, reason: str) -> None:
        """The caller took the floor."""
        self._recovery.forget()
        self.speaking.floor_taken(onset_ns, reason)

    # ---- speeches

    @property
    def _history(self) -> History:
        """What was said, as far as it was heard."""
        self.speaking.settle()
        return self._past

    def _say_phrase(
        self,
        kind: Kind,
        text: str,
        then: Callable[[], None] | None = None,
        *,
        protected: bool = False,
        last: bool = False,
    ) -> None:
        utterance = self._ctx.services.phrases.utterance(text, self._turn, self.speaking.rate_hz)
        self.speaking.begin(Speech(self._turn, kind, utterance, then=then, protected=protected, last=last))

    def _make(self) -> Making:
        return self._maker.make(self._history.messages(), self._turn, self.speaking.rate_hz)

    def _commit(self, making: Making, turn: int) -> None:
        speech = Speech(turn, "reply", making.reply.utterance, making)
        speech.utterance.turn = turn
        making.reply.on.progress = lambda: self.speaking.progress(speech)
        ended = making.task is not None and making.task.done()
        making.on_end = lambda made: self._made(speech, made)
        self.speaking.begin(speech)
        if ended:
            self._made(speech, making)

    def _made(self, speech: Speech, making: Making) -> None:
        """The reply is all there, or failed."""
        if making.failure is None:
            self.service_answered("llm")
            self.service_answered("tts")
            if self.speaking.waits(speech):
                if speech.utterance.samples == 0:
                    self.speaking.forget(speech)
                else:
                    self._read_ahead(self._history.after(speech.utterance.text))
            return
        if not self.speaking.waits(speech):
            return
        if speech.utterance.heard == 0:
            self.speaking.forget(speech)
        self._failed(speech, making.failure)

    def _is_saying(self, speech: Speech) -> None:
        """Who keys or answers before the question is over has understood it."""
        if speech.kind not in NOT_REMEMBERED:
            self._questions.agent_said(speech.utterance.text)

    def _was_heard(self, speech: Speech, text: str) -> None:
        """A speech is over: what was heard of it is what was said."""
        if speech.kind not in NOT_REMEMBERED:
            self._past.agent_was_heard(text)
            self._questions.agent_said(text)

    # ---- faults

    def _failed(self, speech: Speech, failure: ReplyFailedError) -> None:
        making = speech.making
        preempted = making is not None and making.speculative and isinstance(failure.error, OverloadedError)
        if preempted and speech.utterance.heard == 0:
            # A speculation lost its place to a surer request; now it is sure itself.
            self._commit(self._make(), speech.turn)
            return
        retry = None if speech.utterance.heard else speech.turn
        self._recovery.failed(failure.service, type(failure.error).__name__, retry)
