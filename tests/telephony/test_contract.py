"""The contract over real gRPC, with a second worker process as the caller: what the orchestrator builds on."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

import grpc.aio
import pytest

from services.common.clock import SystemClock
from services.common.rpc_client import open_channel
from services.common.settings import RpcSettings
from services.pb.trunkline.telephony.v1 import telephony_pb2 as pb
from services.telephony.client import WorkerClient
from tests.leaks import shows
from tests.telephony.lab import CALLER, Side, connect, loud, main_frequency, side, tone
from tests.telephony.process import worker_process
from tests.telephony.raw_call import ULAW, RawCall

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest.fixture(scope="module", autouse=True)
async def pair() -> AsyncIterator[tuple[Side, Side]]:
    """A caller and a callee, for the whole file."""
    async with side(CALLER) as caller, side(["telephony.client_grace_s=1", "telephony.max_calls=8"]) as callee:
        yield caller, callee


async def hang_up(caller: Side, leg: int, callee: Side, answered: int) -> tuple[pb.Ended, pb.Ended]:
    caller.client.command(leg, hangup=pb.Hangup())
    theirs = (await callee.client.event(answered, "ended")).ended
    return (await caller.client.event(leg, "ended")).ended, theirs


async def test_it_says_what_it_is(pair):
    _, callee = pair
    about = await callee.client.describe()
    assert (about.service, about.engine) == ("telephony", "baresip")
    assert about.details["reject_status"] == "any"
    assert about.details["sip_uri"].startswith("sip:trunkline@127.0.0.1:")


async def test_a_dialled_call_is_answered_heard_both_ways_and_ended(pair):
    caller, callee = pair
    leg, answered, established = await connect(caller, callee)
    rate = established.established.tx_sample_rate_hz
    for side_, playing, other, hearing, hz in (
        (caller, leg, callee, answered, 440),
        (callee, answered, caller, leg, 700),
    ):
        await side_.play(playing, tone(hz, 0.8, rate), rate)
        await other.until(lambda: len(loud(other.heard[hearing])) > 60)  # noqa: B023
        assert abs(main_frequency(other.heard[hearing], rate) - hz) < 15
    ours, theirs = await hang_up(caller, leg, callee, answered)
    assert (ours.cause, theirs.cause) == (pb.Ended.CAUSE_LOCAL_HANGUP, pb.Ended.CAUSE_REMOTE_BYE)
    assert theirs.stats.rx_packets > 50


@pytest.mark.parametrize(
    ("codec", "told", "rate"),
    [("opus", "opus", 48_000), ("g722", "g722", 16_000), ("pcmu", "g711", 8000), ("pcma", "g711", 8000)],
)
async def test_every_codec_carries_a_tone_through(pair, codec: str, told: str, rate: int):
    _, callee = pair
    async with side((*CALLER, f"telephony.sip.codecs={codec}")) as caller:
        leg, answered, established = await connect(caller, callee)
        assert (established.established.codec, established.established.rx_sample_rate_hz) == (told, rate)
        await caller.play(leg, tone(1000, 0.6, rate), rate)
        await callee.until(lambda: len(callee.heard.get(answered, b"")) > rate)
        assert abs(main_frequency(callee.heard[answered], rate) - 1000) < 20
        await hang_up(caller, leg, callee, answered)


async def test_legs_of_a_client_that_is_gone_end_after_the_grace_time():
    async with (
        side(CALLER) as caller,
        worker_process(["telephony.client_grace_s=0.5"]) as worker,
        open_channel(worker.address, RpcSettings()) as channel,
    ):
        callee = Side(worker, WorkerClient(channel))
        async with callee.client:
            callee.uri = (await callee.client.describe()).details["sip_uri"]
            leg, _, _ = await connect(caller, callee)
        ended = (await caller.client.event(leg, "ended")).ended
        assert ended.cause == pb.Ended.CAUSE_REMOTE_BYE
        # Without a client nobody is there to take a call.
        again = await caller.client.dial(callee.uri)
        assert (await caller.client.event(again, "ended")).ended.sip_status == 503


async def test_dtmf_goes_both_ways(pair):
    caller, callee = pair
    leg, answered, _ = await connect(caller, callee)
    for sender, sending, receiver, receiving in ((caller, leg, callee, answered), (callee, answered, caller, leg)):
        sender.client.command(sending, send_dtmf=pb.SendDtmf(digits="1*#d"))
        digits = [(await receiver.client.event(receiving, "dtmf")).dtmf for _ in range(4)]
        assert "".join(digit.digit for digit in digits) == "1*#D"
        assert all(40 <= digit.duration_ms <= 1000 for digit in digits)
    await hang_up(caller, leg, callee, answered)


async def test_clear_silences_the_wire_and_says_what_was_thrown_away(pair):
    caller, callee = pair
    leg, answered, established = await connect(caller, callee)
    rate = established.established.tx_sample_rate_hz
    await callee.play(answered, tone(500, 0.4, rate), rate)
    callee.client.play(answered, tone(500, 0.02, rate))
    callee.client.command(answered, clear=pb.Clear())
    cleared = (await callee.client.event(answered, "cleared")).cleared
    assert cleared.tx_samples_flushed > 0
    assert cleared.tx_samples_sent + cleared.tx_samples_flushed <= rate * 0.42 + 1
    # Audio given after the clear is not lost with it.
    await callee.play(answered, tone(900, 0.5, rate), rate)
    await callee.until(lambda: callee.last[answered].tx_samples_sent == cleared.tx_samples_sent + rate * 0.5)
    assert callee.last[answered].tx_samples_queued == 0
    await hang_up(caller, leg, callee, answered)


async def test_after_a_clear_the_wire_falls_silent(pair, record_property):
    """Counted in packets at the far end's socket; how long it took is reported, not asserted."""
    _, callee = pair
    sound_ns: list[int] = []

    def on_rtp(payload: bytes, at_ns: int) -> None:
        if abs(int(ULAW[payload[80]])) > 200:
            sound_ns.append(at_ns)

    call = RawCall(callee.uri.split("@")[1].split(";")[0], on_rtp=on_rtp)
    await call.open()
    asked = asyncio.create_task(call.invite())
    leg, _ = await callee.answer()
    assert await asked == 200
    await callee.play(leg, b"\x00\x20" * 8000, 8000)
    callee.client.play(leg, b"\x00\x20" * 160)
    cleared_ns = SystemClock().now_ns()
    callee.client.command(leg, clear=pb.Clear())
    await callee.client.event(leg, "cleared")
    heard = len(call.arrivals)
    await callee.until(lambda: len(call.arrivals) > heard + 15)
    assert sound_ns
    record_property("clear_to_silence_ms", round((sound_ns[-1] - cleared_ns) / 1e6, 1))
    before = len(sound_ns)
    await callee.until(lambda: len(call.arrivals) > heard + 25)
    assert len(sound_ns) == before
    assert await call.bye() == 200
    await callee.client.event(leg, "ended")
    call.close()


