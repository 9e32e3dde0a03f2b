"""The turn-taker: who has the floor. A state machine without I/O: signals in, decisions out.

    QUIET ──onset──► SPEAKING ──pause_ms──► DIPPED ──wait over, text there──► EndTurn | UnclearTurn | Discard
                        ▲                     │ ▲ │
                        └──── speech again ───┘ │ └──no text: FinalLate … FailTurn──►
                                                └── predictions and texts regrade the wait

One utterance at a time; each ends in exactly one of EndTurn, UnclearTurn, Discard, FailTurn. While the agent is
pending or speaking the utterance is also contested: PausePlayout is followed by exactly one of ResumePlayout and
StopPlayout (barge_in.py decides). Time comes only with signals; `next_deadline_ns` says when to send a Tick.
"""

from dataclasses import dataclass, field

from services.common.settings import TurnSettings
from services.orchestrator.turns import barge_in
from services.orchestrator.turns import decisions as do
from services.orchestrator.turns import signals as on
from services.orchestrator.turns.completeness import read
from services.orchestrator.turns.endpoint import Wait, endpoint_wait
from services.orchestrator.turns.expectation import OPEN, Expectation
from services.orchestrator.turns.floor import Floor
from services.orchestrator.turns.lexicon import lexicon
from services.orchestrator.turns.lexicon.words import Lexicon, normalized
from services.orchestrator.turns.profile import PROFILES, CallerPauses
from services.orchestrator.turns.speech import SpeechDetector
from services.orchestrator.turns.utterance import Silence, Utterance

MS = 1_000_000
# Without frames (loss, a peer that sends nothing in silence) time alone ends speech, this much later.
FRAMES_MISSING_MS = 150
# A text this late will not come.
FAIL_AFTER_LATE_MS = 8_000
# Without text, speech shorter than this is not worth asking "what did you say?".
UNCLEAR_VOICED_MS = 500
MAX_UTTERANCE_MS = 28_000
# While the turn is still open the turn model is asked again, with this much silence after the last voiced frame.
ASK_AGAIN_MS = (400, 700)
# Speech that begins so soon after an end of turn was its continuation: the end came too early.
CUT_OFF_MS = 1_500


