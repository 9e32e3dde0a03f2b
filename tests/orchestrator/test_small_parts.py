"""Fault policy, speculation gate, speech edges, event log, alarm, ticker, stage ring."""

import asyncio
from typing import Any

import pytest

from services.common.clock import VirtualClock
from services.common.settings import TurnSettings
from services.orchestrator import event_log
from services.orchestrator.alarm import Alarm
from services.orchestrator.event_log import EventLog, SubscriberCut
from services.orchestrator.events import CallEnded, HoldChanged, StageMeasured
from services.orchestrator.faults import FaultPolicy
from services.orchestrator.listener import final_text
from services.orchestrator.media.ticker import Ticker
from services.orchestrator.stages import StageRing
from services.orchestrator.turns.signals import VadFrame
from services.orchestrator.turns.speculation import SpeculationGate
from services.orchestrator.turns.speech import SpeechDetector
from services.pb.trunkline.asr.v1 import asr_pb2

MS = 1_000_000
S = 1_000_000_000

# ---- faults


def test_the_first_failure_is_apologised_for_the_next_are_retried_and_at_last_we_give_up() -> None:
    faults = FaultPolicy(12_000)
    kinds = [faults.failed("llm", at * S).kind for at in (0, 1, 5, 12)]
    assert kinds == ["apologise", "retry", "retry", "give_up"]


def test_waits_grow_and_are_bounded() -> None:
    faults = FaultPolicy(1_000_000)
    assert [faults.failed("tts", 0).wait_ms for _ in range(6)] == [250, 500, 1000, 2000, 2000, 2000]


def test_one_outage_of_two_services_is_apologised_for_once_and_a_new_one_again() -> None:
    faults = FaultPolicy(12_000)
    assert faults.failed("llm", 0).kind == "apologise"
    assert faults.failed("tts", S).kind == "retry"
    assert faults.answered("llm")
    assert not faults.answered("llm")
    assert faults.answered("tts")
    assert faults.failed("tts", 20 * S).kind == "apologise"


# ---- speculation


def test_a_prepared_reply_plays_only_for_the_same_words() -> None:
    gate: SpeculationGate[str] = SpeculationGate()
    gate.begin("Book a flight.", "reply")
    assert gate.commit("book  a flight") == ("reply", None)
    gate.begin("Book a flight.", "reply")
    assert gate.commit("Book a flight to Rome.") == (None, "reply")
    assert gate.commit("anything") == (None, None)


def test_every_prepared_reply_comes_back_once() -> None:
    gate: SpeculationGate[str] = SpeculationGate()
    assert gate.begin("a", "first") is None
    assert gate.begin("b", "second") == "first"
    assert gate.drop() == "second"
    assert gate.drop() is None
    assert not gate.holding


# ---- speech


def frames(detector: SpeechDetector, levels: list[list[float]], probabilities: list[float], start: int = 0) -> None:
    for index, (level, probability) in enumerate(zip(levels, probabilities, strict=True)):
        end_ns = (start + index + 1) * 32 * MS
        detector.push(VadFrame(end_ns, end_ns, probability, tuple(level)))


def test_speech_is_stamped_where_its_sound_begins_and_ends_not_where_the_model_noticed() -> None:
    detector = SpeechDetector(TurnSettings())
    quiet, loud = [-70.0] * 4, [-20.0] * 4
    # The model lags: 2 frames at the beginning, 3 at the end.
    levels = [quiet] * 10 + [[-70.0, -70.0, -20.0, -20.0]] + [loud] * 9 + [[-20.0, -70.0, -70.0, -70.0]] + [quiet] * 9
    probabilities = [0.01] * 12 + [0.9] * 11 + [0.01] * 7
    frames(detector, levels, probabilities)
    assert detector.onset_ns == (10 * 32 + 16) * MS
    assert detector.last_voiced_ns == (20 * 32 + 8) * MS


