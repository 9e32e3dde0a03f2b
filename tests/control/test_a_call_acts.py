"""A whole call that does bank business: real dialogue, control, database and bank; models and leg are scripted.

The recogniser always hears the same words, so what a turn means comes from a list: `ScriptedUnderstander`.
"""

import contextlib
from dataclasses import replace

import pytest

from services.common.errors import InvalidInputError
from services.common.personal import Personal
from services.common.settings import load_settings
from services.orchestrator import events as ev
from services.orchestrator.bundles.model import Prompt
from services.orchestrator.business import BundleBusiness, Office, calling_number
from services.orchestrator.control.worker import open_control
from services.orchestrator.dialogue.model import Act, Reading, Understood
from services.orchestrator.media.leg import LegInfo
from services.orchestrator.store.callbacks import CallbackStore
from services.orchestrator.store.dialogue import DialogueStore
from tests.control.world import NUMBER, PIN, Notes, call_world
from tests.dialogue.core.scripted import BANK
from tests.orchestrator.lab import FakeLeg, Lab

# Speech takes its time: short first words.
SHORT = {"p.disclosure": Prompt(text="Hello."), "p.greeting": Prompt(text="Yes?")}
LINE = replace(BANK, prompts={**BANK.prompts, "en-GB": {**BANK.prompts["en-GB"], **SHORT}})


class ScriptedUnderstander:
    """Named fake: the acts of each turn, in order; the words are those that would have said it."""

    def __init__(self, turns):
        self.turns = list(turns)

    async def understand(self, turn, words, alternatives, heard, legal, context):
        said, acts = self.turns.pop(0)
        return Understood(turn, Personal(said), acts, heard=1.0)


def give(slot, data, text):
    return Act("fill", slot, Reading(Personal(data), Personal(text), 0.95))


class PhoneLeg(FakeLeg):
    def __init__(self, number=NUMBER, transfers=True):
        super().__init__()
        self._info = LegInfo("1", "sip", Personal(f"sip:{number}@pbx", "uri"), Personal("sip:c@d", "uri"), "ref")
        self.transferred = []
        self.transfers = transfers

    def transfer(self, target, consult=None):
        if not self.transfers:
            raise InvalidInputError("leg", expected="a SIP leg for transfer", got="a browser")
        self.transferred.append(target.reveal())


@contextlib.asynccontextmanager
async def bank_line(bank_home, tmp_path, *turns):
    async with call_world(LINE, bank_home) as world, Lab(agent={"locale": "en-GB"}) as lab:
        await world.pool.execute("TRUNCATE dialogues")
        tree = {"data_dir": str(tmp_path), "control": {"backends": {"bank-retail": world.bank.url}}}
        settings = load_settings(env={}, overrides=tree)
        control = open_control(settings, world.pool, Notes(), lab.clock)
        office = Office(control, DialogueStore(world.pool), CallbackStore(world.pool), None, None, lab.clock)
        understander = ScriptedUnderstander(turns)
        lab.services = replace(
            lab.services, business=BundleBusiness(LINE, "en-GB", office, lambda call_id: understander)
        )
        yield lab, world
        await lab.registry.drain(0)
        await control.close()


async def hears(call, *words):
    """The next thing the agent says to its end that has all of these words."""

    def found():
        said = [e.heard.reveal() for e in call.events(ev.AgentSpeechEnded) if e.complete]
        return any(all(word in text for word in words) for text in said)

    try:
        await call.lab.until(found)
    except TimeoutError:
        said = [e.heard.reveal() for e in call.events(ev.AgentSpeechEnded)]
        names = [type(e).__name__ for e in call.handle.events.snapshot()]
        raise AssertionError(f"{words} not among {said}; {names[-12:]}") from None


BALANCE = ("what is my balance", (Act("start", "balance"),))
BLOCK = (
    "I lost my debit card",
    (Act("start", "block_card"), give("card", {"kind": "debit"}, "debit card"), give("reason", "lost", "lost")),
)
YES = ("yes please", (Act("affirm"),))
CANCEL = ("leave it", (Act("cancel"),))
NO = ("no thank you", (Act("deny"),))


@pytest.mark.slow
@pytest.mark.timeout(60)
async def test_a_caller_hears_the_balance_that_the_bank_has(bank_home, tmp_path) -> None:
    async with bank_line(bank_home, tmp_path, BALANCE) as (lab, _):
        call = lab.call(PhoneLeg())
        await hears(call, "Yes?")
        call.leg.speak(600)
        await hears(call, "one thousand", "pounds")
        stages = {event.stage for event in call.events(ev.StageMeasured)}
        assert {"understand", "tool", "voice_to_voice"} <= stages
        assert "llm_ttft" not in stages


