"""What a model says of its own is spoken sentence by sentence while it writes, after its acts, never unguarded."""

import asyncio
import json

from services.common.clock import VirtualClock, sleep_s
from services.common.personal import Personal
from services.orchestrator.clients.llm import LlmReply
from services.orchestrator.dialogue.manager import Dialogue
from services.orchestrator.dialogue.session import Patience, Session
from services.orchestrator.dialogue.understanding.understander import ModelUnderstander
from tests.dialogue.core.scripted import BANK, Desk
from tests.dialogue.core.test_session import MemoryStore, ScriptedControl, Voice
from tests.dialogue.understanding.scripted import TODAY, ScriptedEmbedder, knowledge

CHARACTER_S = 0.01
TWO = "I can help with cards and payments. Just tell me what it is about."


class SlowModel:
    """Writes a character every 10 ms of virtual time."""

    def __init__(self, clock, say, acts=("nothing",), text=None):
        self.clock = clock
        self.text = text or json.dumps({"acts": list(acts), "say": say}, separators=(",", ":"))
        self.written, self.ended, self.closed = "", False, False

    async def generate(self, call_id, messages, priority, *, json_schema="", max_tokens=0, temperature=None):
        try:
            for character in self.text:
                await sleep_s(self.clock, CHARACTER_S)
                self.written += character
                yield LlmReply(text=character)
            self.ended = True
            yield LlmReply(ended="stop")
        finally:
            self.closed = True

    async def warm(self, call_id, messages):
        pass


class Table:
    """A call whose model is slow, and whose every speech waits to be heard."""

    def __init__(self, say, near=None, **more):
        self.clock = VirtualClock()
        self.model = SlowModel(self.clock, say, **more)
        embedder = ScriptedEmbedder(near or {"": 1.0})
        mind = ModelUnderstander(knowledge(), "call", self.model, embedder, self.clock, lambda: TODAY)
        self.store, self.voice = MemoryStore(), Voice()
        self.dialogue = Dialogue(BANK, "en-GB")
        control = ScriptedControl(Desk(), self.clock)
        patience = Patience(understand_s=30)
        self.session = Session(self.dialogue, mind, control, self.store, self.voice, self.clock, patience)
        self.voice.session = self.session

    async def opened(self):
        await self.session.begin()
        for _ in range(6):
            await self.clock.advance_ms(0)
        await self.voice.heard()
        self.voice.said.clear()
        return self

    async def until(self, done, most_s=5.0):
        """Time passes, a little at a time, until `done()`; how many seconds it took."""
        for step in range(int(most_s / CHARACTER_S)):
            if done():
                return step * CHARACTER_S
            await self.clock.advance_ms(CHARACTER_S * 1000)
        raise AssertionError(f"not within {most_s} s: {self.voice.said}, written {self.model.written!r}")

    def says(self, words, turn=1):
        return asyncio.create_task(self.session.said(turn, words))


async def test_the_first_sentence_is_spoken_while_the_model_still_writes_the_second():
    table = await Table(TWO).opened()
    said = table.says("lovely weather outside")
    await table.until(lambda: table.voice.said)
    assert table.voice.said == ["I can help with cards and payments."]
    assert not table.model.ended
    early = len(table.model.written)
    await table.until(lambda: table.model.ended)
    await table.until(lambda: len(table.voice.said) == 3)
    assert table.voice.said[1:] == ["Just tell me what it is about.", "How can I help you?"]
    assert early < len(table.model.text) - 25
    await said


async def test_the_turn_is_stored_before_its_first_sentence_is_spoken_and_each_further_one_too():
    table = await Table(TWO).opened()
    kept = len(table.store.saved)
    stored = []
    say = table.voice.say
    table.voice.say = lambda *a, **more: (stored.append(len(table.store.saved) - kept), say(*a, **more))
    table.says("lovely weather outside")
    await table.until(lambda: len(table.voice.said) == 3)
    assert stored == [1, 2, 3]


