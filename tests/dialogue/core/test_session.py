"""The driver on virtual time: what is stored first, said, run side by side, never broken off, told when it fails."""

import asyncio
import copy
from dataclasses import dataclass, field, replace

import pytest

from services.common.clock import VirtualClock, sleep_s
from services.common.errors import UnavailableError
from services.common.personal import Personal
from services.orchestrator.dialogue.codec import dump, load
from services.orchestrator.dialogue.manager import Dialogue
from services.orchestrator.dialogue.model import Identified, Understood
from services.orchestrator.dialogue.ports import TakenOverError
from services.orchestrator.dialogue.session import Patience, Session
from tests.dialogue.core.scripted import BANK, YES, Desk, give, money, start, turn

CARD = give("card", {"last4": "4417"})
REASON = give("reason", "lost", "I lost it")
REFUND = turn(start("refund"), give("txn", {"merchant": "Blue Kettle Cafe"}), give("amount", money(10)))


class ScriptedUnderstanding:
    """Words → acts from a table."""

    def __init__(self, clock, table, takes_s=0.0):
        self.clock, self.table, self.takes_s = clock, table, takes_s
        self.asked = []
        self.failing = False

    async def understand(self, turn, words, alternatives, heard, legal, context):
        self.asked.append(words.reveal())
        await sleep_s(self.clock, self.takes_s)
        if self.failing:
            raise UnavailableError("The language model is away.")
        meant = self.table.get(words.reveal().lower().strip(". "), globals()["turn"]())
        return Understood(turn, words, meant.acts, meant.rivals, meant.free, heard)


class ScriptedControl:
    """The desk's answers, each after a while."""

    def __init__(self, desk, clock):
        self.desk, self.clock = desk, clock
        self.takes_s = {}
        self.running, self.most_at_once, self.log = 0, 0, []
        self.broken = set()
        self.restored = None

    async def _after(self, name, made):
        self.running += 1
        self.most_at_once = max(self.most_at_once, self.running)
        try:
            await sleep_s(self.clock, self.takes_s.get(name, 0.0))
            if name in self.broken:
                raise UnavailableError("broken by the test")
            return made()
        finally:
            self.running -= 1

    async def recognise(self):
        return Identified(self.desk.level, {"subject": Personal("c-1001")})

    async def identify(self, keys):
        return Identified(2 if keys.reveal() == self.desk.pin else 0, {"subject": Personal("c-1001")})

    async def read(self, read):
        return await self._after(read.tool, lambda: self.desk._read(read))

    async def judge(self, judge):
        return await self._after("judge", lambda: self.desk._judge(judge))

    async def perform(self, perform):
        def do():
            self.log.append(perform.proposal.tool)
            return self.desk._perform(perform)

        return await self._after(perform.proposal.tool, do)

    async def waiting(self, find):
        return await self._after("waiting", lambda: self.desk.answer(find)[0])

    async def take_back(self, take_back):
        return await self._after("take_back", lambda: self.desk.answer(take_back)[0])

    def asked(self, proposal, speech):
        self.log.append(("asked", proposal.tool, speech))

    def played(self, speech, complete):
        self.log.append(("played", speech, complete))

    def fill(self, say):
        if say.prompt in self.broken:
            raise UnavailableError("not grounded")
        return self.desk.render(say)

    def guard(self, free):
        return "" if any(char.isdigit() for char in free) else free

    async def restore(self, records):
        self.restored = records


class MemoryStore:
    """One dialogue's rows in memory, written as the database would."""

    def __init__(self):
        self.saved = []
        self.error = None

    async def save(self, state):
        if self.error is not None:
            raise self.error
        self.saved.append(copy.deepcopy(dump(state)))


@dataclass
class Voice:
    """Every speech is heard to its end as soon as it is said, unless held back."""

    session: object = None
    said: list = field(default_factory=list)
    kinds: list = field(default_factory=list)
    handed_over: list = field(default_factory=list)
    expected: list = field(default_factory=list)
    waiting: list = field(default_factory=list)
    ended: bool = False

    def say(self, speech, text, *, kind, protected):
        self.said.append(text)
        self.kinds.append(kind)
        self.waiting.append(speech)

    def expect(self, expect):
        self.expected.append(expect)

    def hand_over(self, route, reason, packet):
        self.handed_over.append((route, reason, packet))

    def end(self):
        self.ended = True

    async def heard(self):
        while self.waiting:
            await self.session.played(self.waiting.pop(0), True)


