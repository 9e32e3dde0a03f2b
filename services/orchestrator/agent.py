"""The agent's side of a call: what it says, in which order, what of it was heard, and what it does when it cannot.

    reply(turn) ──► pending ──first packet──► speaking ──last packet──► heard, into the history
                       │ fails: apology, retry, goodbye (faults.py)
                       └── stop(): barge-in, cut to what was heard

Speeches queue up (an apology, then the reply it was for); the turn-taker is told whenever the phase changes.
"""

from collections import deque
from collections.abc import Callable

from services.common.errors import OverloadedError
from services.common.personal import Personal
from services.orchestrator import events as ev
from services.orchestrator.call_context import CallContext
from services.orchestrator.dialogue.history import History, Message
from services.orchestrator.faults import ServiceName
from services.orchestrator.media.leg import LegFormat, Playout
from services.orchestrator.media.mouth import Mouth
from services.orchestrator.media.playout import Utterance
from services.orchestrator.recovery import Recovery
from services.orchestrator.replies import Making, ReplyMaker
from services.orchestrator.reply import ReplyFailedError
from services.orchestrator.speeches import NOT_REMEMBERED, Kind, Speech, SpeechLog
from services.orchestrator.turns import signals as on


class Agent:
    """Implements MouthSink. Everything is synchronous; what takes time runs in tasks of the call."""

    def __init__(
        self,
        ctx: CallContext,
        mouth: Callable[["Agent"], Mouth],
        feed: Callable[[on.Signal], None],
        hang_up: Callable[[str], None],
    ) -> None:
        self._ctx = ctx
        self._mouth = mouth(self)
        self._feed = feed
        self._hang_up = hang_up
        agent = ctx.settings.agent
        self._history = History(agent.system_prompt, agent.max_history_turns)
        self._maker = ReplyMaker(ctx)
        self._recovery = Recovery(
            ctx,
            apologise=lambda: self._say_phrase("apology", agent.apology_retry),
            again=lambda turn: self._commit(self._make(), turn),
            give_up=self.goodbye,
        )
        self._speeches: deque[Speech] = deque()
        self._phase: on.AgentPhase = "idle"
        self._turn = 0
        self._log = SpeechLog(ctx)
        self._stopped_ns = 0
        self._contest_onset_ns = 0
        self._warmed: list[Message] = []
        self.ending = False

    # ---- what the call asks of it

    def greet(self) -> None:
        """The first thing a caller hears; can be interrupted at once."""
        self._say_phrase("greeting", self._ctx.settings.agent.greeting)

    def reprompt(self) -> None:
        """Nobody said anything."""
        self._say_phrase("reprompt", self._ctx.settings.agent.reprompt)

    def ask_again(self, last_voiced_ns: int) -> None:
        """Something was said that could not be understood."""
        self._turn += 1
        self._log.turn_ended(last_voiced_ns)
        self._say_phrase("clarification", self._ctx.settings.agent.not_understood)

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
            self._maker.speculate(text, messages, self._turn + 1, self._mouth.rate_hz)

    def drop_speculation(self) -> None:
        """It did not."""
        self._maker.drop()

    def reply(self, text: str, last_voiced_ns: int) -> None:
        """The caller's turn ended: answer it."""
        if self.ending:
            return
        self._turn += 1
        self._recovery.forget()
        self._log.turn_ended(last_voiced_ns)
        self._history.caller_said(text)
        making = self._maker.commit(text)
        self._commit(making or self._make(), self._turn)

    def warm(self) -> None:
        """The caller begins to speak: let the model read the conversation so far meanwhile."""
        messages = self._history.messages()
        if self._phase == "idle" and len(messages) > 1:
            self._read_ahead(messages)

    def _read_ahead(self, messages: list[Message]) -> None:
        if messages != self._warmed:
            self._warmed = messages
            self._maker.warm(messages)

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
        self._cut(None)
        text = text or self._ctx.settings.agent.apology_goodbye
        self._say_phrase("goodbye", text, then=lambda: self._hang_up(reason), last=True)

    # ---- the floor

    def pause(self, onset_ns: int) -> None:
        """Somebody speaks: silence now."""
        self._contest_onset_ns = onset_ns
        self._mouth.pause("contest")

    def resume(self, reason: str) -> None:
        """It was nothing."""
        speech = self._current
        self._mouth.resume("contest")
        if speech is not None:
            self._ctx.log(ev.PlayoutResumed(at_ns=self._ctx.clock.now_ns(), turn=speech.turn, reason=reason))

    def stop(self, onset_ns: int, reason: str) -> None:
        """The caller took the floor. A last sentence is finished all the same."""
        self._contest_onset_ns = onset_ns
        if self._current is not None and self._current.last:
            self._mouth.resume("contest")
            return
        self._recovery.forget()
        self._cut(reason)
        self._update_phase()

    def hold(self, held: bool) -> None:
        """The far end does not listen, or listens again."""
        if held:
            self._mouth.pause("hold")
        else:
            self._mouth.resume("hold")

    def set_format(self, fmt: LegFormat) -> None:
        """The codec changed in mid-call."""
        if self._mouth.set_format(fmt):
            self._cut(None)
            self._update_phase()

    def on_playout(self, playout: Playout, at_ns: int) -> None:
        """Progress of the leg."""
        self._mouth.on_report(playout, at_ns, self._ctx.clock.now_ns())

    def tick(self, now_ns: int) -> None:
        """The 20 ms ticker."""
        self._mouth.pump(now_ns)

    # ---- MouthSink

    def on_speaking(self, utterance: Utterance, at_ns: int) -> None:
        """The first packet left."""
        speech = self._find(utterance)
        if speech is None:
            return
        self._log.heard(speech, at_ns)
        self._update_phase()

    def on_spoken(self, utterance: Utterance, at_ns: int) -> None:
        """The last packet left."""
        speech = self._find(utterance)
        if speech is None:
            return
        self._speeches.remove(speech)
        self._remember(speech, at_ns, complete=speech.making is None or speech.making.reply.complete)
        self._update_phase()
        if speech.then is not None:
            speech.then()

    def on_silenced(self, stopped_ns: int) -> None:
        """The leg is silent after a pause or a stop."""
        self._stopped_ns = stopped_ns
        speech = self._current
        if speech is not None and speech.utterance.heard:
            self._ctx.log(ev.PlayoutPaused(at_ns=self._ctx.clock.now_ns(), turn=speech.turn, stopped_ns=stopped_ns))

    # ---- speeches

    @property
    def _current(self) -> Speech | None:
        return self._speeches[0] if self._speeches else None

    def _find(self, utterance: Utterance) -> Speech | None:
        return next((speech for speech in self._speeches if speech.utterance is utterance), None)

    def _say_phrase(self, kind: Kind, text: str, then: Callable[[], None] | None = None, *, last: bool = False) -> None:
        utterance = self._ctx.services.phrases.utterance(text, self._turn, self._mouth.rate_hz)
        self._begin(Speech(self._turn, kind, utterance, then=then, last=last))

    def _begin(self, speech: Speech) -> None:
        self._log.began(speech)
        self._speeches.append(speech)
        self._update_phase()
        self._progress(speech)
        self._mouth.say(speech.utterance)

    def _make(self) -> Making:
        return self._maker.make(self._history.messages(), self._turn, self._mouth.rate_hz)

    def _commit(self, making: Making, turn: int) -> None:
        speech = Speech(turn, "reply", making.reply.utterance, making)
        speech.utterance.turn = turn
        making.reply.on.progress = lambda: self._progress(speech)
        ended = making.task is not None and making.task.done()
        making.on_end = lambda made: self._made(speech, made)
        self._begin(speech)
        if ended:
            self._made(speech, making)

    def _progress(self, speech: Speech) -> None:
        """Text or audio came: log what is known, play what may be played."""
        self._log.text(speech)
        self._mouth.pump()

    def _made(self, speech: Speech, making: Making) -> None:
        """The reply is all there, or failed."""
        if making.failure is None:
            self.service_answered("llm")
            self.service_answered("tts")
            if speech in self._speeches:
                if speech.utterance.samples == 0:
                    self._forget(speech)
                else:
                    self._read_ahead(self._history.after(speech.utterance.text))
            return
        if speech not in self._speeches:
            return
        if speech.utterance.heard == 0:
            self._forget(speech)
        self._failed(speech, making.failure)

    def _forget(self, speech: Speech) -> None:
        self._mouth.forget(speech.utterance)
        self._speeches.remove(speech)
        self._update_phase()

    def _cut(self, reason: str | None) -> None:
        """Stop everything; what was heard goes into the history. `reason`: of a barge-in."""
        now_ns = self._ctx.clock.now_ns()
        self._mouth.stop()
        cut, self._speeches = list(self._speeches), deque()
        for speech in cut:
            if speech.making is not None:
                speech.making.cancel()
            if reason is not None:
                heard = Personal(speech.utterance.heard_text(), "reply")
                self._ctx.log(ev.BargeIn(at_ns=now_ns, turn=speech.turn, heard=heard, reason=reason))
            if speech.utterance.heard:
                if reason is not None and self._stopped_ns > self._contest_onset_ns:
                    ms = (self._stopped_ns - self._contest_onset_ns) / 1e6
                    self._ctx.measure("barge_in_stop", speech.turn, ms, self._stopped_ns)
                self._remember(speech, now_ns, complete=False)

    def _remember(self, speech: Speech, at_ns: int, *, complete: bool) -> None:
        heard = self._log.ended(speech, at_ns, complete=complete)
        if speech.kind not in NOT_REMEMBERED:
            self._history.agent_was_heard(heard)

    def _update_phase(self) -> None:
        current = self._current
        phase: on.AgentPhase = "idle"
        if current is not None:
            phase = "speaking" if current.utterance.heard else "pending"
        if phase != self._phase:
            self._phase = phase
            self._feed(on.AgentChanged(self._ctx.clock.now_ns(), phase))

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