async def test_nothing_is_spoken_before_the_acts_are_complete_or_when_they_are_malformed():
    table = await Table("", text='{"acts":["nothing","say":"Your card is blocked. Goodbye."}').opened()
    table.says("lovely weather outside")
    await table.until(lambda: table.voice.said)
    assert "blocked" not in " ".join(table.voice.said)
    assert table.model.closed


async def test_an_act_of_the_models_ends_its_writing_there():
    table = await Table(TWO, acts=("start block_card",), near={"block_card": 1.0}).opened()
    table.says("my visa got nicked")
    await table.until(lambda: table.voice.said)
    assert table.model.closed
    assert '"say"' not in table.model.written
    assert "cards and payments" not in " ".join(table.voice.said)


async def test_a_sentence_that_claims_something_is_not_spoken_and_nothing_after_it():
    table = await Table("I can look at that. You have 900 pounds. Anything else today.").opened()
    table.says("lovely weather outside")
    await table.until(lambda: table.model.closed)
    await table.until(lambda: len(table.voice.said) == 2)
    assert table.voice.said == ["I can look at that.", "How can I help you?"]
    assert not table.model.ended


async def test_a_first_sentence_that_claims_something_is_replaced_by_one_of_the_bundle():
    table = await Table("You have 900 pounds. Have a nice day.").opened()
    table.says("lovely weather outside")
    await table.until(lambda: len(table.voice.said) == 2)
    assert table.voice.said == ["Sorry, I did not catch that.", "How can I help you?"]
    await table.until(lambda: table.model.closed)


async def test_a_claim_made_in_two_sentences_does_not_pass():
    table = await Table("I look after your card now. It is blocked then.").opened()
    table.session._control.guard = lambda text: "" if "card" in text and "blocked" in text else text
    table.says("lovely weather outside")
    await table.until(lambda: len(table.voice.said) == 2)
    assert table.voice.said == ["I look after your card now.", "How can I help you?"]


async def test_a_caller_who_interrupts_ends_the_models_writing_and_hears_no_more_of_it():
    table = await Table(TWO).opened()
    table.says("lovely weather outside")
    await table.until(lambda: table.voice.said)
    await table.session.played(table.voice.waiting.pop(0), complete=False)
    await table.until(lambda: table.model.closed)
    assert not table.model.ended
    for _ in range(200):
        await table.clock.advance_ms(10)
    assert table.voice.said == ["I can help with cards and payments."]


async def test_a_new_turn_ends_the_flow_of_the_one_before():
    table = await Table(TWO).opened()
    table.says("lovely weather outside")
    await table.until(lambda: table.voice.said)
    await table.says("I lost my card!", turn=2)
    assert table.model.closed
    assert not table.model.ended
    assert TWO.split(". ")[1] not in table.voice.said
    assert table.dialogue.state.active.goal == "block_card"


async def test_an_understanding_that_was_prepared_in_vain_ends_the_models_writing():
    table = await Table(TWO).opened()
    table.session.prepare("lovely weather outside")
    await table.until(lambda: "payments. " in table.model.written)
    table.session.unprepare()
    await table.until(lambda: table.model.closed)
    assert not table.model.ended
    assert table.voice.said == []


async def test_what_was_prepared_flows_on_when_the_turn_ends_with_the_same_words():
    table = await Table(TWO).opened()
    table.session.prepare("lovely weather outside")
    await table.until(lambda: "payments. " in table.model.written)
    table.says("lovely weather outside")
    await table.until(lambda: len(table.voice.said) == 3)
    assert table.voice.said == [*TWO.replace(". ", ".|").split("|"), "How can I help you?"]


async def test_who_hangs_up_leaves_no_model_writing():
    table = await Table(TWO).opened()
    table.says("lovely weather outside")
    await table.until(lambda: table.voice.said)
    await table.session.close()
    assert table.model.closed


async def test_keys_end_the_flow_too():
    table = await Table(TWO).opened()
    table.says("lovely weather outside")
    await table.until(lambda: table.voice.said)
    await table.session.keyed(2, Personal("4417"))
    await table.until(lambda: table.model.closed)
    assert TWO.split(". ")[1] not in table.voice.said
