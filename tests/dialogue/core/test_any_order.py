"""Whatever comes in whatever order: nothing is done that was not allowed, asked and heard; the call is never stuck."""

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from services.common.personal import Personal
from services.orchestrator.control.model import Allowed, Denied, Outcome, Rejected
from services.orchestrator.dialogue import arguments
from services.orchestrator.dialogue.codec import dump, load
from services.orchestrator.dialogue.manager import Dialogue
from services.orchestrator.dialogue.model import (
    CallerKeyed,
    CallerSaid,
    EffectDone,
    HandOver,
    Identified,
    Judge,
    Judged,
    Perform,
    Played,
    Read,
    ReadDone,
    Say,
    Understood,
)
from tests.dialogue.core.scripted import (
    BANK,
    CANCEL,
    NO,
    PERSON,
    RECORDS,
    REPEAT,
    YES,
    Desk,
    check,
    give,
    money,
    pick,
    start,
)

SURE = st.sampled_from([0.2, 0.7, 0.95, 0.99])
ACTS = st.one_of(
    st.sampled_from(["block_card", "balance", "refund", "change_address"]).map(start),
    st.builds(lambda last4, sure: give("card", {"last4": last4}, sure=sure), st.sampled_from(["4417", "9023"]), SURE),
    st.builds(lambda why, sure: give("reason", why, sure=sure), st.sampled_from(["lost", "stolen"]), SURE),
    st.builds(
        lambda name, sure, fix: give("txn", {"merchant": name}, sure=sure, corrects=fix),
        st.sampled_from(["Northern Rail", "Blue Kettle Cafe", "City Lottery", "Opera"]),
        SURE,
        st.booleans(),
    ),
    st.builds(
        lambda pounds, sure, fix, rivals: give("amount", money(pounds), sure=sure, corrects=fix, rivals=rivals),
        st.sampled_from([5, 15, 50]),
        SURE,
        st.booleans(),
        st.sampled_from([(), (money(15),)]),
    ),
    st.builds(lambda street: give("street", street), st.sampled_from(["3 Elm Road", "9 Oak Lane"])),
    st.builds(lambda code: give("postcode", code), st.sampled_from(["YO1 7HH", "YO2 8AA"])),
    st.builds(pick, st.sampled_from(["", "txn", "card", "amount"]), st.sampled_from([None, 0, 1, -1, 7])),
    st.sampled_from([YES, YES, YES, NO, CANCEL, REPEAT]),
)
TURN = st.lists(ACTS, min_size=0, max_size=3)