@pytest.mark.slow
@pytest.mark.timeout(60)
async def test_who_wants_nothing_more_is_told_goodbye_and_the_line_is_hung_up(bank_home, tmp_path) -> None:
    async with bank_line(bank_home, tmp_path, ("block it", (Act("start", "block_card"),)), CANCEL, NO) as (lab, _):
        call = lab.call(PhoneLeg())
        await hears(call, "Yes?")
        call.leg.speak(600)
        await hears(call, "card")
        call.leg.speak(600)
        await hears(call, "anything else")
        call.leg.speak(600)
        await hears(call, "Goodbye")
        ended = await call.until(ev.CallEnded)
        assert (ended.cause, ended.detail) == ("local_hangup", "done")


@pytest.mark.slow
@pytest.mark.timeout(60)
async def test_a_card_is_blocked_once_after_the_read_back_was_heard_and_confirmed(bank_home, tmp_path) -> None:
    async with bank_line(bank_home, tmp_path, BLOCK, YES) as (lab, world):
        call = lab.call(PhoneLeg())
        await hears(call, "Yes?")
        call.leg.speak(600)
        await hears(call, "Shall I go ahead")
        assert await world.postings("block") == 0
        call.leg.speak(600)
        await hears(call, "is blocked")
        assert await world.postings() == 1
        assert await world.effects() == ["committed"]
        [judged], [ended] = call.events(ev.ActJudged)[-1:], call.events(ev.ActEnded)
        assert (judged.tool, judged.verdict, ended.state) == ("block_card", "allowed", "committed")
        assert [read.tool for read in call.events(ev.ToolRead)] == ["list_cards"]


@pytest.mark.slow
@pytest.mark.timeout(60)
async def test_a_caller_who_was_cut_off_goes_on_where_the_talk_stopped(bank_home, tmp_path) -> None:
    async with bank_line(bank_home, tmp_path, BLOCK, YES) as (lab, world):
        call = lab.call(PhoneLeg())
        await hears(call, "Yes?")
        call.leg.speak(600)
        await hears(call, "Shall I go ahead")
        call.leg._end("media_timeout")
        await lab.until(lambda: call.handle.ended)
        again = lab.call(PhoneLeg())
        await hears(again, "We were cut off")
        await hears(again, "Shall I go ahead")
        again.leg.speak(600)
        await hears(again, "is blocked")
        assert await world.postings() == 1


@pytest.mark.slow
@pytest.mark.timeout(60)
@pytest.mark.parametrize("transfers", [True, False])
async def test_who_asks_for_a_person_is_connected_or_called_back(bank_home, tmp_path, transfers) -> None:
    async with bank_line(bank_home, tmp_path, ("a person please", (Act("person"),))) as (lab, world):
        call = lab.call(PhoneLeg(transfers=transfers))
        await hears(call, "Yes?")
        call.leg.speak(600)
        await hears(call, "connecting you")
        asked = await call.until(ev.HandoverAsked)
        assert asked.reason == "asked"
        if transfers:
            await lab.until(lambda: call.leg.transferred)
            assert call.leg.transferred == [BANK.agent.escalation.routes["default"].target]
            call.leg._end("transferred")
        else:
            await call.until(ev.HandoverFailed)
            await hears(call, "We will call you back")
        await call.until(ev.CallEnded)
        promised = await world.pool.fetch("SELECT call_id, why FROM callbacks")
        assert [(row["call_id"], row["why"]) for row in promised] == (
            [] if transfers else [(call.handle.call_id, "handover")]
        )


@pytest.mark.slow
@pytest.mark.timeout(60)
async def test_a_pin_is_keyed_where_nobody_reads_it(bank_home, tmp_path) -> None:
    refund = (
        "refund fifteen pounds of the rail ticket",
        (
            Act("start", "refund"),
            give("txn", {"merchant": "Northern Rail", "amount_minor": 1500}, "rail ticket of fifteen pounds"),
            give("amount", {"minor": 1500, "currency": "GBP"}, "fifteen pounds"),
        ),
    )
    async with bank_line(bank_home, tmp_path, refund, YES) as (lab, world):
        call = lab.call(PhoneLeg())
        await hears(call, "Yes?")
        call.leg.speak(600)
        await hears(call, "code")
        for key in PIN:
            call.leg.sink.on_dtmf(Personal(key), 100)
        await hears(call, "Say yes to confirm")
        keys = [event.digit.reveal() for event in call.events(ev.DtmfReceived)]
        assert keys == ["", "", "", ""]
        call.leg.speak(600)
        await hears(call, "will be refunded")
        assert await world.postings() == 1


@pytest.mark.parametrize(
    ("uri", "number"),
    [
        ("sip:+441632960123@pbx.example;user=phone", "+441632960123"),
        ("sip:0301234@pbx", "0301234"),
        ("sip:anonymous@anonymous.invalid", ""),
        ("", ""),
    ],
)
def test_the_calling_number_is_the_user_part_when_it_is_one(uri, number) -> None:
    info = LegInfo("1", "sip", Personal(uri), Personal(""), "ref")
    assert calling_number(info).reveal() == number
