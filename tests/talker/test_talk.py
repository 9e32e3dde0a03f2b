"""A caller that listens: in virtual time against an agent that is a program, then over real SIP with keys."""

import asyncio
from collections.abc import Sequence
from pathlib import Path

import pytest

from services.cli.caller import Pcm
from services.cli.clips import Clip
from services.cli.conversation import Manners
from services.cli.sip_caller import SipDialer
from services.cli.stack import Launch
from services.cli.talker.acts import Act, HangUp, Key, Listen, Say
from services.cli.talker.ears import Ears
from services.cli.talker.talk import Exchange, Talk, Talker
from services.common.clock import SystemClock, VirtualClock
from services.common.errors import InvalidInputError
from services.common.personal import Personal
from tests.cli.answering import answering_worker
from tests.cli.signals import MS
from tests.cli.test_conversation import ScriptedLeg, clip

MANNERS = Manners(greeting_deadline_ms=3000, agent_done_ms=500, answer_deadline_ms=3000)


class KeyedLeg(ScriptedLeg):
    """With a keypad; the agent answers keys as it does words."""

    keys = ""

    async def progress(self) -> None:
        await super().progress()
        # As a real leg: others run meanwhile.
        await asyncio.sleep(0)

    async def send_keys(self, keys: Personal[str]) -> None:
        self.keys += keys.reveal()
        self._due = self.clock.now_ns() + 1000 * MS


class Decided:
    """A caller whose acts are given; `heard` is what it was told."""

    def __init__(self, acts: Sequence[Act]) -> None:
        self.acts = list(acts)
        self.heard: list[str] = []

    def next(self, heard: str) -> Act:
        self.heard.append(heard)
        return self.acts.pop(0)


class Reads:
    """A recogniser that numbers what it is given."""

    def __init__(self) -> None:
        self.lengths_ms: list[int] = []

    async def __call__(self, pcm: Pcm, rate_hz: int) -> str:
        self.lengths_ms.append(len(pcm) * 1000 // rate_hz)
        return f"sentence {len(self.lengths_ms)}"


async def spoken(text: str) -> Clip:
    return clip()


async def talk(leg: KeyedLeg, caller: Decided, reads: Reads, told: list[str] | None = None) -> Talk:
    ears = Ears(leg, leg.clock, reads, MANNERS)

    def tell(side: str, one: Exchange) -> None:
        if told is not None:
            told.append(f"{side} {one.turn}")

    return await Talker(leg, ears, leg.clock, spoken, MANNERS, tell).talk(caller)


async def test_it_hears_the_agent_out_before_each_act_and_times_the_answers() -> None:
    leg, reads, told = KeyedLeg(VirtualClock()), Reads(), list[str]()
    caller = Decided([Say("one"), Key(Personal("42", "keys")), Say("two"), HangUp()])
    said = await talk(leg, caller, reads, told)
    assert caller.heard == ["sentence 1", "sentence 2", "sentence 3", "sentence 4"]
    assert [(one.said, one.keys, one.heard) for one in said.exchanges] == [
        ("", 0, "sentence 1"),
        ("one", 0, "sentence 2"),
        ("", 2, "sentence 3"),
        ("two", 0, "sentence 4"),
    ]
    assert leg.keys == "42"
    assert said.why == ""
    assert leg.ended == "local_hangup"
    times = [one.voice_to_voice_ms for one in said.exchanges]
    assert times[0] is None
    assert times[2] is None
    assert times[1] == pytest.approx(300, abs=25)
    assert told == ["heard 0", "said 1", "heard 1", "said 2", "heard 2", "said 3", "heard 3"]
    # What is read is the agent's speech, with a little around it, and no more.
    assert all(1900 <= length <= 2500 for length in reads.lengths_ms[1:])


async def test_what_is_said_after_a_wait_is_heard_together() -> None:
    leg, reads = KeyedLeg(VirtualClock()), Reads()
    caller = Decided([Listen(), HangUp("")])
    leg._due = 2500 * MS
    said = await talk(leg, caller, reads)
    assert caller.heard == ["sentence 1", "sentence 1 sentence 2"]
    assert said.exchanges[0].heard == "sentence 1 sentence 2"


async def test_an_agent_that_goes_on_while_it_is_read_is_heard_out_and_read_again() -> None:
    leg = KeyedLeg(VirtualClock())

    class Slow(Reads):
        async def __call__(self, pcm: Pcm, rate_hz: int) -> str:
            if not self.lengths_ms:
                leg._talk_until = leg.clock.now_ns() + 800 * MS
                # Some frames go by meanwhile.
                for _ in range(20):
                    await asyncio.sleep(0)
            return await super().__call__(pcm, rate_hz)

    caller = Decided([HangUp()])
    reads = Slow()
    await talk(leg, caller, reads)
    assert caller.heard == ["sentence 2"]
    assert reads.lengths_ms[1] > reads.lengths_ms[0]


async def test_silence_is_told_as_nothing_heard() -> None:
    leg = KeyedLeg(VirtualClock(), mute=True)
    caller = Decided([Say("hello?"), HangUp("nobody there")])
    said = await talk(leg, caller, Reads())
    assert caller.heard == ["", ""]
    assert said.why == "nobody there"


async def test_a_call_that_the_agent_ends_says_so() -> None:
    leg = KeyedLeg(VirtualClock())

    class Ends(Decided):
        def next(self, heard: str) -> Act:
            leg.ended = "remote_bye"
            return super().next(heard)

    said = await talk(leg, Ends([Say("one")]), Reads())
    assert said.why == "the call ended: remote_bye"


async def test_over_sip_it_calls_from_its_number_talks_and_keys(tmp_path: Path) -> None:
    clock, told = SystemClock(), list[str]()
    async with answering_worker(tmp_path, told=told) as uri:
        launch = Launch.load(None, "cpu", [f"data_dir={tmp_path}", "telephony.sip.codecs=pcmu"])
        async with SipDialer(launch, clock, target=uri, number="+441632960123") as dialer:
            leg = await dialer.dial(uri)
            ears = Ears(leg, clock, Reads(), MANNERS)
            caller = Decided([Say("one"), Key(Personal("43#1", "keys")), HangUp()])
            said = await Talker(leg, ears, clock, spoken, MANNERS).talk(caller)
            with pytest.raises(InvalidInputError, match=r"keys: expected 0-9"):
                await leg.send_keys(Personal("4x", "keys"))
    assert told[0].startswith("sip:+441632960123@")
    assert told[1:] == list("43#1")
    assert [bool(one.heard) for one in said.exchanges] == [True, True, True]
    assert said.exchanges[1].voice_to_voice_ms is not None