def test_the_tail_that_the_model_gave_up_on_still_counts() -> None:
    detector = SpeechDetector(TurnSettings())
    loud, tail, quiet = [-20.0] * 4, [-45.0] * 4, [-70.0] * 4
    frames(detector, [loud] * 10 + [tail] * 2 + [quiet] * 5, [0.9] * 10 + [0.1] * 7)
    assert detector.last_voiced_ns == 12 * 32 * MS


# ---- event log


def hold(at_ns: int) -> HoldChanged:
    return HoldChanged(at_ns=at_ns, held=True)


async def test_a_reader_gets_the_past_then_the_present_then_the_end() -> None:
    log = EventLog()
    log.append(hold(1))
    reader = log.subscribe()
    first = await anext(reader)
    log.append(hold(2))
    log.append(CallEnded(at_ns=3, cause="remote_bye", detail=""))
    log.append(hold(4))
    assert [first.at_ns, *[event.at_ns async for event in reader]] == [1, 2, 3]
    assert log.ended


async def test_a_slow_reader_is_cut_with_a_marker_and_the_log_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(event_log, "MAX_BEHIND", 10)
    log = EventLog()
    reader = log.subscribe()
    for at in range(30):
        log.append(hold(at))
    items = [event async for event in reader]
    assert isinstance(items[-1], SubscriberCut)
    assert len(log.snapshot()) == 30


def test_the_log_is_bounded() -> None:
    log = EventLog()
    for at in range(event_log.MAX_EVENTS + 5):
        log.append(hold(at))
    assert len(log.snapshot()) == event_log.MAX_EVENTS


def test_the_stage_ring_is_bounded_and_can_be_read_from_a_time_on() -> None:
    ring = StageRing(limit=3)
    for at in range(5):
        ring.add("call", StageMeasured(at_ns=at, stage="endpoint", turn=at, ms=1.0))
    assert [sample.at_ns for sample in ring.since(3)] == [4]
    assert [sample["turn"] for sample in ring.to_json()["samples"]] == [2, 3, 4]


# ---- time


async def test_an_alarm_rings_once_at_the_last_deadline_that_was_set() -> None:
    clock = VirtualClock()
    rang: list[int] = []
    tasks: list[Any] = []

    def spawn(coroutine: Any) -> Any:
        tasks.append(asyncio.create_task(coroutine))
        return tasks[-1]

    alarm = Alarm(clock, spawn, lambda: rang.append(clock.now_ns() // MS))
    alarm.set(100 * MS)
    await clock.advance_ms(50)
    alarm.set(200 * MS)
    await clock.advance_ms(100)
    assert rang == []
    alarm.set(180 * MS)
    await clock.advance_ms(100)
    assert rang == [180]
    alarm.set(300 * MS)
    alarm.set(None)
    await clock.advance_ms(500)
    assert rang == [180]
    # A deadline that moves back for ever costs no task each time.
    for step in range(50):
        alarm.set(clock.now_ns() + (100 + step) * MS)
    assert len(tasks) <= 4
    for task in tasks:
        task.cancel()


async def test_the_ticker_keeps_an_absolute_schedule_and_skips_what_it_missed() -> None:
    clock = VirtualClock()
    ticker = Ticker(clock)
    ticks: list[int] = []
    ticker.add("one", lambda now_ns: ticks.append(now_ns // MS))
    task = asyncio.create_task(ticker.run())
    await clock.advance_ms(60)
    assert ticks == [20, 40, 60]
    clock.advance_now_ms(70)
    await clock.advance_ms(30)
    assert ticks[3:] == [130, 140, 160]
    assert ticker.skipped == 2
    ticker.remove("one")
    await clock.advance_ms(100)
    assert len(ticks) == 6
    task.cancel()


# ---- finals


@pytest.mark.parametrize("ending", [-1.5, 0.0, None])
def test_what_the_recogniser_says_of_an_ending_reaches_the_turn_taker(ending: float | None) -> None:
    """…and even odds are not taken for no opinion."""
    heard = final_text(asr_pb2.Final(utterance_id=3, text="Yes.", ending_log_odds=ending), 5 * MS)
    assert (heard.utterance, heard.text, heard.ending, heard.language_probability) == (3, "Yes.", ending, 1.0)
