"""One thing the agent says, and what the call's log tells of it: text, first and last packet, stage times."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from services.common.personal import Personal
from services.orchestrator import events as ev
from services.orchestrator.call_context import CallContext
from services.orchestrator.media.playout import Utterance
from services.orchestrator.replies import Making

Kind = Literal["reply", "greeting", "disclosure", "reprompt", "clarification", "apology", "goodbye", "filler"]
# Not part of the conversation the model continues.
NOT_REMEMBERED: frozenset[Kind] = frozenset(("apology", "disclosure", "filler"))
# Asks the caller to speak: pointless once the caller has.
OVERTAKEN: frozenset[Kind] = frozenset(("greeting", "reprompt", "clarification", "filler"))


@dataclass(slots=True)
class Speech:
    """An utterance with its purpose."""

    turn: int
    kind: Kind
    utterance: Utterance
    making: Making | None = None
    # It is finished whoever speaks (legal text).
    protected: bool = False
    # So is this, and the call ends after it.
    last: bool = False
    then: Callable[[], None] | None = None
    # Of a dialogue: its number of this line; 0: the agent's own.
    line: int = 0
    committed_ns: int = 0
    text_logged: int = 0
    measured: bool = False

    @property
    def must_finish(self) -> bool:
        """Nothing can interrupt it."""
        return self.protected or self.last


class SpeechLog:
    """Writes the agent's side of the event log."""

    def __init__(self, ctx: CallContext) -> None:
        self._ctx = ctx
        # End of the caller's turn that is not answered yet.
        self._unanswered_ns: int | None = None

    def turn_ended(self, last_voiced_ns: int | None) -> None:
        """From here voice-to-voice counts; None: the turn was not spoken."""
        self._unanswered_ns = last_voiced_ns

    def began(self, speech: Speech) -> None:
        """It will be said."""
        speech.committed_ns = self._ctx.clock.now_ns()
        self._ctx.log(ev.ReplyStarted(at_ns=speech.committed_ns, turn=speech.turn, kind=speech.kind))

    def text(self, speech: Speech) -> None:
        """The text so far, whenever a clause is complete."""
        text = speech.utterance.text
        if len(text) > speech.text_logged and (speech.utterance.finished or text.rstrip()[-1:] in ".,;:!?…"):
            speech.text_logged = len(text)
            self._ctx.log(ev.ReplyText(at_ns=self._ctx.clock.now_ns(), turn=speech.turn, text=Personal(text, "reply")))

    def heard(self, speech: Speech, at_ns: int) -> None:
        """Its first packet left."""
        self._ctx.log(ev.AgentSpeechStarted(at_ns=at_ns, turn=speech.turn))
        if not speech.measured:
            speech.measured = True
            self._measure(speech, at_ns)

    def ended(self, speech: Speech, at_ns: int, *, complete: bool) -> str:
        """It is over. Returns what of it was heard."""
        heard = speech.utterance.text if complete else speech.utterance.heard_text()
        self._ctx.log(
            ev.AgentSpeechEnded(at_ns=at_ns, turn=speech.turn, heard=Personal(heard, "reply"), complete=complete)
        )
        return heard

    def _measure(self, speech: Speech, at_ns: int) -> None:
        """The stages of this answer, now that its first packet has left; each its own time, hidden or not."""
        ready_ns = speech.committed_ns
        if speech.making is not None:
            times = speech.making.reply.times
            for stage, ms, ended_ns in times.stages():
                self._ctx.measure(stage, speech.turn, ms, ended_ns)
            ready_ns = max(ready_ns, times.first_audio)
        if self._unanswered_ns is not None:
            self._ctx.measure("playout", speech.turn, max(0, at_ns - ready_ns) / 1e6, at_ns)
            self._ctx.measure("voice_to_voice", speech.turn, (at_ns - self._unanswered_ns) / 1e6, at_ns)
            self._unanswered_ns = None
