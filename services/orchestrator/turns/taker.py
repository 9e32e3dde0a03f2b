"""The turn-taker: who has the floor. A state machine without I/O: signals in, decisions out.

    QUIET ──onset──► SPEAKING ──pause_ms──► DIPPED ──wait over, text there──► EndTurn | UnclearTurn | Discard
                        ▲                     │ ▲ │
                        └──── speech again ───┘ │ └──no text: FinalLate … FailTurn──►
                                                └── predictions and texts regrade the wait

One utterance at a time; each ends in exactly one of EndTurn, UnclearTurn, Discard, FailTurn. While the agent is
pending or speaking the utterance is also contested: PausePlayout is followed by exactly one of ResumePlayout and
StopPlayout (floor.py, barge_in.py). Keys are collected beside it (keypad.py); an answer is spoken or keyed, not both.
Time comes only with signals; `next_deadline_ns` says when to send a Tick.
"""

from dataclasses import dataclass, field

from services.common.settings import TurnSettings
from services.orchestrator.turns import decisions as do
from services.orchestrator.turns import signals as on
from services.orchestrator.turns.barge_in import Told
from services.orchestrator.turns.end_of_turn import FRAMES_MISSING_MS, EndOfTurn
from services.orchestrator.turns.floor import Floor
from services.orchestrator.turns.hearing import Hearing
from services.orchestrator.turns.keypad import KeyCollector, rule_for
from services.orchestrator.turns.profile import CallerPauses
from services.orchestrator.turns.silence import Quiet
from services.orchestrator.turns.speculation import speculation_due_ns
from services.orchestrator.turns.speech import SpeechDetector
from services.orchestrator.turns.utterance import Utterance

MS = 1_000_000
MAX_UTTERANCE_MS = 28_000
# Words just begun may not be in a partial text yet: so much longer is waited where only those say that it is quiet.
IDLE_GRACE_MS = 300
# Speech that begins so soon after an end of turn was its continuation: the end came too early.
CUT_OFF_MS = 1_500