async def test_too_much_audio_is_refused_and_the_call_goes_on(pair):
    caller, callee = pair
    leg, answered, established = await connect(caller, callee)
    rate = established.established.tx_sample_rate_hz
    callee.client.play(answered, tone(500, 0.5, rate))
    failed = (await callee.client.event(answered, "command_failed")).command_failed
    assert (failed.command, "60 ms" in failed.message) == ("play", True)
    callee.client.play(answered, b"\0" * 7)
    assert "expected frames" in (await callee.client.event(answered, "command_failed")).command_failed.message
    await hang_up(caller, leg, callee, answered)


async def test_hold_and_resume_are_told_to_the_other_side(pair):
    caller, callee = pair
    leg, answered, _ = await connect(caller, callee)
    caller.client.command(leg, hold=pb.Hold(on=True))
    assert (await callee.client.event(answered, "hold_changed")).hold_changed.held
    caller.client.command(leg, hold=pb.Hold(on=False))
    assert not (await callee.client.event(answered, "hold_changed")).hold_changed.held
    await hang_up(caller, leg, callee, answered)


@pytest.mark.parametrize("status", [486, 503, 603])
async def test_a_rejected_dial_ends_with_the_sip_status(pair, status: int):
    caller, callee = pair
    leg = await caller.client.dial(callee.uri, {"X-Tenant": "acme"})
    incoming = await callee.client.event(0, "incoming")
    assert incoming.incoming.headers["X-Tenant"] == "acme"
    assert incoming.incoming.to_uri.startswith("sip:trunkline@")
    callee.client.command(incoming.leg_id, reject=pb.Reject(sip_status=status))
    ended = (await caller.client.event(leg, "ended")).ended
    assert (ended.cause, ended.sip_status) == (pb.Ended.CAUSE_REJECTED, status)
    assert (await callee.client.event(incoming.leg_id, "ended")).ended.cause == pb.Ended.CAUSE_REJECTED


async def test_a_dial_that_is_given_up_is_a_cancel_for_the_other_side(pair):
    caller, callee = pair
    leg = await caller.client.dial(callee.uri)
    incoming = await callee.client.event(0, "incoming")
    caller.client.command(leg, hangup=pb.Hangup())
    ended = (await callee.client.event(incoming.leg_id, "ended")).ended
    assert (ended.cause, ended.sip_status) == (pb.Ended.CAUSE_CANCELLED, 487)
    assert (await caller.client.event(leg, "ended")).ended.cause == pb.Ended.CAUSE_LOCAL_HANGUP


async def test_a_dial_to_nowhere_ends(pair):
    caller, _ = pair
    leg = await caller.client.dial("sip:nobody@127.0.0.1:1;transport=tcp")
    assert (await caller.client.event(leg, "ended", timeout_s=10)).ended.cause == pb.Ended.CAUSE_FAILED


async def test_a_malformed_dial_is_refused_by_its_id(pair):
    caller, _ = pair
    with pytest.raises(ConnectionError, match="SIP URI"):
        await caller.client.dial("mailto:someone")