class AnyOrder(RuleBasedStateMachine):
    """Requests are answered when hypothesis likes, or never; speeches end when it likes; workers die."""

    def __init__(self):
        super().__init__()
        self.desk = Desk()
        self.dialogue = Dialogue(BANK, "en-GB")
        self.dialogue.state.level = 2
        self.dialogue.state.caller = {"subject": Personal("c-1001")}
        self.turn = 0
        self.open = {}
        self.playing = []
        self.allowed = {}
        self.heard = set()
        self.readbacks = {}
        self.performed = {}
        self.failed = set()
        self.take(self.dialogue.begin())

    def take(self, decisions):
        question = self.dialogue.state.question
        for decision in decisions:
            match decision:
                case Say():
                    self.desk.render(decision)
                    self.playing.append(decision.speech)
                    if question is not None and question.kind == "confirm" and question.speech == decision.speech:
                        self.readbacks[decision.speech] = question.digest
                case Read() | Judge():
                    self.open[decision.request] = decision
                case Perform():
                    self.may_be_done(decision)
                    self.open[decision.request] = decision
        assert sum(isinstance(decision, HandOver) for decision in decisions) <= 1
        check(self.dialogue)

    def may_be_done(self, decision):
        key = arguments.digest(decision.proposal)
        assert key in self.allowed, "done without having been allowed"
        if self.allowed[key]:
            assert decision.confirmed, "done without a yes where one is asked for"
        if decision.confirmed:
            assert key in self.heard, "a yes to what was not heard to its end"
        before = self.performed.get(key)
        assert before in (None, decision.request) or key in self.failed, "done twice"
        self.failed.discard(key)
        self.performed[key] = decision.request

    @rule(acts=TURN)
    def says(self, acts):
        self.turn += 1
        words = Personal("words")
        self.take(self.dialogue.handle(CallerSaid(Understood(self.turn, words, tuple(acts)))))

    @rule()
    def is_torn_between_goals(self):
        self.turn += 1
        said = Understood(self.turn, Personal("words"), (), rivals=("refund", "balance"))
        self.take(self.dialogue.handle(CallerSaid(said)))

    @rule(keys=st.sampled_from(["4417", "1", ""]), slot=st.sampled_from(["", "card"]))
    def keys(self, keys, slot):
        self.turn += 1
        self.take(self.dialogue.handle(CallerKeyed(self.turn, slot, Personal(keys))))

    @precondition(lambda self: self.playing)
    @rule(data=st.data(), complete=st.sampled_from([True, True, False]))
    def is_played(self, data, complete):
        speech = data.draw(st.sampled_from(self.playing))
        self.playing.remove(speech)
        question = self.dialogue.state.question
        if complete and question is not None and question.speech == speech and speech in self.readbacks:
            self.heard.add(self.readbacks[speech])
        self.take(self.dialogue.handle(Played(speech, complete)))

    @precondition(lambda self: self.open)
    @rule(
        data=st.data(),
        how=st.sampled_from(["well", "well", "well", "down", "step_up", "deny", "human_review", "rejected"]),
        state=st.sampled_from(["committed", "committed", "failed", "unknown", "review"]),
        confirm=st.booleans(),
    )
    def is_answered(self, data, how, state, confirm):
        number = data.draw(st.sampled_from(sorted(self.open)))
        decision = self.open.pop(number)
        denied = Denied("a-rule", how, None) if how in ("step_up", "deny", "human_review") else None
        match decision:
            case Read() if how == "well":
                event = ReadDone(number, decision.tool, tuple(RECORDS[decision.tool]))
            case Read():
                event = ReadDone(number, decision.tool, None, how, denied)
            case Judge():
                verdict = Rejected("amount_minor", "is wrong") if how in ("rejected", "down") else denied or Allowed(())
                if isinstance(verdict, Allowed):
                    self.allowed[arguments.digest(decision.proposal)] = confirm
                event = Judged(number, verdict, confirm)
            case Perform():
                key = arguments.digest(decision.proposal)
                if state == "failed":
                    self.failed.add(key)
                answer = {**decision.proposal.plain(), "last4": "4417", "reference": "R1"}
                outcome = Outcome("e", state, answer if state == "committed" else {}, "unreached")
                event = EffectDone(number, decision.proposal.tool, outcome)
        self.take(self.dialogue.handle(event))

    @rule(level=st.integers(0, 3))
    def is_identified(self, level):
        self.take(self.dialogue.handle(Identified(level)))

    @rule(number=st.integers(900, 999))
    def an_answer_nobody_waits_for(self, number):
        before = dump(self.dialogue.state)
        assert self.dialogue.handle(ReadDone(number, "list_cards", ())) == ()
        assert dump(self.dialogue.state) == before

    @rule()
    def the_worker_dies(self):
        self.open, self.playing = {}, []
        self.dialogue = Dialogue(BANK, "en-GB", load(*dump(self.dialogue.state)))
        self.take(self.dialogue.resume())

    @precondition(lambda self: self.turn > 12)
    @rule()
    def wants_a_person(self):
        self.turn += 1
        self.take(self.dialogue.handle(CallerSaid(Understood(self.turn, Personal("person"), (PERSON,)))))
        assert self.dialogue.state.handed_over

    @invariant()
    def what_is_asked_and_judged_is_what_is_known_now(self):
        state = self.dialogue.state
        for request in state.requests.values():
            if request.kind == "judge":
                now = arguments.proposal(BANK, request.tool, state)
                assert arguments.digest(now) == request.digest
        if state.question is not None and state.question.kind == "confirm":
            now = arguments.proposal(BANK, state.question.proposal.tool, state)
            assert arguments.digest(now) == state.question.digest

    @invariant()
    def what_depended_on_a_value_is_gone_with_it(self):
        state = self.dialogue.state
        for answer in state.answers.values():
            assert answer.committed or all(slot in state.slots for slot in answer.slots)
        for given in state.slots.values():
            assert all(slot in state.slots for slot in given.depends_on)


TestAnyOrder = AnyOrder.TestCase
TestAnyOrder.settings = settings(
    max_examples=120,
    stateful_step_count=40,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow],
)