@dataclass(slots=True)
class TurnTaker:
    """Decides for one call. Not thread-safe, never waits. `languages`: those the call is held in; empty: any."""

    settings: TurnSettings
    final_deadline_ms: int
    locale: str = "en-US"
    languages: tuple[str, ...] = ()
    _speech: SpeechDetector = field(init=False)
    _hearing: Hearing = field(init=False)
    _floor: Floor = field(init=False)
    _end_of_turn: EndOfTurn = field(init=False)
    _utterance: Utterance | None = field(init=False, default=None)
    _count: int = field(init=False, default=0)
    _held: bool = field(init=False, default=False)
    _keys: KeyCollector = field(init=False, default_factory=KeyCollector)
    _quiet: Quiet = field(init=False)
    _last_frame_ns: int = field(init=False, default=0)
    # The end of speech of the turn that ended last.
    _ended_ns: int = field(init=False, default=0)
    _out: list[do.Decision] = field(init=False, default_factory=list)

    def __post_init__(self) -> None:
        self._speech = SpeechDetector(self.settings)
        self._quiet = Quiet(self.settings)
        self._hearing = Hearing(self.settings, self.locale, self.languages)
        self._floor = Floor(self.settings, self._speech, self._hearing)
        self._end_of_turn = EndOfTurn(self._speech, self._hearing, self.final_deadline_ms)

    @property
    def utterance_open(self) -> bool:
        """The caller's words are being heard or awaited."""
        return self._utterance is not None

    @property
    def last_voiced_ns(self) -> int:
        """End of the caller's speech, as far as known."""
        return self._speech.last_voiced_ns

    @property
    def noisy_line(self) -> bool:
        """Other voices may be heard in the noise of the line: every partial text counts."""
        return self._speech.noisy_line

    @property
    def caller(self) -> CallerPauses:
        """What is known of how this caller pauses."""
        return self._hearing.caller

    def handle(self, signal: on.Signal) -> list[do.Decision]:
        """Take one signal; the decisions it leads to, in order."""
        match signal:
            case on.VadFrame():
                self._on_frame(signal)
            case on.TurnPrediction():
                self._on_prediction(signal)
            case on.PartialText():
                self._on_partial(signal)
            case on.FinalText():
                self._on_text(signal)
            case on.FinalFailed():
                self._on_final_failed(signal)
            case on.AgentChanged():
                self._on_agent(signal)
            case on.Asked():
                self._on_asked(signal)
            case on.KeyPressed():
                self._on_key(signal)
            case on.HoldChanged():
                self._on_hold(signal)
            case on.Tick():
                pass
        self._on_time(signal.at_ns)
        decided, self._out = self._out, []
        return decided

    def next_deadline_ns(self) -> int | None:
        """When a Tick is wanted at the latest; None: not before the next signal."""
        if self._held:
            return None
        utterance = self._utterance
        due: list[int | None] = [self._keys.deadline_ns()]
        if utterance is None:
            due += self._quiet.deadlines_ns() if not self._keys.collecting else []
        elif utterance.dipped:
            due += [
                self._end_of_turn.due_ns(utterance, self._last_frame_ns),
                self._floor.deadline_ns(utterance),
                self._speculation_due_ns(utterance),
                self._ask_due_ns(utterance),
            ]
        else:
            due += [self._dip_deadline_ns(utterance), self._floor.deadline_ns(utterance)]
        return min((due_ns for due_ns in due if due_ns is not None), default=None)

    # ---- the caller speaks

    def _on_frame(self, frame: on.VadFrame) -> None:
        self._last_frame_ns = frame.at_ns
        if self._held:
            return
        edge = self._speech.push(frame)
        if edge == "onset":
            self._begin()
        utterance = self._utterance
        if utterance is None:
            return
        if edge == "resumed" and not utterance.forced:
            self._resume(utterance)
        if not utterance.dipped:
            pause_ns = frame.end_ns - self._speech.last_voiced_ns
            if not self._speech.voiced and pause_ns >= self._pause_ns(utterance):
                self._dip(utterance, frame.at_ns)
            elif frame.end_ns - utterance.onset_ns >= MAX_UTTERANCE_MS * MS:
                utterance.forced = True
                self._dip(utterance, frame.at_ns)

    def _begin(self) -> None:
        self._count += 1
        contested = not self._floor.agent_idle
        onset_ns = self._speech.onset_ns
        self._utterance = Utterance(self._count, onset_ns, contested, keyed=self._keys.collecting)
        self._quiet.speech_began()
        gap_ms = (onset_ns - self._ended_ns) / MS
        if self._ended_ns and gap_ms <= CUT_OFF_MS and self._floor.agent == "pending":
            self.caller.paused(gap_ms)
        wish = self._hearing.expected.kind == "open"
        self._out.append(do.StartSpeech(self._count, onset_ns, contested, wish))

    def _pause_ns(self, utterance: Utterance) -> int:
        return (self.settings.pause_ms + utterance.later_dip_ms(self.settings.later_dip_ms)) * MS

    def _dip(self, utterance: Utterance, at_ns: int) -> None:
        self._speech.dip()
        utterance.dipped = True
        if utterance.keyed:
            self._close(do.Discard(utterance.number, "keys"), at_ns)
        else:
            self._out.append(do.PauseSpeech(utterance.number, self._speech.last_voiced_ns))

    def _resume(self, utterance: Utterance) -> None:
        if utterance.speculated is not None:
            self._out.append(do.DropSpeculation())
        pause_ns = self._speech.pause_ns
        utterance.went_on((pause_ns - self._pause_ns(utterance)) / MS)
        self._hearing.read(utterance)
        utterance.pauses_ms.append(pause_ns / MS)
        if not self._speech.noisy_line:
            self._learn_pauses(utterance)
        self._out.append(do.ResumeSpeech(utterance.number))

    def _learn_pauses(self, utterance: Utterance) -> None:
        """They were the caller's: words came behind them, or nobody else is on the line."""
        for pause_ms in utterance.pauses_ms:
            self.caller.paused(pause_ms)
        utterance.pauses_ms.clear()

    # ---- what is made of it

    def _on_prediction(self, signal: on.TurnPrediction) -> None:
        utterance = self._match(signal.utterance)
        if utterance is not None and utterance.dipped:
            utterance.probability, utterance.probability_ns = signal.probability, signal.at_ns

    def _on_partial(self, signal: on.PartialText) -> None:
        utterance = self._match(signal.utterance)
        if utterance is None:
            return
        if signal.asked:
            utterance.told = Told(signal.text, signal.avg_logprob, signal.no_speech_prob)
            utterance.answers += 1
            if signal.text and not utterance.told.sure(self.settings.low_score_no_speech):
                # Words with known doubts are judged with them, not as a partial text, which comes without.
                return
        utterance.partial_came(signal.text)
        self._hearing.read(utterance)
        self._look_for_noise(utterance, signal)

    def _look_for_noise(self, utterance: Utterance, signal: on.PartialText) -> None:
        """On a noisy line what goes on without new words is not the caller: the silence has lasted since the last."""
        if utterance.dipped or signal.asked or not self._speech.noisy_line or self._floor.contested_by(utterance):
            return
        if not utterance.idle(signal.text, signal.at_ns):
            return
        words_ns = utterance.words_end_ns if utterance.words else utterance.onset_ns
        if signal.at_ns >= words_ns + (self._hearing.wait(utterance).ms + IDLE_GRACE_MS) * MS:
            # No speech undoes this pause, and the turn ends with its text.
            utterance.forced = True
            self._dip(utterance, signal.at_ns)

    def _on_text(self, signal: on.FinalText) -> None:
        utterance = self._match(signal.utterance)
        if utterance is None or not utterance.dipped:
            return
        utterance.text_ns = signal.at_ns
        utterance.logprob, utterance.ending = signal.avg_logprob, signal.ending
        utterance.doubt = self._hearing.doubt(signal, self._speech.voiced_ns / MS)
        last_voiced_ns, noisy = self._speech.last_voiced_ns, self._speech.noisy_line
        if utterance.text_came(signal.text.strip(), last_voiced_ns, noisy_line=noisy):
            self._learn_pauses(utterance)
        self._hearing.read(utterance)
        decided, unheard = self._floor.judge(utterance)
        self._out += decided
        if unheard:
            if unheard == "background" and self._hearing.level.distant(self._speech.level_db):
                self._hearing.level.ignored()
            self._close(do.Discard(utterance.number, unheard), signal.at_ns)

    def _on_final_failed(self, signal: on.FinalFailed) -> None:
        utterance = self._match(signal.utterance)
        if utterance is None or not utterance.dipped or utterance.text is not None:
            return
        if utterance.asked_again:
            self._fail(utterance, signal.at_ns)
        else:
            utterance.asked_again = True
            self._out.append(do.Finalize(utterance.number))

    # ---- the agent, the keys, the line

    def _on_agent(self, signal: on.AgentChanged) -> None:
        self._out += self._floor.agent_changed(signal, self._utterance)
        self._quiet.agent_changed(signal.phase, signal.at_ns)

    def _on_asked(self, signal: on.Asked) -> None:
        self._hearing.asked(signal)
        self._keys.asked(rule_for(signal.expectation))
        if self._utterance is not None:
            self._hearing.read(self._utterance)

    def _on_key(self, signal: on.KeyPressed) -> None:
        self._quiet.present(signal.at_ns)
        if self._held or signal.key is None:
            return
        entered = self._keys.press(signal.key, rule_for(self._hearing.expected), signal.at_ns)
        if entered is None and not self._keys.collecting:
            return
        utterance = self._utterance
        self._out += self._floor.key_pressed(utterance, signal.at_ns)
        if utterance is not None:
            utterance.keyed = True
            if utterance.dipped:
                self._close(do.Discard(utterance.number, "keys"), signal.at_ns)
        if entered is not None:
            self._answered_by_keys(entered, signal.at_ns)

    def _answered_by_keys(self, entered: do.KeysEntered, at_ns: int) -> None:
        self._out.append(entered)
        self._quiet.understood(at_ns)
        self._quiet.present(at_ns)
        self._ended_ns = 0

    def _on_hold(self, signal: on.HoldChanged) -> None:
        if signal.held == self._held:
            return
        self._held = signal.held
        if signal.held and self._utterance is not None:
            self._out += self._floor.give_back(self._utterance, "held")
            self._close(do.Discard(self._utterance.number, "held"), signal.at_ns)
        self._keys.clear()
        self._speech.reset()
        self._quiet.present(signal.at_ns)

    # ---- time

    def _on_time(self, at_ns: int) -> None:
        if self._held:
            return
        if (entered := self._keys.due(at_ns)) is not None:
            self._answered_by_keys(entered, at_ns)
        utterance = self._utterance
        if utterance is None:
            self._out += self._quiet.due(at_ns) if not self._keys.collecting else []
            return
        if not utterance.dipped and at_ns >= self._dip_deadline_ns(utterance):
            self._dip(utterance, at_ns)
        if self._utterance is utterance:
            self._out += self._floor.contest(utterance, at_ns)
            self._out += self._floor.ask_words(utterance)
        if utterance.dipped and self._utterance is utterance:
            self._end_if_due(utterance, at_ns)
        if utterance.dipped and self._utterance is utterance:
            self._speculate(utterance, at_ns)
            self._ask_turn_model(utterance, at_ns)

    def _dip_deadline_ns(self, utterance: Utterance) -> int:
        """When speech counts as paused if no frame says otherwise."""
        paused_ns = self._speech.last_voiced_ns + self._pause_ns(utterance)
        if not self._speech.voiced:
            # The newest frame is silence already: no need to wait for the next one to know that the pause is long.
            return paused_ns
        return max(self._last_frame_ns, paused_ns) + FRAMES_MISSING_MS * MS

    def _speculation_due_ns(self, utterance: Utterance) -> int | None:
        if self._floor.contested_by(utterance):
            return None
        log_odds = self._hearing.wait(utterance).log_odds
        return speculation_due_ns(self.settings, utterance, log_odds, self._speech.last_voiced_ns)

    def _speculate(self, utterance: Utterance, at_ns: int) -> None:
        due_ns = self._speculation_due_ns(utterance)
        if due_ns is not None and at_ns >= due_ns and utterance.text:
            utterance.speculated = utterance.text
            utterance.speculations += 1
            utterance.in_this_dip += 1
            self._out.append(do.Speculate(utterance.number, utterance.text))

    def _ask_due_ns(self, utterance: Utterance) -> int | None:
        # While the floor is contested words decide, not whether they are complete.
        contested = self._floor.contested_by(utterance)
        return None if contested else self._hearing.ask_due_ns(utterance, self._speech.last_voiced_ns)

    def _ask_turn_model(self, utterance: Utterance, at_ns: int) -> None:
        due_ns = self._ask_due_ns(utterance)
        if due_ns is not None and at_ns >= due_ns:
            self._hearing.asked_model(utterance, at_ns - self._speech.last_voiced_ns)
            self._out.append(do.AskTurnModel(utterance.number))

    # ---- ends

    def _end_if_due(self, utterance: Utterance, at_ns: int) -> None:
        verdict = self._end_of_turn.verdict(utterance, at_ns, self._last_frame_ns)
        if verdict is None:
            return
        match verdict.what:
            case "answer":
                self._answer(utterance, verdict.decided_ns, at_ns)
            case "doubt" | "no text":
                reason = utterance.doubt or "no text"
                self._ask_what(do.UnclearTurn(utterance.number, self._speech.last_voiced_ns, reason), at_ns)
            case "nothing":
                self._close(do.Discard(utterance.number, "no words"), at_ns)
            case "late":
                self._late(utterance)
            case "lost":
                self._fail(utterance, at_ns)

    def _answer(self, utterance: Utterance, decided_ns: int, at_ns: int) -> None:
        last_voiced_ns = self._speech.last_voiced_ns
        reason = self._hearing.wait(utterance).reason
        self._hearing.level.answered(self._speech.level_db)
        self._ended_ns = last_voiced_ns
        self._quiet.understood(decided_ns)
        self._close(do.EndTurn(utterance.number, utterance.text or "", last_voiced_ns, decided_ns, reason), at_ns)

    def _ask_what(self, unclear: do.UnclearTurn, at_ns: int) -> None:
        """Ask again; after some times offer another way, and in the end give up."""
        instead = self._quiet.not_understood()
        if instead is None:
            self._close(unclear, at_ns)
            return
        self._close(do.Discard(unclear.utterance, unclear.reason), at_ns)
        self._out.append(instead)

    def _late(self, utterance: Utterance) -> None:
        utterance.late = True
        self._out.append(do.FinalLate(utterance.number))
        if not utterance.asked_again:
            utterance.asked_again = True
            self._out.append(do.Finalize(utterance.number))

    def _fail(self, utterance: Utterance, at_ns: int) -> None:
        self._out += self._floor.give_back(utterance, "no words")
        self._close(do.FailTurn(utterance.number), at_ns)

    def _close(self, last: do.Decision, at_ns: int) -> None:
        utterance = self._utterance
        if utterance is not None:
            self._out += self._floor.give_back(utterance, "over")
            if utterance.speculated is not None and not isinstance(last, do.EndTurn):
                self._out.append(do.DropSpeculation())
        self._out.append(last)
        self._utterance = None
        self._speech.reset()
        self._quiet.speech_ended(at_ns, answered=isinstance(last, do.EndTurn | do.UnclearTurn))

    def _match(self, number: int) -> Utterance | None:
        utterance = self._utterance
        return utterance if utterance is not None and utterance.number == number else None
