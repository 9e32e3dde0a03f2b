"""`trunkline demo`: bank business by voice. A caller dials in over SIP, has a card blocked, is refused one refund and
gets another; then the bank's books and the audit log are looked at, and the stack is yours.
"""

import asyncio
import json
from pathlib import Path
from typing import Literal

from rich.console import Console
from rich.table import Table
from rich.text import Text

from services.cli.api import Api
from services.cli.bank_proof import DEMO, Fact, audit_report, book_facts
from services.cli.bank_stack import NUMBER, PIN, BankHouse, bank_house, running_bank
from services.cli.caller import CallerLeg
from services.cli.dialers import stack_target
from services.cli.recording import save_stereo
from services.cli.sip_caller import SipDialer
from services.cli.speech_clients import transcribe
from services.cli.stack import Launch
from services.cli.talker.bank import bank_caller
from services.cli.talker.ears import Ears
from services.cli.talker.talk import MANNERS, Exchange, Talk, Talker
from services.cli.talker.voice import Voice
from services.cli.terminal import EXIT_FAILED, Interrupts, StackView
from services.cli.up import RunningStack, started_stack, where_to_talk
from services.common.clock import Clock
from services.common.errors import TrunklineError
from services.common.log import configure_logging
from services.common.settings import LogSettings

# Tables in a log file.
_LOG_COLUMNS = 132


async def demo(launch: Launch, once: bool, clock: Clock, interrupts: Interrupts) -> int:
    """Returns 0 only if the caller got everything done that it called for and the books and the audit say the same."""
    console = Console()
    if not console.is_terminal:
        console = Console(width=_LOG_COLUMNS)
    # The stack's processes log to files; of what is done here only faults are worth a line.
    configure_logging(LogSettings(level="warning"), "trunkline")
    console.print(
        "Publishing the example bank's agent, starting Trunkline: the models are loaded first.", highlight=False
    )
    house = await bank_house(launch, clock)
    async with (
        started_stack(house.launch, clock, interrupts, StackView(console=console)) as stack,
        running_bank(house, clock),
    ):
        good = await _test_call(house, clock, console)
        if once:
            return 0 if good else EXIT_FAILED
        for line in _where(stack):
            console.print(line, markup=False, highlight=False, soft_wrap=True)
        try:
            await asyncio.get_running_loop().create_future()
        except asyncio.CancelledError:
            if not interrupts.seen:
                raise
            console.print("Stopping.")
    return 0 if good else EXIT_FAILED


async def _test_call(house: BankHouse, clock: Clock, console: Console) -> bool:
    settings, caller = house.launch.settings, bank_caller()
    target = stack_target("sip", settings)
    voice = Voice(settings, clock)
    for line in caller.lines():
        await voice.clip(line)
    console.print(
        Text(f"\n{NUMBER} dials the bank over SIP. It speaks with a synthetic voice of its own;", style="bold")
    )
    console.print("what it says next depends on what it hears, read from the audio.\n", highlight=False)

    async with (
        Api(settings) as api,
        SipDialer(_in_g711(house.launch), clock, target=target.address, number=NUMBER) as dialer,
    ):
        leg = await dialer.dial(target.address)
        ears = Ears(leg, clock, lambda pcm, rate_hz: transcribe(pcm, rate_hz, settings, clock), MANNERS)
        talk = await Talker(leg, ears, clock, voice.clip, tell=lambda side, one: _show(console, side, one)).talk(caller)
        events = await _events(api, leg)
    save_stereo(house.data_dir / "demo.wav", leg.sent, leg.heard)
    await asyncio.to_thread(_write, house.data_dir / "events.jsonl", events)
    facts = [*await book_facts(house, DEMO), await _audit(house, clock)]
    console.print()
    console.print(_turns(talk))
    console.print()
    console.print(_facts(facts))
    console.print(
        f"\nRecording: {house.data_dir}/demo.wav (left caller, right agent). Beside it: events.jsonl, audit.jsonl."
    )
    return _verdict(console, talk, facts)


def _in_g711(launch: Launch) -> Launch:
    """What most trunks speak."""
    return launch.with_overrides("telephony.sip.codecs=pcmu")


async def _audit(house: BankHouse, clock: Clock) -> Fact:
    out = house.data_dir / "audit.jsonl"
    try:
        report = await audit_report(house, clock, out)
    except TrunklineError as error:
        return Fact("audit log", "verified", error.message)
    found = "verified" if report.ok else f"{len(report.findings)} findings: {report.findings[0].message}"
    return Fact(f"audit log ({report.entries} entries)", "verified", found)


async def _events(api: Api, leg: CallerLeg) -> list[dict[str, object]]:
    """The call's own account, for whoever looks into a call that went wrong; not what is judged."""
    try:
        call_id = await api.call_id(leg.peer_reference)
        return [event async for event in api.events(call_id)] if call_id else []
    except TrunklineError:
        return []


def _write(path: Path, events: list[dict[str, object]]) -> None:
    path.write_text("".join(json.dumps(event) + "\n" for event in events), encoding="utf-8")


def _said(one: Exchange) -> str:
    return f"keys {'•' * one.keys}" if one.keys else one.said or "(the call is answered)"


def _show(console: Console, side: Literal["said", "heard"], one: Exchange) -> None:
    """Lines as they come: first what the caller says, then what it heard."""
    if side == "heard":
        console.print(Text("   agent  ", style="green") + Text(one.heard or "(nothing)"))
    else:
        console.print(Text("  caller  ", style="cyan") + Text(_said(one)))


def _turns(talk: Talk) -> Table:
    table = Table(title="The call, as its caller heard it", box=None, pad_edge=False, title_justify="left")
    table.add_column("turn", justify="right")
    table.add_column("said", ratio=3)
    table.add_column("heard", ratio=5)
    table.add_column("voice to voice, ms", justify="right")
    for one in talk.exchanges:
        took = f"{one.voice_to_voice_ms:.0f}" if one.voice_to_voice_ms is not None else ""
        table.add_row(str(one.turn), _said(one), one.heard or "(nothing)", took)
    return table


def _facts(facts: list[Fact]) -> Table:
    table = Table(title="What it left behind", box=None, pad_edge=False, title_justify="left")
    for column in ("", "expected", "found", ""):
        table.add_column(column)
    for fact in facts:
        mark = Text("holds", style="green") if fact.holds else Text("DOES NOT HOLD", style="bold red")
        table.add_row(fact.what, fact.expected, fact.found, mark)
    return table


def _verdict(console: Console, talk: Talk, facts: list[Fact]) -> bool:
    wrong = [fact.what for fact in facts if not fact.holds]
    if talk.why:
        wrong.insert(0, f"the caller gave up: {talk.why}")
    if wrong:
        console.print(f"Not as it should be: {'; '.join(wrong)}.", style="bold red", highlight=False)
        return False
    console.print(
        "The caller got done what it called for, and the books and the audit log say so.",
        style="green",
        highlight=False,
    )
    return True


def _where(stack: RunningStack) -> list[str]:
    """How a person becomes a customer of the bank."""
    uri = stack.sip
    return [
        *where_to_talk(stack)[:-1],
        "",
        "The bank knows its customers by the number they call from. In a softphone, make an account with the user "
        f"name {NUMBER} (no registrar, no password), call {uri}, and key {PIN} when you are asked for the code.",
        f'Without a softphone:  trunkline call {uri} --from {NUMBER} --text "What is my balance?"',
        "A browser has no number: there the bank answers, but does nothing that needs to know who calls.",
        "Ctrl-C stops everything.",
    ]
