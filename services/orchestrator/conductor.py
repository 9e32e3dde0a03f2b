"""Between the turn-taker, which decides, and listener and agent, which carry out: one signal at a time, in order.

Signals that a decision itself causes wait until its fellow decisions are carried out, so that the turn-taker sees
events in the order they happened.
"""

from collections import deque
from collections.abc import Callable

from services.common.personal import Personal
from services.orchestrator import events as ev
from services.orchestrator.agent import Agent
from services.orchestrator.alarm import Alarm
from services.orchestrator.call_context import CallContext
from services.orchestrator.listener import Listener, final_transcript
from services.orchestrator.questions import Questions
from services.orchestrator.turns import decisions as do
from services.orchestrator.turns import signals as on
from services.orchestrator.turns.taker import TurnTaker

_UNCLEAR = {"no text": "not understood", "low score": "not understood well", "language": "another language"}


class Conductor:
    """One per call. `listener` and `agent` are set before the first signal; `questions` knows who asked for keys."""

    listener: Listener
    agent: Agent

    def __init__(self, ctx: CallContext, asr_is_down: Callable[[], bool]) -> None:
        orchestrator = ctx.settings.orchestrator
        self._ctx = ctx
        self._asr_is_down = asr_is_down
        locale = ctx.settings.agent.locale
        self._taker = TurnTaker(orchestrator.turns, orchestrator.asr_final_deadline_ms, locale, (locale,))
        self._signals: deque[on.Signal] = deque()
        self._feeding = False
        self._alarm = Alarm(ctx.clock, ctx.spawn, lambda: self.feed(on.Tick(ctx.clock.now_ns())))
        self._onset_ns = 0
        self.questions = Questions(ctx, self.feed)

    @property
    def utterance_open(self) -> bool:
        """The caller's words are being heard or awaited."""
        return self._taker.utterance_open

    def feed(self, signal: on.Signal) -> None:
        """Give the turn-taker a signal and carry out what it decides."""
        self._signals.append(signal)
        if self._feeding:
            return
        self._feeding = True
        try:
            while self._signals:
                for decision in self._taker.handle(self._signals.popleft()):
                    self.carry_out(decision)
            self._alarm.set(self._taker.next_deadline_ns())
        finally:
            self._feeding = False

    def carry_out(self, decision: do.Decision) -> None:
        """Do what was decided."""
        self.listener.carry_out(decision)
        agent, now_ns = self.agent, self._ctx.clock.now_ns()
        match decision:
            case do.StartSpeech(onset_ns=onset_ns):
                self._ctx.measure("vad_onset", agent.next_turn(), (now_ns - onset_ns) / 1e6, now_ns)
                self._onset_ns = onset_ns
                agent.warm()
            case do.Speculate(text=text):
                agent.speculate(text)
            case do.DropSpeculation():
                agent.drop_speculation()
            case do.EndTurn():
                self._end_turn(decision)
            case do.UnclearTurn(utterance, last_voiced_ns, reason):
                self._ctx.log(ev.TurnDropped(at_ns=now_ns, utterance=utterance, reason=_UNCLEAR[reason]))
                agent.ask_again(last_voiced_ns, reason)
            case do.Discard(utterance, why):
                self._ctx.log(ev.TurnDropped(at_ns=now_ns, utterance=utterance, reason=why))
                agent.say_owed()
            case do.FinalLate():
                agent.trouble("asr")
            case do.FailTurn(utterance):
                self._ctx.log(ev.TurnDropped(at_ns=now_ns, utterance=utterance, reason="no text came"))
                self._after_lost_text()
            case do.PausePlayout():
                agent.speaking.pause(self._onset_ns)
            case do.ResumePlayout(why):
                agent.speaking.resume(why)
            case do.StopPlayout(onset_ns=onset_ns, reason=took):
                agent.stop(onset_ns, took)
            case do.Reprompt(kind=kind):
                agent.reprompt(kind)
            case do.Filler(number):
                agent.fill(number)
            case do.KeysEntered():
                self._keys_entered(decision)
            case do.GiveUp():
                agent.say_goodbye()
            case _:
                pass

    def _end_turn(self, decision: do.EndTurn) -> None:
        agent, now_ns = self.agent, self._ctx.clock.now_ns()
        turn = agent.next_turn()
        found = self.listener.final_of(decision.utterance)
        if found is not None:
            final, final_ns = found
            self._ctx.log(final_transcript(final, now_ns, provisional=False))
            self._ctx.measure("asr_final", turn, (final_ns - decision.last_voiced_ns) / 1e6, final_ns)
        self._ctx.log(
            ev.TurnEnded(
                at_ns=now_ns,
                turn=turn,
                utterance=decision.utterance,
                last_voiced_ns=decision.last_voiced_ns,
                reason=decision.reason,
            )
        )
        endpoint_ms = (decision.decided_ns - decision.last_voiced_ns) / 1e6
        self._ctx.measure("endpoint", turn, endpoint_ms, decision.decided_ns)
        agent.service_answered("asr")
        others = [other.text for other in found[0].alternatives] if found is not None else []
        avg_logprob = found[0].avg_logprob if found is not None else None
        agent.reply(decision.text, decision.last_voiced_ns, others, avg_logprob)

    def _keys_entered(self, entered: do.KeysEntered) -> None:
        """To the tool that asked for them, else into the conversation; masked keys to a tool or to nobody."""
        keys = Personal("", "dtmf") if entered.masked else entered.keys
        self._ctx.log(
            ev.KeysCollected(at_ns=self._ctx.clock.now_ns(), keys=keys, masked=entered.masked, reason=entered.reason)
        )
        if not self.questions.deliver(entered) and not entered.masked:
            self.agent.keyed(entered.keys)

    def _after_lost_text(self) -> None:
        """The recogniser had its time: ask again if it is there now, else end politely."""
        if self._asr_is_down():
            self.agent.goodbye("asr failed")
        else:
            self.agent.ask_again(self._taker.last_voiced_ns, "no text")
