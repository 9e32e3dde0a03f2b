"""A whole call in which a model says something of its own: by sentence, cut with the caller's voice, kept as heard."""

import asyncio

import pytest

from services.common.personal import Personal
from services.orchestrator import events as ev
from services.orchestrator.dialogue.model import Act, Understood
from tests.control.test_a_call_acts import PhoneLeg, ScriptedUnderstander, bank_line, hears

FIRST = "I am the machine that looks after questions about cards and about payments here at the bank."
SECOND = "Just tell me what it is about."


class FlowingUnderstander(ScriptedUnderstander):
    """The first turn is talk, its second sentence written when the test says so; then the acts of the list."""

    def __init__(self, turns):
        super().__init__(turns)
        self.may_go_on, self.closed = asyncio.Event(), asyncio.Event()
        self.talked = False

    async def understand(self, turn, words, alternatives, heard, legal, context):
        if self.talked:
            return await super().understand(turn, words, alternatives, heard, legal, context)
        self.talked = True
        return Understood(turn, Personal("lovely weather"), (), free=FIRST, rest=self._rest())

    async def _rest(self):
        try:
            await self.may_go_on.wait()
            yield SECOND
        finally:
            self.closed.set()


@pytest.fixture
def flowing(monkeypatch):
    made = []

    def understander(turns):
        made.append(FlowingUnderstander(turns))
        return made[-1]

    monkeypatch.setattr("tests.control.test_a_call_acts.ScriptedUnderstander", understander)
    return made


def said(call):
    return [e.text.reveal() for e in call.events(ev.ReplyText)]


@pytest.mark.slow
@pytest.mark.timeout(60)
async def test_the_first_sentence_is_heard_to_its_end_before_the_model_has_written_the_second(
    bank_home, tmp_path, flowing
) -> None:
    async with bank_line(bank_home, tmp_path) as (lab, _):
        call = lab.call(PhoneLeg())
        await hears(call, "Yes?")
        call.leg.speak(600)
        await hears(call, "questions about cards")
        assert SECOND not in said(call)
        flowing[0].may_go_on.set()
        await hears(call, "Just tell me")
        await hears(call, "How can I help you")
        assert flowing[0].closed.is_set()


@pytest.mark.slow
@pytest.mark.timeout(60)
async def test_who_interrupts_ends_the_models_writing_and_only_what_was_heard_is_kept(
    bank_home, tmp_path, flowing
) -> None:
    async with bank_line(bank_home, tmp_path, ("a person please", (Act("person"),))) as (lab, _):
        call = lab.call(PhoneLeg())
        await hears(call, "Yes?")
        call.leg.speak(600)
        await lab.until(lambda: any(text.startswith("I am the machine") for text in said(call)))
        await lab.until(lambda: len(call.events(ev.AgentSpeechStarted)) > 2)
        call.leg.speak(1500)
        await call.until(ev.BargeIn)
        await lab.until(flowing[0].closed.is_set)
        flowing[0].may_go_on.set()
        await hears(call, "connecting you")
        cut = [e.heard.reveal() for e in call.events(ev.AgentSpeechEnded) if not e.complete]
        assert any(FIRST.startswith(heard) and heard != FIRST for heard in cut)
        assert SECOND not in said(call)
        kept = " ".join(message.text for message in call.call._agent._past.messages())
        assert SECOND not in kept
        assert FIRST not in kept
