"""A call in which everything races: random signals in random order, and what must hold whatever they are."""

from collections import Counter

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from services.common.personal import Personal
from services.common.settings import TurnSettings
from services.orchestrator.turns import decisions as do
from services.orchestrator.turns import signals as on
from services.orchestrator.turns.expectation import Expectation, KeypadRule
from services.orchestrator.turns.lexicon.words import normalized
from tests.orchestrator.turn_world import CLOSING, MS, World

TEXTS = [
    "",
    "Yes.",
    "okay",
    "I want to",
    "Book a flight to Rome.",
    "mm-hmm",
    "stop",
    "one two three",
    "your parcel is here",
]
SAYINGS = ["", "Your parcel is here and waits for you.", "Shall I book it?"]
EXPECTATIONS = [
    Expectation(),
    Expectation("yes_no"),
    Expectation("digits", 3),
    Expectation("digits", 4, KeypadRule(max_keys=4, masked=True, inter_digit_ms=1_500)),
    Expectation("story"),
    Expectation("choice", options=("rome", "paris")),
]
UNHEARD = {"backchannel", "no words", "echo", "background", "low score", "language", "no text"}


class Call(RuleBasedStateMachine):
    """Follows every decision as the call's shell would, and complains at once."""

    @initialize(profile=st.sampled_from(["default", "elderly", "noisy", "dictation"]), speculations=st.integers(0, 3))
    def begin(self, profile: str, speculations: int) -> None:
        self.settings = TurnSettings(profile=profile, max_speculations=speculations)  # type: ignore[arg-type]
        self.world = World(self.settings)
        self.seen = 0
        self.open = 0
        self.dipped = False
        self.playout_paused = False
        self.protected = False
        self.held = False
        self.holding: str | None = None
        self.texts: dict[int, str] = {}
        self.speculated: Counter[int] = Counter()
        self.closed: list[int] = []
        self.pressed = ""
        self.entered = ""
        self.keyed: set[int] = set()
        self.began_idle: set[int] = set()
        self.agent_idle = True

    # ---- what may happen

    @rule(ms=st.integers(32, 1_500), level=st.sampled_from([-20.0, -50.0]))
    def the_caller_makes_a_sound(self, ms: int, level: float) -> None:
        self.world.speech(ms, level)

    @rule(ms=st.integers(32, 1_000), probability=st.sampled_from([0.02, 0.02, 0.4, 0.6]))
    def it_is_quieter(self, ms: int, probability: float) -> None:
        self.world.frames(ms, probability, -70.0)

    @rule(protected=st.booleans(), ms=st.integers(100, 1_500))
    def the_caller_talks_over_the_agent(self, protected: bool, ms: int) -> None:
        self.protected, self.agent_idle = protected, False
        self.world.agent("speaking", protected=protected, saying="Your parcel is here and waits for you.")
        self.world.speech(ms, -20.0)

    @rule(ms=st.integers(1, 4_000))
    def time_passes(self, ms: int) -> None:
        self.world.wait(ms)

    @rule(hours=st.integers(1, 3))
    def the_clock_jumps(self, hours: int) -> None:
        """The machine slept: nothing rang, then everything is due at once."""
        self.world.now_ms += hours * 3_600_000
        self.feed(on.Tick(self.now_ns))

    @rule(
        text=st.sampled_from(TEXTS), back=st.integers(0, 2), final=st.booleans(), logprob=st.sampled_from([-0.1, -1.5])
    )
    def text_comes(self, text: str, back: int, final: bool, logprob: float) -> None:
        """Early, late, twice, or for an utterance that is over."""
        number = self.world.utterance - back
        if number == self.open and self.dipped:
            self.texts[number] = text
        self.feed(on.FinalText(self.now_ns, number, text, not final, logprob))

    @rule(text=st.sampled_from(TEXTS))
    def partial_comes(self, text: str) -> None:
        self.feed(on.PartialText(self.now_ns, self.world.utterance, text))

    @rule(probability=st.floats(0, 1), back=st.integers(0, 1))
    def opinion_comes(self, probability: float, back: int) -> None:
        self.feed(on.TurnPrediction(self.now_ns, self.world.utterance - back, probability))

    @rule(back=st.integers(0, 1))
    def recogniser_fails(self, back: int) -> None:
        self.feed(on.FinalFailed(self.now_ns, self.world.utterance - back))

    @rule(
        phase=st.sampled_from(["idle", "pending", "speaking"]), protected=st.booleans(), saying=st.sampled_from(SAYINGS)
    )
    def agent_changes(self, phase: on.AgentPhase, protected: bool, saying: str) -> None:
        self.protected = protected and phase != "idle"
        self.agent_idle = phase == "idle"
        self.world.agent(phase, protected=protected, saying=saying)

    @rule(expectation=st.sampled_from(EXPECTATIONS))
    def something_is_asked(self, expectation: Expectation) -> None:
        self.world.asked(expectation)

    @rule(key=st.sampled_from("0123456789*#"))
    def key_is_pressed(self, key: str) -> None:
        if not self.held and key != "#":
            self.pressed += key
            self.keyed.add(self.open)
        self.feed(on.KeyPressed(self.now_ns, Personal(key, "key")))

    @rule(held=st.booleans())
    def hold_changes(self, held: bool) -> None:
        if held != self.held:
            self.pressed = self.entered
        self.held = held
        self.feed(on.HoldChanged(self.now_ns, held))

    @precondition(lambda self: self.open and not self.held)
    @rule(text=st.sampled_from(TEXTS[1:]))
    def the_caller_finishes(self, text: str) -> None:
        """An orderly end, so that random calls get anywhere."""
        self.world.frames(300, 0.02, -90.0)
        if self.open_now():
            self.texts[self.open] = text
            self.world.predict(0.97)
            if self.open_now():
                self.world.text(text)

    # ---- what must hold

    @property
    def now_ns(self) -> int:
        return self.world.now_ms * MS

    def feed(self, signal: on.Signal) -> None:
        self.world.feed(signal)

    def open_now(self) -> bool:
        self.follow()
        return bool(self.open) and self.dipped

    @invariant()
    def follow(self) -> None:
        new, self.seen = self.world.log[self.seen :], len(self.world.log)
        for _, decision in new:
            self.utterance_marks(decision)
            self.floor_marks(decision)
            self.reply_marks(decision)
            if isinstance(decision, do.KeysEntered):
                self.entered += decision.keys.reveal()

    def utterance_marks(self, decision: do.Decision) -> None:
        match decision:
            case do.StartSpeech(number, during_playout=contested):
                assert self.open == 0, "one utterance at a time"
                assert not self.held
                self.open, self.dipped = number, False
                if self.pressed != self.entered:
                    self.keyed.add(number)
                if not contested:
                    self.began_idle.add(number)
            case do.PauseSpeech(number):
                assert (number, self.dipped) == (self.open, False)
                self.dipped = True
            case do.ResumeSpeech(number):
                assert (number, self.dipped) == (self.open, True)
                assert self.holding is None, "what was prepared is void when speech goes on"
                self.dipped = False
                self.texts.pop(number, None)
            case do.AskTurnModel(number) | do.Finalize(number) | do.FinalLate(number):
                assert (number, self.dipped) == (self.open, True)
            case do.EndTurn() | do.UnclearTurn() | do.Discard() | do.FailTurn():
                assert decision.utterance == self.open
                assert self.holding is None or isinstance(decision, do.EndTurn)
                self.closed.append(decision.utterance)
                self.open, self.dipped = 0, False

    def floor_marks(self, decision: do.Decision) -> None:
        match decision:
            case do.PausePlayout():
                assert not self.playout_paused
                assert not self.protected, "protected speech is never paused"
                self.playout_paused = True
            case do.ResumePlayout():
                assert self.playout_paused
                self.playout_paused = False
            case do.StopPlayout():
                assert not self.protected, "protected speech is never stopped"
                self.playout_paused = False

    def reply_marks(self, decision: do.Decision) -> None:
        match decision:
            case do.Speculate(number, text):
                assert text
                assert normalized(text) == normalized(self.texts[number])
                self.speculated[number] += 1
                assert self.speculated[number] <= self.settings.max_speculations
                self.holding = text
            case do.DropSpeculation():
                assert self.holding is not None
                self.holding = None
            case do.EndTurn(number, text):
                assert number not in self.keyed, "speech and keys do not answer the same question"
                assert text == self.texts[number], "the turn is answered with the last text that was heard for it"
                self.holding = None
            case do.Discard(number, reason) if reason in UNHEARD and number in self.began_idle:
                assert not self.texts.get(number) or reason in ("low score", "language"), "no turn is lost"

    @invariant()
    def keys_are_neither_lost_nor_repeated(self) -> None:
        assert self.pressed.startswith(self.entered)

    @invariant()
    def something_is_always_due_while_somebody_waits(self) -> None:
        taker = self.world.taker
        waiting = taker.utterance_open or self.pressed != self.entered
        if waiting and not self.held:
            due_ns = taker.next_deadline_ns()
            assert due_ns is not None
            assert due_ns <= self.now_ns + 40_000 * MS

    def teardown(self) -> None:
        if not hasattr(self, "world"):
            return
        self.feed(on.HoldChanged(self.now_ns, False))
        self.world.agent("idle")
        self.protected, self.agent_idle, self.held = False, True, False
        self.world.wait(120_000)
        self.follow()
        assert not self.world.taker.utterance_open, "it always ends"
        assert not self.playout_paused
        assert self.holding is None
        assert self.closed == list(range(1, self.world.utterance + 1)), "each utterance ends exactly once"
        assert len(self.world.made(*CLOSING)) == len(self.closed)
        assert self.entered == self.pressed
        assert self.world.taker.next_deadline_ns() is None, "nobody there: given up, and quiet"


Call.TestCase.settings = settings(max_examples=60, stateful_step_count=60, deadline=None)
TestAnyOrderOfEvents = Call.TestCase