async def test_a_blind_transfer_moves_the_far_end_to_the_target(pair):
    caller, callee = pair
    leg, answered, _ = await connect(caller, callee)
    # The callee sends the caller back to itself: a second call arrives and the first one ends.
    callee.client.command(answered, transfer=pb.Transfer(target_uri=callee.uri.split(";")[0]))
    asked = await caller.client.event(leg, "transfer_requested")
    assert not asked.transfer_requested.replaces
    caller.client.command(leg, answer_transfer=pb.AnswerTransfer(accept=True))
    dialed = await caller.client.event(0, "dialed")
    third, _ = await callee.answer()
    result = await callee.client.event(answered, "transfer_result")
    assert result.transfer_result.accepted
    assert (await callee.client.event(answered, "ended")).ended.cause == pb.Ended.CAUSE_TRANSFERRED
    await caller.client.event(leg, "ended")
    await hang_up(caller, dialed.leg_id, callee, third)


async def test_a_refused_transfer_is_told_and_the_call_lives_on(pair):
    caller, callee = pair
    leg, answered, _ = await connect(caller, callee)
    callee.client.command(answered, transfer=pb.Transfer(target_uri="sip:x@127.0.0.1:9"))
    await caller.client.event(leg, "transfer_requested")
    caller.client.command(leg, answer_transfer=pb.AnswerTransfer(accept=False))
    result = (await callee.client.event(answered, "transfer_result")).transfer_result
    assert (result.accepted, result.sip_status) == (False, 603)
    await hang_up(caller, leg, callee, answered)


async def test_an_attended_transfer_joins_the_two_far_ends(pair):
    caller, callee = pair
    leg, answered, _ = await connect(caller, callee)
    async with side(["telephony.jitter_buffer=off"]) as agent:
        consult = await callee.client.dial(agent.uri)
        agent_leg, _ = await agent.answer()
        await callee.client.event(consult, "established")
        callee.client.command(answered, transfer=pb.Transfer(consult_leg_id=consult))
        asked = await caller.client.event(leg, "transfer_requested")
        assert asked.transfer_requested.replaces
        caller.client.command(leg, answer_transfer=pb.AnswerTransfer(accept=True))
        dialed = (await caller.client.event(0, "dialed")).leg_id
        replaced, _ = await agent.answer()
        await caller.client.event(dialed, "established")
        assert (await callee.client.event(answered, "transfer_result")).transfer_result.accepted
        await agent.client.event(agent_leg, "ended")
        await agent.play(replaced, tone(600, 0.5, 48_000), 48_000)
        await caller.until(lambda: len(loud(caller.heard.get(dialed, b""))) > 10)
        caller.client.command(dialed, hangup=pb.Hangup())
        await agent.client.event(replaced, "ended")


async def test_a_second_client_is_refused_and_the_first_goes_on(pair):
    caller, callee = pair
    async with open_channel(callee.worker.address, RpcSettings()) as channel:
        second = WorkerClient(channel)
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await second.run_once()
        assert caught.value.code() is grpc.StatusCode.ALREADY_EXISTS
    leg, answered, _ = await connect(caller, callee)
    await hang_up(caller, leg, callee, answered)


async def test_calls_are_shared_among_clients_and_one_that_dies_takes_only_its_own(pair):
    """What two orchestrator workers rely on: real streams, real calls, one stream torn down without a goodbye."""
    caller, _ = pair
    async with worker_process(["telephony.client_grace_s=0.5"]) as worker, contextlib.AsyncExitStack() as stack:
        sides = []
        for name in ("one", "two"):
            channel = await stack.enter_async_context(open_channel(worker.address, RpcSettings()))
            it = Side(worker, WorkerClient(channel))
            it.client = WorkerClient(channel, it.on_response, pb.Attach(name=name, capacity=4))
            await stack.enter_async_context(it.client)
            sides.append((it, channel))
        (one, channel), (two, _) = sides
        uri = (await two.client.describe()).details["sip_uri"]
        async with asyncio.timeout(5):
            while (await two.client.describe()).details["clients"] != "2":
                pass
        legs = [await caller.client.dial(uri)]
        first, _ = await one.answer()
        legs.append(await caller.client.dial(uri))
        second, established = await two.answer()
        for leg in legs:
            await caller.client.event(leg, "established")
        ringing = await caller.client.dial(uri)
        await one.client.event(0, "incoming")
        await channel.close()
        # It rings on, and the other client is asked.
        third, _ = await two.answer()
        await caller.client.event(ringing, "established")
        assert (await caller.client.event(legs[0], "ended")).ended.cause == pb.Ended.CAUSE_REMOTE_BYE
        rate = established.established.tx_sample_rate_hz
        await two.play(second, tone(700, 0.6, rate), rate)
        await caller.until(lambda: len(loud(caller.heard[legs[1]])) > 20)
        assert len({first, second, third}) == 3
        for leg, theirs in ((legs[1], second), (ringing, third)):
            caller.client.command(leg, hangup=pb.Hangup())
            await two.client.event(theirs, "ended")


async def test_no_uri_and_no_number_is_in_the_log(pair):
    port = pair[1].uri.split("@")[1].split(";")[0]
    for side_ in pair:
        text = "".join(side_.worker.lines)
        assert "sip:" not in text
        assert not shows(text, port)
