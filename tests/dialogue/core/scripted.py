"""A bank at a desk, for conversations without services: scripted understanding, scripted back ends, real rules.

`Desk` drives a Dialogue synchronously: reads are answered from a table, proposals judged by the bundle's own rules,
acts by a script. Every sentence is filled, so that a place without a fact fails the test.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path

from services.common.personal import Personal
from services.orchestrator.bundles.checks import validate_directory
from services.orchestrator.bundles.templates import fill
from services.orchestrator.control.keys import request_hash
from services.orchestrator.control.model import Denied, Outcome
from services.orchestrator.control.policy import Policy
from services.orchestrator.dialogue.codec import dump, load
from services.orchestrator.dialogue.manager import Dialogue
from services.orchestrator.dialogue.model import (
    Act,
    CallerKeyed,
    CallerSaid,
    EffectDone,
    End,
    Expect,
    FindWaiting,
    HandOver,
    Identified,
    Identify,
    Judge,
    Judged,
    Perform,
    Played,
    Read,
    ReadDone,
    Reading,
    Say,
    TakeBack,
    TakenBack,
    Understood,
    WaitingAct,
    WaitingFound,
)

BANK, _ = validate_directory(Path(__file__).parents[3] / "deploy" / "agents" / "bank-retail")
assert BANK is not None

CARDS = (
    {"card_id": "card-1", "last4": "4417", "kind": "debit", "blocked": False},
    {"card_id": "card-2", "last4": "9023", "kind": "credit", "blocked": False},
)
PAYMENTS = tuple(
    {
        "txn_id": f"txn-{n}",
        "merchant": merchant,
        "date": date,
        "amount_minor": amount,
        "currency": "GBP",
        "refundable": refundable,
    }
    for n, merchant, date, amount, refundable in (
        (1, "Blue Kettle Cafe", "2026-11-20", 1250, True),
        (2, "Northern Rail", "2026-11-18", 5000, True),
        (3, "Northern Rail", "2026-11-19", 1500, True),
        (4, "City Lottery", "2026-11-15", 2000, False),
    )
)
BALANCE = ({"available_minor": 125050, "currency": "GBP", "as_of": "2026-11-27T09:00:00Z"},)
RECORDS = {"list_cards": CARDS, "list_transactions": PAYMENTS, "get_balance": BALANCE}


# ---- the caller


def start(goal, **more):
    return Act("start", goal, **more)


def reading(data, text=None, sure=0.99, rivals=(), keyed=False):
    said = text if text is not None else str(data)
    return Reading(Personal(data), Personal(said), sure, tuple(Personal(rival) for rival in rivals), keyed)


def give(slot, data, text=None, sure=0.99, rivals=(), corrects=False):
    return Act("fill", slot, reading(data, text, sure, rivals), corrects=corrects)


def money(pounds):
    return {"minor": round(pounds * 100), "currency": "GBP"}


YES, NO, PERSON, REPEAT, CANCEL = Act("affirm"), Act("deny"), Act("person"), Act("repeat"), Act("cancel")


def pick(slot="", which=None):
    return Act("select", slot, which=which)


@dataclass
class Words:
    """A turn that is understood as these acts."""

    acts: tuple = ()
    rivals: tuple = ()
    free: str = ""


def turn(*acts, rivals=(), free=""):
    return Words(acts, rivals, free)


@dataclass
class Keys:
    keys: str
    slot: str = ""


@dataclass
class CutShort:
    """The next speech that asks is not heard to its end."""


# ---- the desk


@dataclass
class Desk:
    """What the scripted back ends do, and what was done."""

    level: int = 2
    down: set = field(default_factory=set)
    outcomes: dict = field(default_factory=dict)
    records: dict = field(default_factory=lambda: dict(RECORDS))
    refunded: int = 0
    vulnerable: bool = False
    pin: str = "1234"
    bundle: object = BANK
    locale: str = "en-GB"

    def __post_init__(self):
        self.policy = Policy(self.bundle)
        self.performed = []
        self.committed = {}
        self.waiting = []
        self.spoken = []
        self.prompts = []
        self.expected = Expect()
        self.handed_over = None
        self.ended = False
        self.cut = False
        self.turns = 0
        self.asked_by_hash = []

    def answer(self, decision):
        """The events that a decision leads to, at once."""
        match decision:
            case Say():
                self.prompts.append(decision.prompt)
                self.spoken.append(self.render(decision))
                complete, self.cut = not self.cut, False
                return [Played(decision.speech, complete)]
            case Read():
                return [self._read(decision)]
            case Judge():
                return [self._judge(decision)]
            case Perform():
                return [self._perform(decision)]
            case FindWaiting():
                acts = [act for act in self.waiting if act.tool in decision.tools]
                return [WaitingFound(decision.request, None if "waiting" in self.down else tuple(acts))]
            case TakeBack():
                return [TakenBack(decision.request, self.take_back(decision.effect_id))]
            case Expect():
                self.expected = decision
            case HandOver():
                self.handed_over = decision
            case End():
                self.ended = True
            case Identify():
                pass
        return []

    def take_back(self, effect_id):
        """As the row decides: what waits no longer was done."""
        before = len(self.waiting)
        self.waiting = [act for act in self.waiting if act.effect_id != effect_id]
        if len(self.waiting) == before:
            return "done"
        self.committed = {key: outcome for key, outcome in self.committed.items() if outcome.effect_id != effect_id}
        return "taken back"

    def render(self, say):
        if say.free:
            return say.free

        def value(name, filter_):
            if name in ("option.first", "option.second"):
                return fill(say.options[name == "option.second"], value)
            known = (
                say.facts[f"{name}.minor"] if filter_ == "money" and f"{name}.minor" in say.facts else say.facts[name]
            )
            return str(known.reveal())

        return fill(self.bundle.prompt(say.prompt, self.locale).text, value)

    def _facts(self, tool, args, proposal=None):
        facts = {
            "caller.auth_level": self.level,
            "caller.transport": "sip",
            "slot.min_confidence": proposal.confidence if proposal else 1.0,
            "customer.refunded_30d_minor": self.refunded,
            "customer.vulnerable": self.vulnerable,
            **{f"args.{name}": value for name, value in args.items()},
        }
        for row in self.records["list_transactions"]:
            if row["txn_id"] == args.get("txn_id"):
                facts.update({f"list_transactions.{name}": value for name, value in row.items()})
        return facts

    def _read(self, read):
        verdict = self.policy.decide(read.tool, self._facts(read.tool, {}))
        if isinstance(verdict, Denied):
            return ReadDone(read.request, read.tool, None, "denied", verdict)
        if read.tool in self.down:
            return ReadDone(read.request, read.tool, None, "down")
        return ReadDone(read.request, read.tool, tuple(self.records[read.tool]))

    def _judge(self, judge):
        args = judge.proposal.plain()
        facts = self._facts(judge.proposal.tool, args, judge.proposal)
        verdict = self.policy.decide(judge.proposal.tool, facts)
        return Judged(judge.request, verdict, self.policy.must_confirm(judge.proposal.tool, facts))

    def _perform(self, perform):
        args = perform.proposal.plain()
        key = request_hash(perform.proposal.tool, args)
        self.asked_by_hash.append((perform.request, key))
        if key not in self.committed:
            script = self.outcomes.get(perform.proposal.tool, [])
            state, reason = script.pop(0) if script else ("committed", "")
            answer = {**args, "last4": "4417", "reference": f"REF{len(self.performed)}"} if state == "committed" else {}
            if state == "committed":
                self.performed.append((perform.proposal.tool, args, perform.confirmed))
            outcome = Outcome(f"e-{len(self.asked_by_hash)}", state, answer, reason)
            if state != "failed":
                self.committed[key] = outcome
            if state == "queued":
                self.waiting.append(WaitingAct(outcome.effect_id, perform.proposal.tool, self.level))
        else:
            outcome = self.committed[key]
        return EffectDone(perform.request, perform.proposal.tool, outcome)

    # ---- a conversation

    def event(self, dialogue, said):
        """What the caller does as an event."""
        self.turns += 1
        match said:
            case Keys() if dialogue.state.question is not None and dialogue.state.question.kind == "identify":
                if said.keys == self.pin:
                    self.level = max(self.level, dialogue.state.question.level)
                return Identified(self.level, {"subject": Personal("c-1001")})
            case Keys():
                return CallerKeyed(self.turns, said.slot, Personal(said.keys))
            case Words():
                yes = "ja" if dialogue.locale.startswith("de") else "yes"
                words = Personal(yes if YES in said.acts else " ".join(act.kind for act in said.acts))
                return CallerSaid(Understood(self.turns, words, said.acts, said.rivals, said.free))
        raise AssertionError(said)

    def talk(self, dialogue, turns: Iterable):
        """The whole conversation, as it goes when nothing happens in between."""
        self.settle(dialogue, dialogue.begin())
        for said in turns:
            if isinstance(said, CutShort):
                self.cut = True
                continue
            self.spoken.append("---")
            self.settle(dialogue, dialogue.handle(self.event(dialogue, said)))
        return self

    def settle(self, dialogue, decisions):
        waiting = [event for decision in decisions for event in self.answer(decision)]
        self.asks_nothing_known(dialogue, decisions)
        while waiting:
            check(dialogue)
            decisions = dialogue.handle(waiting.pop(0))
            self.asks_nothing_known(dialogue, decisions)
            waiting += [event for decision in decisions for event in self.answer(decision)]
        check(dialogue)

    def asks_nothing_known(self, dialogue, decisions):
        """No slot is asked for whose value is there."""
        for decision in decisions:
            for name, slot in self.bundle.slots.items():
                if isinstance(decision, Say) and decision.prompt == slot.ask:
                    given = dialogue.state.slots.get(name)
                    assert given is None or not given.settled, f"{name} is asked for though it is known"

    def talk_and_die(self, dialogue, turns, at, *, acted):
        """The same conversation, but after event number `at` the worker is gone and another one goes on.

        `acted`: it died after it had acted on that event's decisions, so that only the answers are lost; else before.
        Returns the dialogue that went on, and whether the conversation was long enough to die in it.
        """
        turns, count, waiting, died = list(turns), 0, [], False
        decisions = dialogue.begin()
        while True:
            if count == at and not died:
                died = True
                if acted:
                    for decision in decisions:
                        self.answer(decision)
                waiting = []
                dialogue = Dialogue(self.bundle, self.locale, load(*dump(dialogue.state)))
                decisions = dialogue.resume()
            self.asks_nothing_known(dialogue, decisions)
            waiting += [event for decision in decisions for event in self.answer(decision)]
            check(dialogue)
            if not waiting:
                if not turns:
                    return dialogue, died
                waiting.append(self.event(dialogue, turns.pop(0)))
            decisions = dialogue.handle(waiting.pop(0))
            count += 1

    @property
    def last(self):
        """What was said since the caller spoke."""
        cut = len(self.spoken) - self.spoken[::-1].index("---") if "---" in self.spoken else 0
        return self.spoken[cut:]


def new(desk=None, **more):
    desk = desk or Desk(**more)
    dialogue = Dialogue(desk.bundle, desk.locale)
    dialogue.state.level = desk.level
    if desk.level:
        dialogue.state.caller = {"subject": Personal("c-1001")}
    return desk, dialogue


def check(dialogue):
    """What must hold after every event."""
    state = dialogue.state
    assert state.question is not None or state.requests or state.handed_over, "nothing open: the call is stuck"
    skeleton, personal = dump(state)
    assert load(skeleton, personal) == state
    active = [frame for frame in state.frames if frame.status == "active"]
    assert len(active) <= 1


def converse(*turns, **more):
    desk, dialogue = new(**more)
    desk.talk(dialogue, turns)
    return desk, dialogue


def without_confirm(bundle, tool):
    return replace(bundle, tools={**bundle.tools, tool: bundle.tools[tool].model_copy(update={"confirm": None})})
