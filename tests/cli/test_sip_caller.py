"""A test call over real SIP and RTP, against a second real worker that answers it."""

import asyncio
from pathlib import Path

import numpy as np
import pytest

from services.cli.caller_role import caller_role, local_address
from services.cli.conversation import Conversation, Manners, plan_lines
from services.cli.dialers import parse_target
from services.cli.measure import dropped_frames, hear_turns
from services.cli.sip_caller import SipDialer
from services.cli.sip_leg import SipLeg, ended_reason
from services.cli.stack import Launch
from services.common.clock import SystemClock
from services.common.errors import InvalidInputError, UnavailableError
from services.pb.trunkline.telephony.v1 import telephony_pb2 as pb
from tests.cli.answering import answering_worker
from tests.cli.test_conversation import clip


async def test_calls_are_answered_interrupted_and_measured_from_their_audio(tmp_path: Path) -> None:
    clock = SystemClock()
    async with answering_worker(tmp_path) as uri:
        launch = Launch.load(None, "cpu", [f"data_dir={tmp_path}", "telephony.sip.codecs=pcmu"])
        async with SipDialer(launch, clock, target=uri, max_calls=2) as dialer:
            legs = [await dialer.dial(uri), await dialer.dial(uri)]
            lines = plan_lines([clip(700)], turns=3, barge_in_every=3, interrupt_after_ms=300, offset=0)
            manners = Manners(agent_done_ms=400, greeting_deadline_ms=3000, answer_deadline_ms=3000)
            said = await Conversation(legs[0], clock, manners).run(lines)
            await legs[0].hangup()
            turns = hear_turns(said, legs[0].sent, legs[0].heard)
            assert legs[0].ended == "local_hangup"
            assert legs[1].ended == ""
            assert legs[1].heard.samples > 0
    assert (legs[0].codec, legs[0].sent.rate_hz) == ("pcmu", 8000)
    assert all(t.answer_ns is not None for t in turns)
    # On a busy machine our own caller may stumble; it is then said, and the turn does not count.
    assert {t.outcome for t in turns} <= {"answered", "caller_late"}
    # The far end answers 200 ms after the last frame it heard.
    assert all(t.voice_to_voice_ms > 180 for t in turns if t.voice_to_voice_ms is not None)
    assert turns[2].barge_in_stop_ms is not None or turns[2].outcome == "caller_late"
    assert dropped_frames(legs[0].heard) < 10
    assert legs[1].ended


async def test_a_refused_call_says_the_sip_status(tmp_path: Path) -> None:
    async with answering_worker(tmp_path, "telephony.max_calls=1") as uri:
        launch = Launch.load(None, "cpu", [f"data_dir={tmp_path}"])
        async with SipDialer(launch, SystemClock(), target=uri, max_calls=3) as dialer:
            await dialer.dial(uri)
            with pytest.raises(UnavailableError, match="refused: rejected, SIP 503"):
                await dialer.dial(uri)


MS = 1_000_000


def leg_that_says(frames: int) -> SipLeg:
    leg = SipLeg(1)
    leg.start(pb.Established(codec="pcmu", tx_sample_rate_hz=8000, rx_sample_rate_hz=8000))
    leg.play(np.ones(160 * frames, dtype=np.int16))
    leg.due(pb.MediaRequest())
    return leg


def seen(leg: SipLeg, sent_frames: int, at_ms: int, starved_ms: int = 0) -> None:
    frame = pb.LegFrame(tx_samples_sent=160 * sent_frames, tx_samples_starved=8 * starved_ms, tx_sent_ns=at_ms * MS)
    leg.on_frame(frame, at_ms * MS)


def test_a_packet_that_was_seen_late_has_the_time_it_was_due() -> None:
    leg = leg_that_says(5)
    for frames, at_ms in ((1, 100), (2, 120), (4, 230), (5, 231)):
        seen(leg, frames, at_ms)
    assert [chunk.at_ns // MS for chunk in leg.sent.chunks] == [100, 120, 140, 160, 180]
    assert not leg.playing


def test_a_gap_that_the_sender_counted_is_a_gap() -> None:
    leg = leg_that_says(4)
    for frames, at_ms, starved_ms in ((1, 100, 0), (2, 220, 100), (3, 240, 100), (4, 600, 100)):
        seen(leg, frames, at_ms, starved_ms)
    assert [chunk.at_ns // MS for chunk in leg.sent.chunks] == [100, 220, 240, 600]


async def test_a_call_that_takes_no_more_audio_because_it_ends_is_told_as_its_end() -> None:
    leg = leg_that_says(2)
    progress = asyncio.create_task(leg.progress())
    await asyncio.sleep(0)
    leg.fault = "play: sending is held"
    seen(leg, 1, 100)
    await asyncio.sleep(0)
    leg.end("remote_bye")
    await progress
    assert leg.ended == "remote_bye"


def test_the_callers_worker_shares_no_port_with_the_stack() -> None:
    settings = Launch.load(None, "cpu", caller_role("sip:a@127.0.0.1:5060", [1111, 2222], 3)).settings.telephony
    assert (settings.port, settings.sip.port, settings.metrics_port) == (1111, 2222, 0)
    assert settings.jitter_buffer == "off"
    assert settings.tx_times


def test_the_local_address_is_the_one_that_reaches_the_target() -> None:
    assert local_address("sip:a@127.0.0.1:5060;transport=tcp") == "127.0.0.1"
    with pytest.raises(UnavailableError, match="cannot be reached"):
        local_address("sip:a@no-such-host.invalid")


def test_targets_name_their_transport_and_anything_else_is_refused_without_showing_the_user() -> None:
    assert parse_target("sip:a@b").transport == "sip"
    assert parse_target("webrtc:http://127.0.0.1:8080").address == "http://127.0.0.1:8080"
    with pytest.raises(InvalidInputError) as raised:
        parse_target("tel:alice@example.com")
    assert "alice" not in str(raised.value)


def test_the_end_of_a_call_is_said_in_the_words_of_the_contract() -> None:
    ended = pb.Ended(cause=pb.Ended.CAUSE_REJECTED, sip_status=486, reason="Busy Here")
    assert ended_reason(ended) == "rejected, SIP 486 Busy Here"
    assert ended_reason(pb.Ended(cause=pb.Ended.CAUSE_REMOTE_BYE)) == "remote_bye"
