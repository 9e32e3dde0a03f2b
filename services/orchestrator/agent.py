"""The agent's side of a call: what it says, in which order, and what it does when it cannot.

    reply(turn) ──► pending ──first packet──► speaking ──last packet──► heard, into the history
                       │ fails: apology, retry, goodbye (faults.py)
                       └── stop(): barge-in, cut to what was heard

Speeches queue up (an apology, then the reply it was for): speaking.py says them.
"""

from collections.abc import Callable, Sequence
from typing import Literal

from services.common.errors import OverloadedError
from services.common.personal import Personal
from services.orchestrator import events as ev
from services.orchestrator.call_context import CallContext
from services.orchestrator.desk import Desk
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
WARM_WORDS = 2


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
            again=self._again,
            give_up=self.goodbye,
        )
        # With a bundle, who decides what is said; else a language model answers freely.
        self.desk: Desk | None = None
        self._after_lines: Callable[[], None] | None = None
        # Lines that are not over, and the one that could not be spoken and is tried again.
        self._lines: dict[int, tuple[str, bool]] = {}
        self._lost_line = 0
        self._turn = 0
        self._warmed: list[Message] = []
        # Words of the caller's open turn that the model has read.
        self._read_words = 0
        self.ending = False

    # ---- what the call asks of it

    def greet(self) -> None:
        """The first thing a caller hears: legal text to its end, then a greeting that can be interrupted at once."""
        if self.desk is not None:
            return
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
        waited_for = self.desk is not None and self.desk.busy if current is None else not current.utterance.samples
        if not fillers or not waited_for or (current is not None and current.must_finish):
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
        if self.ending:
            return
        if self.desk is not None:
            self.desk.prepare(text)
        else:
            messages = self._history.messages(text)
            self._maker.speculate(text, messages, self._turn + 1, self.speaking.rate_hz)

    def drop_speculation(self) -> None:
        """It did not."""
        if self.desk is not None:
            self.desk.drop()
        self._maker.drop()

    def reply(
        self, text: str, last_voiced_ns: int, alternatives: Sequence[str] = (), avg_logprob: float | None = None
    ) -> None:
        """The caller's turn ended: answer it. `avg_logprob`: how sure the recogniser is, per token."""
        if self.ending:
            return
        if self.desk is None:
            self._answer(text, last_voiced_ns)
            return
        self._caller_had_the_floor(last_voiced_ns)
        self._recovery.forget()
        self.desk.said(self._turn, text, alternatives, avg_logprob)

    def keyed(self, keys: Personal[str]) -> None:
        """The caller keyed an answer: what the dialogue, or a model, is told of it."""
        if self.ending:
            return
        self.speaking.floor_taken(self._ctx.clock.now_ns(), "key")
        if self.desk is not None:
            self._caller_had_the_floor(None)
            self.desk.keyed(self._turn, keys)
            return
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
        if self.desk is not None:
            # What understanding reads before the caller's words is the same in every turn: it is read already.
            return
        messages = self._history.messages()
        if self.speaking.current is None and len(messages) > 1:
            self._read_ahead(messages)

    def listening(self, text: str) -> None:
        """The caller has said `text` so far, and goes on: let the model read that too, a few words at a time.

        The last word may be half said; the others need not be stable, for where they turn out otherwise the model reads
        on from where the texts part.
        """
        heard = text.split()[:-1]
        if self.desk is not None or self.speaking.current is not None or len(heard) < self._read_words + WARM_WORDS:
            return
        # What ends a partial text may be no end.
        if self._read_ahead(self._history.messages(" ".join(heard).rstrip(" .,;:!?…"))):
            self._read_words = len(heard)

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
        if self.desk is not None:
            self.desk.interrupted()
        self.speaking.floor_taken(onset_ns, reason)

    # ---- what the desk asks of it

    def say_line(self, line: int, text: str, *, patience: bool, protected: bool) -> None:
        """A line of the dialogue, after what is being said. One made beforehand starts at once."""
        if self.ending:
            return
        rate_hz = self.speaking.rate_hz
        if patience or self._ctx.services.phrases.has(text, rate_hz):
            utterance = self._ctx.services.phrases.utterance(text, self._turn, rate_hz)
            kind: Kind = "filler" if patience else "reply"
            speech = Speech(self._turn, kind, utterance, protected=protected, line=line)
            self.speaking.begin(speech, first=patience and self._nothing_heard)
            return
        self._lines[line] = (text, protected)
        self._recite(line, self._turn)

    def keys_came(self, keys: Personal[str]) -> None:
        """Secret keys: a turn like any other."""
        self.keyed(keys)

    def leave(self, reason: str) -> None:
        """Everything was said: end the call."""
        self.ending = True
        self._recovery.stop()
        self._hang_up(reason)

    def thinking(self, on: bool) -> None:
        """The caller waits for something."""
        self.speaking.think(on)

    def after_lines(self, then: Callable[[], None]) -> None:
        """Once everything that is to be said has been said, or cut."""
        self._after_lines = then
        self._if_all_said()

    def _if_all_said(self) -> None:
        then = self._after_lines
        if then is not None and self.speaking.current is None:
            self._after_lines = None
            then()

    @property
    def _nothing_heard(self) -> bool:
        current = self.speaking.current
        return current is not None and not current.must_finish and not current.utterance.samples

    def _recite(self, line: int, turn: int) -> None:
        text, protected = self._lines[line]
        making = self._maker.recite(text, turn, self.speaking.rate_hz)
        self._commit(making, turn, line=line, protected=protected)

    def _again(self, turn: int) -> None:
        """What failed, once more."""
        lost, self._lost_line = self._lost_line, 0
        if lost in self._lines:
            self._recite(lost, turn)
        elif self.desk is None:
            self._commit(self._make(), turn)

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

    def _commit(self, making: Making, turn: int, *, line: int = 0, protected: bool = False) -> None:
        speech = Speech(turn, "reply", making.reply.utterance, making, protected=protected, line=line)
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
            if making.reply.by_model:
                self.service_answered("llm")
            self.service_answered("tts")
            if self.speaking.waits(speech):
                if speech.utterance.samples == 0:
                    self.speaking.forget(speech)
                elif self.desk is None:
                    self._read_ahead(self._history.after(speech.utterance.text))
            return
        if not self.speaking.waits(speech):
            return
        if speech.utterance.heard == 0:
            self._lost_line = speech.line
            self.speaking.forget(speech)
        self._failed(speech, making.failure)

    def _is_saying(self, speech: Speech) -> None:
        """Who keys or answers before the question is over has understood it."""
        if speech.kind not in NOT_REMEMBERED:
            self._questions.agent_said(speech.utterance.text)

    def _was_heard(self, speech: Speech, text: str) -> None:
        """A speech is over: what was heard of it is what was said."""
        if text and speech.kind not in NOT_REMEMBERED:
            self._past.agent_was_heard(text)
            self._questions.agent_said(text)
        if self.desk is not None and speech.line and speech.line != self._lost_line:
            self._lines.pop(speech.line, None)
            self.desk.played(speech.line, text == speech.utterance.text and bool(text))
        self._if_all_said()

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