@dataclass(slots=True)
class TurnTaker:
    """Decides for one call. Not thread-safe, never waits."""

    settings: TurnSettings
    final_deadline_ms: int
    locale: str = "en-US"
    caller: CallerPauses = field(init=False)
    _expected: Expectation = field(init=False, default=OPEN)
    _lexicon: Lexicon = field(init=False)
    # The end of speech of the turn that ended last.
    _ended_ns: int = field(init=False, default=0)
    _speech: SpeechDetector = field(init=False)
    _utterance: Utterance | None = field(init=False, default=None)
    _count: int = field(init=False, default=0)
    _floor: Floor = field(init=False)
    _held: bool = field(init=False, default=False)
    _silence: Silence = field(init=False, default_factory=Silence)
    _last_frame_ns: int = field(init=False, default=0)
    _out: list[do.Decision] = field(init=False, default_factory=list)

    def __post_init__(self) -> None:
        self._speech = SpeechDetector(self.settings)
        self._floor = Floor(self.settings, self._speech)
        self.caller = CallerPauses(PROFILES[self.settings.profile])
        self._lexicon = lexicon(self.locale)

    @property
    def utterance_open(self) -> bool:
        """The caller's words are being heard or awaited."""
        return self._utterance is not None

    @property
    def last_voiced_ns(self) -> int:
        """End of the caller's speech, as far as known."""
        return self._speech.last_voiced_ns

    def handle(self, signal: on.Signal) -> list[do.Decision]:
        """Take one signal; the decisions it leads to, in order."""
        match signal:
            case on.VadFrame():
                self._on_frame(signal)
            case on.TurnPrediction():
                self._on_prediction(signal)
            case on.PartialText():
                if (utterance := self._match(signal.utterance)) is not None:
                    utterance.partial = signal.text
                    self._read(utterance)
            case on.FinalText():
                self._on_text(signal)
            case on.FinalFailed():
                self._on_final_failed(signal)
            case on.AgentChanged():
                self._on_agent(signal)
            case on.Asked():
                self._on_asked(signal)
            case on.KeyPressed():
                self._silence = Silence(since_ns=signal.at_ns)
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
        if utterance is None:
            return self._silence_deadline_ns()
        ends_ns = self._turn_deadline_ns(utterance) if utterance.dipped else self._dip_deadline_ns()
        others = [self._floor.deadline_ns(utterance)]
        if utterance.dipped:
            others += [self._speculation_due_ns(utterance), self._ask_due_ns(utterance)]
        return min([ends_ns, *(due_ns for due_ns in others if due_ns is not None)])

    # ---- signals

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
            if not self._speech.voiced and pause_ns >= self.settings.pause_ms * MS:
                self._dip(utterance)
            elif frame.end_ns - utterance.onset_ns >= MAX_UTTERANCE_MS * MS:
                utterance.forced = True
                self._dip(utterance)

    def _begin(self) -> None:
        self._count += 1
        self._utterance = Utterance(self._count, self._speech.onset_ns, contested=not self._floor.agent_idle)
        self._silence.since_ns = None
        gap_ms = (self._speech.onset_ns - self._ended_ns) / MS
        if self._ended_ns and gap_ms <= CUT_OFF_MS and self._floor.agent == "pending":
            self.caller.paused(gap_ms)
        self._out.append(do.StartSpeech(self._count, self._speech.onset_ns, not self._floor.agent_idle))

    def _dip(self, utterance: Utterance) -> None:
        self._speech.dip()
        utterance.dipped = True
        self._out.append(do.PauseSpeech(utterance.number, self._speech.last_voiced_ns))

    def _resume(self, utterance: Utterance) -> None:
        if utterance.speculated is not None:
            self._out.append(do.DropSpeculation())
        utterance.dipped = utterance.late = utterance.asked_again = False
        utterance.probability = utterance.text = utterance.speculated = None
        utterance.asks = 0
        self._read(utterance)
        self.caller.paused(self._speech.pause_ns / MS)
        self._out.append(do.ResumeSpeech(utterance.number))

    def _on_prediction(self, signal: on.TurnPrediction) -> None:
        utterance = self._match(signal.utterance)
        if utterance is not None and utterance.dipped:
            utterance.probability, utterance.probability_ns = signal.probability, signal.at_ns

    def _on_text(self, signal: on.FinalText) -> None:
        utterance = self._match(signal.utterance)
        if utterance is None or not utterance.dipped:
            return
        utterance.text, utterance.text_ns = signal.text.strip(), signal.at_ns
        self._read(utterance)
        if self._floor.contested_by(utterance):
            if barge_in.by_words(utterance.text) == "resume":
                reason = "backchannel" if utterance.text else "no words"
                self._out += self._floor.give_back(utterance, reason)
                self._close(do.Discard(utterance.number, reason), signal.at_ns)
                return
            self._out += self._floor.stop(utterance, "words")

    def _on_final_failed(self, signal: on.FinalFailed) -> None:
        utterance = self._match(signal.utterance)
        if utterance is None or not utterance.dipped or utterance.text is not None:
            return
        if utterance.asked_again:
            self._fail(utterance, signal.at_ns)
        else:
            utterance.asked_again = True
            self._out.append(do.Finalize(utterance.number))

    def _on_agent(self, signal: on.AgentChanged) -> None:
        self._floor.agent = signal.phase
        if signal.phase == "idle":
            self._silence.since_ns = signal.at_ns
            if self._utterance is not None:
                # Nothing is left to pause or stop; the words are a turn like any other.
                self._utterance.paused = False
        else:
            self._silence.since_ns = None

    def _on_asked(self, signal: on.Asked) -> None:
        self._expected = signal.expectation
        if signal.locale:
            self._lexicon = lexicon(signal.locale)
        if self._utterance is not None:
            self._read(self._utterance)

    def _read(self, utterance: Utterance) -> None:
        words = utterance.text if utterance.text is not None else utterance.partial
        utterance.reading = read(words, self._lexicon, self._expected) if words else None

    def _on_hold(self, signal: on.HoldChanged) -> None:
        if signal.held == self._held:
            return
        self._held = signal.held
        if signal.held and self._utterance is not None:
            self._out += self._floor.give_back(self._utterance, "held")
            self._close(do.Discard(self._utterance.number, "held"), signal.at_ns)
        self._speech.reset()
        self._silence = Silence(since_ns=signal.at_ns if self._floor.agent_idle else None)

    # ---- time

    def _on_time(self, at_ns: int) -> None:
        if self._held:
            return
        utterance = self._utterance
        if utterance is None:
            self._on_silence(at_ns)
            return
        if not utterance.dipped and at_ns >= self._dip_deadline_ns():
            self._dip(utterance)
        self._out += self._floor.contest(utterance, at_ns)
        if utterance.dipped:
            self._end_if_due(utterance, at_ns)
            if self._utterance is utterance:
                self._speculate(utterance, at_ns)
                self._ask_again(utterance, at_ns)

    def _end_if_due(self, utterance: Utterance, at_ns: int) -> None:
        due_ns = self._turn_deadline_ns(utterance)
        if at_ns < due_ns:
            return
        last_voiced_ns = self._speech.last_voiced_ns
        if utterance.text is None:
            self._late(utterance, at_ns)
        elif utterance.text:
            # The wait was over at `due_ns`, or when the opinion came that shortened it; waiting for text is not
            # endpointing.
            text_was_late = utterance.text_ns > due_ns
            decided_ns = min(at_ns, max(due_ns, utterance.probability_ns)) if text_was_late else at_ns
            reason = self._wait(utterance).reason
            self._ended_ns = last_voiced_ns
            self._close(do.EndTurn(utterance.number, utterance.text, last_voiced_ns, decided_ns, reason), at_ns)
        elif self._speech.voiced_ns >= UNCLEAR_VOICED_MS * MS:
            self._close(do.UnclearTurn(utterance.number, last_voiced_ns), at_ns)
        else:
            self._close(do.Discard(utterance.number, "no words"), at_ns)

    def _late(self, utterance: Utterance, at_ns: int) -> None:
        if utterance.late:
            self._fail(utterance, at_ns)
            return
        utterance.late = True
        self._out.append(do.FinalLate(utterance.number))
        if not utterance.asked_again:
            utterance.asked_again = True
            self._out.append(do.Finalize(utterance.number))

    def _fail(self, utterance: Utterance, at_ns: int) -> None:
        self._out += self._floor.give_back(utterance, "no words")
        self._close(do.FailTurn(utterance.number), at_ns)

    def _dip_deadline_ns(self) -> int:
        """When speech counts as paused if no frame says otherwise."""
        paused_ns = self._speech.last_voiced_ns + self.settings.pause_ms * MS
        if not self._speech.voiced:
            # The newest frame is silence already: no need to wait for the next one to know that the pause is long.
            return paused_ns
        return max(self._last_frame_ns, paused_ns) + FRAMES_MISSING_MS * MS

    def _turn_deadline_ns(self, utterance: Utterance) -> int:
        """When the dip becomes an end; while the text is missing, when it is late or lost."""
        wait_ms = self._wait(utterance).ms
        if utterance.text is None:
            wait_ms = max(wait_ms, self.final_deadline_ms) + (FAIL_AFTER_LATE_MS if utterance.late else 0)
        elif utterance.forced:
            wait_ms = 0
        return self._speech.last_voiced_ns + wait_ms * MS

    def _wait(self, utterance: Utterance) -> Wait:
        return endpoint_wait(self.settings, utterance.probability, utterance.reading, self.caller)

    def _ask_again(self, utterance: Utterance, at_ns: int) -> None:
        due_ns = self._ask_due_ns(utterance)
        if due_ns is not None and at_ns >= due_ns:
            silence_ms = (at_ns - self._speech.last_voiced_ns) / MS
            utterance.asks = sum(silence_ms >= ms for ms in ASK_AGAIN_MS)
            self._out.append(do.AskTurnModel(utterance.number))

    def _ask_due_ns(self, utterance: Utterance) -> int | None:
        """When the turn model is asked again: only where its answer can still change the wait."""
        if utterance.asks >= len(ASK_AGAIN_MS) or utterance.forced or utterance.late:
            return None
        ask_ms = ASK_AGAIN_MS[utterance.asks]
        return self._speech.last_voiced_ns + ask_ms * MS if self._wait(utterance).ms > ask_ms else None

    def _silence_deadline_ns(self) -> int | None:
        return self._silence.deadline_ns(self.settings) if self._floor.agent_idle else None

    def _on_silence(self, at_ns: int) -> None:
        deadline_ns = self._silence_deadline_ns()
        if deadline_ns is not None and at_ns >= deadline_ns:
            self._out.append(self._silence.ask(self.settings, at_ns))

    # ---- ends

    def _speculate(self, utterance: Utterance, at_ns: int) -> None:
        due_ns = self._speculation_due_ns(utterance)
        if due_ns is not None and at_ns >= due_ns and utterance.text:
            utterance.speculated = utterance.text
            self._out.append(do.Speculate(utterance.number, utterance.text))

    def _speculation_due_ns(self, utterance: Utterance) -> int | None:
        """When a reply may be prepared: at once for a turn that has probably ended, after a while for any other."""
        if not utterance.text or self._floor.contested_by(utterance):
            return None
        if utterance.speculated is not None and normalized(utterance.speculated) == normalized(utterance.text):
            return None
        if self._wait(utterance).log_odds < 0:
            wait_ms = (self.settings.endpoint_complete_ms + self.settings.endpoint_unsure_ms) // 2
            return self._speech.last_voiced_ns + wait_ms * MS
        return 0

    def _close(self, last: do.Decision, at_ns: int) -> None:
        utterance = self._utterance
        if utterance is not None and utterance.speculated is not None and not isinstance(last, do.EndTurn):
            self._out.append(do.DropSpeculation())
        self._out.append(last)
        self._utterance = None
        self._speech.reset()
        answered = isinstance(last, do.EndTurn | do.UnclearTurn)
        self._silence = Silence(
            since_ns=at_ns if self._floor.agent_idle else None, asked=0 if answered else self._silence.asked
        )

    def _match(self, number: int) -> Utterance | None:
        utterance = self._utterance
        return utterance if utterance is not None and utterance.number == number else None
