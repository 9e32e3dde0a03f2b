"""What the agent says, one speech after the other: what plays, what waits, what of it was heard.

    begin ──► waiting ──first packet──► speaking ──last packet──► heard
                 │                         │
                 └── floor_taken(): cut to what had left when the leg fell silent; protected speech goes on, and
                     protected speech that could not begin is owed

The turn-taker is told whenever this changes. Synchronous; implements MouthSink.
"""

from collections import deque
from collections.abc import Callable

from services.common.personal import Personal
from services.orchestrator import events as ev
from services.orchestrator.call_context import CallContext
from services.orchestrator.media.leg import LegFormat, Playout
from services.orchestrator.media.mouth import Mouth, MouthSink
from services.orchestrator.media.playout import Utterance
from services.orchestrator.speeches import OVERTAKEN, Speech, SpeechLog
from services.orchestrator.turns import signals as on

MouthOf = Callable[[MouthSink], Mouth]


class Speaking:
    """`saying` is told when the text of what is being said is known or grows, `heard` when a speech is over and what of
    it was heard, `feed` of the agent's phase.
    """

    def __init__(
        self,
        ctx: CallContext,
        mouth: MouthOf,
        feed: Callable[[on.Signal], None],
        saying: Callable[[Speech], None],
        heard: Callable[[Speech, str], None],
    ) -> None:
        self._ctx = ctx
        self._mouth = mouth(self)
        self._feed = feed
        self._saying = saying
        self._heard = heard
        self._speeches: deque[Speech] = deque()
        # Cut, and not yet known how much of it was heard.
        self._cuts: list[tuple[Speech, str | None]] = []
        # Protected, and kept from beginning.
        self._owed: list[Speech] = []
        self._told: tuple[on.AgentPhase, bool, str] = ("idle", False, "")
        self._stopped_ns = 0
        self._contest_onset_ns = 0
        self._thinking = False
        self.log = SpeechLog(ctx)

    @property
    def current(self) -> Speech | None:
        """What plays, or plays next."""
        return self._speeches[0] if self._speeches else None

    @property
    def rate_hz(self) -> int:
        """Rate speeches must have now."""
        return self._mouth.rate_hz

    def waits(self, speech: Speech) -> bool:
        """It has not been said to its end, nor cut."""
        return speech in self._speeches

    def think(self, on: bool) -> None:
        """What is to be said next is being found out: the caller waits for us, not we for the caller."""
        self._thinking = on
        self._tell()

    # ---- speeches

    def begin(self, speech: Speech, *, first: bool = False) -> None:
        """Say it after what is there already, or, as nothing of that was said yet, before it."""
        self.log.began(speech)
        if first:
            self._speeches.appendleft(speech)
            self._mouth.say_first(speech.utterance)
        else:
            self._speeches.append(speech)
            self._mouth.say(speech.utterance)
        self._tell()
        self.progress(speech)

    def progress(self, speech: Speech) -> None:
        """Text or audio came: log what is known, play what may be played."""
        self.log.text(speech)
        current = self.current
        overtaken = current is not None and current.kind == "filler" and current is not speech
        # The answer is there: no more of the filler than the word that is being said.
        if current is not None and overtaken and speech.utterance.samples:
            self._end_early(current)
        self._tell()
        self._mouth.pump()

    def _end_early(self, speech: Speech) -> None:
        if not self._mouth.end_early(speech.utterance):
            self.forget(speech)

    def forget(self, speech: Speech) -> None:
        """No more of it will be said; of what is on its way to the wire already, the leg tells what left."""
        self._mouth.forget(speech.utterance)
        self._speeches.remove(speech)
        self._cuts.append((speech, None))
        if not self._mouth.silencing:
            self.settle()
        self._tell()

    def forget_overtaken(self) -> None:
        """The caller has spoken: what waits only to ask them to speak is void."""
        for speech in [s for s in self._speeches if s.kind in OVERTAKEN and not s.utterance.heard]:
            self.forget(speech)

    def take_owed(self) -> list[Speech]:
        """What must still be said, once the caller has had the floor."""
        owed, self._owed = self._owed, []
        return owed

    # ---- the floor

    def pause(self, onset_ns: int) -> None:
        """Somebody speaks: silence now."""
        self._contest_onset_ns = onset_ns
        self._mouth.pause("contest")

    def resume(self, reason: str) -> None:
        """It was nothing."""
        speech = self.current
        self._mouth.resume("contest")
        if speech is not None:
            self._ctx.log(ev.PlayoutResumed(at_ns=self._ctx.clock.now_ns(), turn=speech.turn, reason=reason))

    def floor_taken(self, onset_ns: int, reason: str) -> None:
        """The caller has the floor: all is cut, but protected speech that has begun is finished."""
        self._contest_onset_ns = onset_ns
        current = self.current
        if current is not None and not current.must_finish:
            self.cut(reason)
            return
        self._mouth.resume("contest")
        for speech in [s for s in self._speeches if not s.must_finish]:
            if speech.making is not None:
                speech.making.cancel()
            self.forget(speech)

    def cut(self, reason: str | None, *, for_good: bool = False) -> None:
        """Stop everything; what was heard is known when the leg has said what had left. `reason`: of a barge-in.

        Protected speech that has not begun is owed, unless it ends `for_good`.
        """
        self._mouth.stop()
        cut, self._speeches = list(self._speeches), deque()
        for speech in cut:
            if speech.must_finish and not speech.utterance.heard and not for_good:
                self._owed.append(speech)
                continue
            if speech.making is not None:
                speech.making.cancel()
            self._cuts.append((speech, reason))
        if not self._mouth.silencing:
            self.settle()
        self._tell()

    def settle(self) -> None:
        """Write down what was heard of the speeches that were cut: now, whether or not the leg has answered."""
        cuts, self._cuts = self._cuts, []
        now_ns = self._ctx.clock.now_ns()
        for speech, reason in cuts:
            if reason is not None:
                text = Personal(speech.utterance.heard_text(), "reply")
                self._ctx.log(ev.BargeIn(at_ns=now_ns, turn=speech.turn, heard=text, reason=reason))
            if speech.utterance.heard:
                if reason is not None and self._stopped_ns > self._contest_onset_ns:
                    ms = (self._stopped_ns - self._contest_onset_ns) / 1e6
                    self._ctx.measure("barge_in_stop", speech.turn, ms, self._stopped_ns)
                self._heard(speech, self.log.ended(speech, now_ns, complete=False))
            else:
                self._heard(speech, "")

    def hold(self, held: bool) -> None:
        """The far end does not listen, or listens again."""
        if held:
            self._mouth.pause("hold")
        else:
            self._mouth.resume("hold")

    # ---- the leg

    def set_format(self, fmt: LegFormat) -> None:
        """The codec changed in mid-call."""
        if self._mouth.set_format(fmt):
            self.cut(None)

    def on_playout(self, playout: Playout, at_ns: int) -> None:
        """Progress of the leg."""
        self._mouth.on_report(playout, at_ns, self._ctx.clock.now_ns())

    def tick(self, now_ns: int) -> None:
        """The 20 ms ticker."""
        self._mouth.pump(now_ns)

    def on_speaking(self, utterance: Utterance, at_ns: int) -> None:
        """The first packet left."""
        speech = self._find(utterance)
        if speech is not None:
            self.log.heard(speech, at_ns)
            self._tell()

    def on_spoken(self, utterance: Utterance, at_ns: int) -> None:
        """The last packet left."""
        speech = self._find(utterance)
        if speech is None:
            return
        self._speeches.remove(speech)
        complete = speech.making is None or speech.making.reply.complete
        self._heard(speech, self.log.ended(speech, at_ns, complete=complete))
        self._tell()
        if speech.then is not None:
            speech.then()

    def on_silenced(self, stopped_ns: int) -> None:
        """The leg is silent after a pause or a stop."""
        self._stopped_ns = stopped_ns
        self.settle()
        speech = self.current
        if speech is not None and speech.utterance.heard:
            self._ctx.log(ev.PlayoutPaused(at_ns=self._ctx.clock.now_ns(), turn=speech.turn, stopped_ns=stopped_ns))

    def _find(self, utterance: Utterance) -> Speech | None:
        return next((speech for speech in self._speeches if speech.utterance is utterance), None)

    def _tell(self) -> None:
        """The turn-taker, of what has changed."""
        current = self.current
        told: tuple[on.AgentPhase, bool, str] = ("pending" if self._thinking else "idle", False, "")
        if current is not None:
            phase: on.AgentPhase = "speaking" if current.utterance.heard else "pending"
            told = (phase, current.must_finish, current.utterance.text if current.utterance.heard else "")
        if told != self._told:
            self._told = told
            self._feed(on.AgentChanged(self._ctx.clock.now_ns(), *told))
            if current is not None and current.utterance.heard:
                self._saying(current)