class Line:
    """A call on virtual time."""

    def __init__(self, table=None, *, desk=None, state=None, patience=None, bundle=BANK):
        self.clock = VirtualClock()
        self.desk = desk or Desk()
        self.mind = ScriptedUnderstanding(self.clock, table or {})
        self.control = ScriptedControl(self.desk, self.clock)
        self.store = MemoryStore()
        self.voice = Voice()
        self.dialogue = Dialogue(bundle, "en-GB", state)
        self.session = Session(
            self.dialogue, self.mind, self.control, self.store, self.voice, self.clock, patience or Patience()
        )
        self.voice.session = self.session
        self.turns = 0

    async def run(self, work, for_s=0.0):
        """Something of the session's, and what follows from it."""
        task = asyncio.ensure_future(work)
        # What is ready runs first, so that every wait is there before time moves.
        for _ in range(6):
            await self.clock.advance_ms(0)
        await self.clock.advance_ms(for_s * 1000)
        for _ in range(6):
            await self.clock.advance_ms(0)
            await self.voice.heard()
        return task

    async def say(self, words, for_s=0.0, **more):
        self.turns += 1
        return await self.run(self.session.said(self.turns, words, **more), for_s)


TABLE = {
    "block it": turn(start("block_card"), CARD, REASON),
    "block a card": turn(start("block_card")),
    "refund": REFUND,
    "both": turn(start("refund"), give("txn", "blue kettle cafe"), give("card", {"last4": "4417"})),
    "balance": turn(start("balance")),
    "yes": turn(YES),
    "chat": turn(free="I am only a machine."),
    "lie": turn(free="I refunded 50 pounds."),
}


async def test_a_call_from_greeting_to_a_blocked_card():
    line = Line(TABLE)
    await line.run(line.session.begin())
    assert line.voice.said == [
        "You are speaking with an automated assistant.",
        "Example Bank, good day. How can I help you?",
    ]
    await line.say("Block it.")
    assert "Your card ending 4417 is blocked. The reference is REF0." in line.voice.said
    assert line.control.log.count("block_card") == 1


async def test_the_state_is_stored_before_anything_that_depends_on_it_is_done():
    line = Line(TABLE)
    await line.run(line.session.begin())
    seen = []
    original = line.control.perform

    async def perform(perform):
        skeleton, personal = line.store.saved[-1]
        seen.append([request.kind for request in load(skeleton, personal).requests.values()])
        return await original(perform)

    line.control.perform = perform
    await line.say("block it")
    assert seen == [["perform"]]


async def test_an_act_is_not_begun_when_the_state_cannot_be_stored():
    line = Line(TABLE)
    await line.run(line.session.begin())
    line.store.error = UnavailableError("The database did not answer.")
    await line.say("block it")
    assert "block_card" not in line.control.log
    assert line.voice.handed_over[0][1] == "tool_failed"


async def test_a_worker_that_was_taken_over_says_and_does_nothing_more():
    line = Line(TABLE)
    await line.run(line.session.begin())
    line.store.error = TakenOverError("Another worker goes on.")
    said = len(line.voice.said)
    await line.say("block it")
    await line.say("balance")
    assert line.session.lost
    assert len(line.voice.said) == said
    assert "block_card" not in line.control.log


async def test_the_readback_is_announced_to_the_control_layer_with_its_speech():
    line = Line(TABLE)
    await line.run(line.session.begin())
    await line.say("refund")
    _, tool, speech = next(entry for entry in line.control.log if entry[0] == "asked")
    assert tool == "create_refund"
    assert ("played", speech, True) in line.control.log
    await line.say("yes")
    assert line.desk.performed[0][2] is True


async def test_a_slow_tool_is_bridged_by_its_own_words_once():
    line = Line(TABLE)
    await line.run(line.session.begin())
    line.control.takes_s["get_balance"] = 3.0
    await line.say("balance", for_s=3.1)
    assert line.voice.said.count("One moment, please.") == 1
    assert line.voice.said[-2].startswith("You have")
    assert "filler" in line.voice.kinds


async def test_a_fast_tool_is_not():
    line = Line(TABLE)
    await line.run(line.session.begin())
    line.control.takes_s["get_balance"] = 0.5
    await line.say("balance", for_s=1.0)
    assert "One moment, please." not in line.voice.said


async def test_a_read_that_never_answers_ends_in_an_honest_sentence():
    line = Line(TABLE)
    await line.run(line.session.begin())
    line.control.takes_s["get_balance"] = 1e6
    await line.say("balance", for_s=8.1)
    assert "I cannot reach the system for that right now." in line.voice.said


async def test_an_act_that_never_answers_is_told_as_unknown_and_goes_on():
    line = Line(TABLE)
    await line.run(line.session.begin())
    line.control.takes_s["block_card"] = 60
    await line.say("block it", for_s=20.5)
    assert any(text.startswith("I cannot tell for certain") for text in line.voice.said)
    await line.run(asyncio.sleep(0), for_s=60)
    assert line.control.log.count("block_card") == 1


