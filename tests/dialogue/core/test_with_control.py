"""The driver over the real control layer, the real bank and the real database; only understanding is scripted."""

import asyncio

import pytest

from services.common.clock import SystemClock
from services.common.personal import Personal
from services.orchestrator.control.facade import ControlLayer
from services.orchestrator.control.facts import Caller
from services.orchestrator.dialogue.locales import pack
from services.orchestrator.dialogue.manager import Dialogue
from services.orchestrator.dialogue.model import Understood
from services.orchestrator.dialogue.session import Session
from services.orchestrator.store.dialogue import DialogueStore
from tests.control.conftest import bank_home  # noqa: F401  # fixture
from tests.control.world import NUMBER, PIN, call_world
from tests.dialogue.core.scripted import BANK, NO, YES, Words, give, money, start, turn
from tests.store.conftest import server  # noqa: F401  # fixture

TABLE = {
    "block it": turn(start("block_card"), give("card", {"last4": "4417"}, "the card 4417", sure=0.93)),
    "lost": turn(give("reason", "lost", "it is lost")),
    "refund": turn(start("refund"), give("txn", {"merchant": "Blue Kettle Cafe"}, "the Blue Kettle Cafe")),
    "lottery": turn(start("refund"), give("txn", {"merchant": "City Lottery"}, "the City Lottery")),
    "five pounds": turn(give("amount", money(5), "five pounds")),
    "no, ten pounds": turn(NO, give("amount", money(10), "ten pounds", corrects=True)),
    "twenty pounds": turn(give("amount", money(20), "twenty pounds")),
    "balance": turn(start("balance")),
    "yes": turn(YES),
}


class ScriptedUnderstanding:
    """Words → acts from a table."""

    async def understand(self, turn, words, alternatives, heard, legal, context):
        meant: Words = TABLE[words.reveal()]
        return Understood(turn, words, meant.acts, heard=heard)


class Ear:
    """A voice that is heard to its end at once."""

    def __init__(self):
        self.said, self.waiting, self.handed_over = [], [], []

    def say(self, speech, text, *, kind, protected):
        self.said.append(text)
        self.waiting.append(speech)

    def expect(self, expect):
        pass

    def hand_over(self, route, reason, packet):
        self.handed_over.append((route, reason))

    def end(self):
        self.ended = True


class Worker:
    """One worker's hold on the call."""

    def __init__(self, world, writer, state=None):
        self.ear = Ear()
        caller = Caller(NUMBER, "en-GB", "sip")
        speaker = pack("en-GB", BANK.agent.locales["en-GB"])
        self.control = ControlLayer(world.worker(), BANK, "call-1", caller, "en-GB", speaker)
        dialogue = Dialogue(BANK, "en-GB", state)
        self.session = Session(dialogue, ScriptedUnderstanding(), self.control, writer, self.ear, SystemClock())
        self.turns = 100 if state is not None else 0

    async def does(self, work):
        await work
        await self.settles()

    async def settles(self):
        while True:
            await self.session.idle()
            if not self.ear.waiting:
                return
            await self.session.played(self.ear.waiting.pop(0), True)

    async def hears(self, *words):
        for one in words:
            self.turns += 1
            await self.does(self.session.said(self.turns, one))


@pytest.fixture
async def world(bank_home):  # noqa: F811
    async with call_world(BANK, bank_home) as made:
        await made.pool.execute("TRUNCATE dialogues")
        yield made


async def begun(world):
    store = DialogueStore(world.pool)
    worker = Worker(world, await store.begin("call-1", BANK.digest, "en-GB", Personal(NUMBER)))
    await worker.does(worker.session.begin())
    return store, worker


async def test_a_card_is_blocked_by_voice_with_its_readback(world):
    _, worker = await begun(world)
    await worker.hears("block it", "lost", "yes")
    assert await world.postings("block") == 1
    assert any(text.startswith("I will block the card ending") for text in worker.ear.said)
    assert any(text.startswith("Your card ending") and "is blocked" in text for text in worker.ear.said)


async def test_a_refund_corrected_at_its_readback_is_done_once_after_the_pin(world):
    _, worker = await begun(world)
    await worker.hears("refund", "five pounds")
    await worker.does(worker.session.keyed(9, Personal(PIN)))
    await worker.hears("no, ten pounds", "yes")
    assert await world.postings("refund") == 1
    assert await world.bank.rows("SELECT amount_minor FROM bank.postings WHERE kind = 'refund'")
    assert any("will be refunded" in text for text in worker.ear.said)
    assert await world.effects() == ["committed"]


async def test_a_refund_that_is_not_allowed_is_refused(world):
    _, worker = await begun(world)
    await worker.hears("lottery", "twenty pounds")
    await worker.does(worker.session.keyed(9, Personal(PIN)))
    assert "That payment cannot be refunded." in worker.ear.said
    assert await world.postings() == 0


async def test_the_back_end_is_down_and_it_is_said(world):
    _, worker = await begun(world)
    await worker.hears("block it", "lost")
    await world.bank.fault("down", "blockCard", -1, 0)
    await worker.hears("yes")
    assert await world.postings() == 0
    assert worker.ear.handed_over or any("cannot tell for certain" in text for text in worker.ear.said)


@pytest.mark.parametrize("moment", ["asked", "confirmed", "done"])
async def test_another_worker_goes_on_with_the_call_and_nothing_is_done_twice(world, moment):
    store, first = await begun(world)
    await first.hears("refund", "five pounds")
    await first.does(first.session.keyed(9, Personal(PIN)))
    if moment == "confirmed":
        # The yes is stored, the act begins, and the worker is gone before it hears of its end.
        await first.session.said(7, "yes")
    elif moment == "done":
        await first.hears("yes")
    stored, writer = await store.take("call-1")
    second = Worker(world, writer, stored.state)
    await second.does(second.session.resume())
    await first.session.idle()
    if not any("will be refunded" in text for text in first.ear.said + second.ear.said):
        await second.hears("yes")
    assert await world.postings("refund") == 1
    assert any("will be refunded" in text for text in first.ear.said + second.ear.said)
    asked = [text for text in second.ear.said if text.startswith(("Which payment", "How much"))]
    assert asked == []
    await second.hears("balance")
    assert any(text.startswith("You have") for text in second.ear.said)
    await asyncio.sleep(0)