@pytest.mark.parametrize("broken", ["get_balance", "judge", "create_refund"])
async def test_a_port_that_breaks_is_told_and_the_call_goes_on(broken):
    line = Line(TABLE)
    await line.run(line.session.begin())
    line.control.broken.add(broken)
    said = len(line.voice.said)
    await line.say("balance" if broken == "get_balance" else "refund")
    await line.say("yes")
    assert len(line.voice.said) > said
    assert line.desk.performed == []
    assert line.dialogue.state.question is not None or line.dialogue.state.handed_over


async def test_a_sentence_that_cannot_be_filled_is_an_apology_and_never_silence():
    line = Line(TABLE)
    await line.run(line.session.begin())
    line.control.broken.add("p.balance")
    await line.say("balance")
    assert "Sorry, something on our side is not working." in line.voice.said


async def test_who_cannot_be_understood_twice_gets_a_person():
    line = Line(TABLE)
    await line.run(line.session.begin())
    line.mind.failing = True
    await line.say("balance")
    assert line.voice.handed_over == []
    assert "Sorry, something on our side is not working." in line.voice.said
    await line.say("balance")
    assert line.voice.handed_over[0][1] == "service_failed"


async def test_free_words_that_claim_something_are_not_said():
    line = Line(TABLE)
    await line.run(line.session.begin())
    await line.say("chat")
    assert "I am only a machine." in line.voice.said
    await line.say("lie")
    assert not any("50" in text for text in line.voice.said)


async def test_hanging_up_breaks_off_a_read_but_never_an_act():
    line = Line(TABLE)
    await line.run(line.session.begin())
    line.control.takes_s["block_card"] = 2.0
    await line.say("block it")
    await line.run(line.session.close(), for_s=2.1)
    assert line.control.log.count("block_card") == 1


async def test_a_turn_prepared_with_the_same_words_is_understood_once():
    line = Line(TABLE)
    await line.run(line.session.begin())
    line.session.prepare("balance")
    await line.clock.advance_ms(0)
    assert line.voice.said[-1].endswith("How can I help you?")
    assert line.control.most_at_once == 0
    await line.say("Balance.")
    assert line.mind.asked == ["balance"]
    assert line.voice.said[-2].startswith("You have")


async def test_a_turn_that_went_on_is_understood_anew():
    line = Line(TABLE)
    await line.run(line.session.begin())
    line.session.prepare("balance")
    await line.say("block it")
    assert line.mind.asked[-1] == "block it"
    assert not any(text.startswith("You have") for text in line.voice.said)


async def test_records_are_looked_up_side_by_side():
    line = Line({"both": turn(start("refund"), give("txn", "blue kettle cafe"))})
    await line.run(line.session.begin())
    line.control.takes_s["list_transactions"] = 0.5
    await line.say("both", for_s=0.6)
    assert line.control.most_at_once == 1


async def test_keys_that_identify_go_to_the_control_layer_alone():
    line = Line(TABLE, desk=Desk(level=0))
    await line.run(line.session.begin())
    await line.say("balance")
    assert line.voice.expected[-1].masked
    await line.run(line.session.keyed(9, Personal("1234")))
    line.desk.level = 2
    assert all("1234" not in str(personal) for _, personal in line.store.saved)


async def test_a_person_is_told_what_is_known():
    line = Line({**TABLE, "person": turn(start("person"))})
    await line.run(line.session.begin())
    await line.say("block a card")
    await line.say("person")
    (route, reason, packet) = line.voice.handed_over[0]
    assert (route, reason) == ("default", "asked")
    assert ("block_card", "suspended") in packet.goals


async def test_another_worker_restores_what_was_read_and_goes_on():
    first = Line(TABLE)
    await first.run(first.session.begin())
    await first.say("refund")
    second = Line(TABLE, state=load(*first.store.saved[-1]))
    await second.run(second.session.resume())
    assert second.control.restored["list_transactions"][0]["txn_id"] == "txn-1"
    assert second.voice.said[0].startswith("We were cut off")
    await second.say("yes")
    assert second.desk.performed[0][0] == "create_refund"


async def test_keys_are_read_as_what_their_slot_holds():
    bundle = replace(
        BANK, slots={**BANK.slots, "amount": BANK.slots["amount"].model_copy(update={"source": ("speech", "dtmf")})}
    )
    line = Line({"part": turn(start("refund"), give("txn", "blue kettle cafe"))}, bundle=bundle)
    await line.run(line.session.begin())
    await line.say("part")
    await line.run(line.session.keyed(2, Personal("10*00")))
    assert line.dialogue.state.slots["amount"].data.reveal() == money(10)
