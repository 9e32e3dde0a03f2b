"""SIPp as the trunk: calls with media, DTMF, hold, CANCEL, OPTIONS, offers of all kinds, caps and bursts."""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import numpy as np
import pytest

from services.pb.trunkline.telephony.v1 import telephony_pb2 as pb
from tests.telephony.lab import Side, loud, main_frequency, needs, side, tone
from tests.telephony.raw_call import ULAW
from tests.telephony.sipp import (
    OPTIONAL_100,
    Sipp,
    ack_refusal,
    answered_call,
    pause,
    pcap,
    recv,
    request,
    sdp,
    stream,
)

pytestmark = [pytest.mark.peer, needs("sipp"), pytest.mark.asyncio(loop_scope="module")]
DTMF_PCAP = Path("/usr/share/sip-tester/dtmf_2833_1.pcap")


@pytest.fixture(scope="module")
async def worker() -> AsyncIterator[Side]:
    async with side(["telephony.max_calls=60"]) as it:
        yield it


@pytest.fixture
def sipp(worker: Side, tmp_path: Path) -> Sipp:
    return Sipp(worker.uri.split("@")[1].split(";")[0], tmp_path)


@asynccontextmanager
async def answering(worker: Side) -> AsyncIterator[list[int]]:
    """Answers every call while the scenario runs; collects the legs."""
    legs: list[int] = []

    async def answer() -> None:
        while True:
            leg = (await worker.client.event(0, "incoming", timeout_s=60)).leg_id
            legs.append(leg)
            worker.client.command(leg, answer=pb.Answer())

    task = asyncio.create_task(answer())
    try:
        yield legs
    finally:
        task.cancel()
        await asyncio.wait({task})


async def ended(worker: Side, leg: int) -> pb.Ended:
    return (await worker.client.event(leg, "ended")).ended


def companded(codec: str, pcm: bytes) -> bytes:
    """PCM as G.711 by nearest level (slow and simple)."""
    table = ULAW.astype(int) if "U" in codec else _alaw_levels()
    samples = np.frombuffer(pcm, "<i2").astype(int)
    return np.abs(table[None, :] - samples[:, None]).argmin(axis=1).astype(np.uint8).tobytes()


def _alaw_levels() -> np.ndarray:
    """ITU-T G.711 A-law: the 256 codes as 16-bit linear."""
    code = np.arange(256) ^ 0x55
    exponent, mantissa = (code & 0x70) >> 4, (code & 0x0F) << 4
    magnitude = np.where(exponent == 0, mantissa + 8, (mantissa + 0x108) << np.maximum(exponent - 1, 0))
    return np.where(code & 0x80, magnitude, -magnitude)


@pytest.mark.parametrize(("codec", "payloads"), [("PCMU/8000", "0 101"), ("PCMA/8000", "8 101")])
async def test_a_g711_call_is_heard(worker: Side, sipp: Sipp, codec: str, payloads: str):
    audio = sipp.directory / "tone.raw"
    audio.write_bytes(companded(codec, tone(425, 1.0, 8000)))
    async with answering(worker) as legs:
        offer = sdp(payloads, port="[rtpstream_audio_port]")
        await sipp.run(*answered_call(offer, stream(audio, codec), pause(1200)))
    end = await ended(worker, legs[0])
    assert end.cause == pb.Ended.CAUSE_REMOTE_BYE
    heard = bytes(worker.heard[legs[0]])
    assert loud(heard).sum() > 40
    assert abs(main_frequency(heard, 8000) - 425) < 15


@pytest.mark.skipif(os.geteuid() != 0 or not DTMF_PCAP.exists(), reason="pcap play needs root and sip-tester's files")
async def test_rfc_4733_digits_of_a_capture_are_reported(worker: Side, sipp: Sipp):
    async with answering(worker) as legs:
        star = str(DTMF_PCAP).replace("_1.", "_star.")
        await sipp.run(
            *answered_call(sdp("8 101"), pause(200), pcap(str(DTMF_PCAP)), pause(1000), pcap(star), pause(800))
        )
    digits = [(await worker.client.event(legs[0], "dtmf")).dtmf.digit for _ in range(2)]
    assert digits == ["1", "*"]
    await ended(worker, legs[0])


@pytest.mark.parametrize("direction", ["sendonly", "inactive"])
async def test_hold_by_re_invite_is_told_and_taken_back(worker: Side, sipp: Sipp, direction: str):
    parts = [
        pause(200),
        request("INVITE", 2, sdp(extra=f"a={direction}\n"), to_tag=True),
        OPTIONAL_100,
        recv(200),
        request("ACK", 2, to_tag=True),
        pause(400),
        request("INVITE", 3, sdp(extra="a=sendrecv\n"), to_tag=True),
        OPTIONAL_100,
        recv(200),
        request("ACK", 3, to_tag=True),
        pause(400),
    ]
    async with answering(worker) as legs:
        await sipp.run(*answered_call(sdp(), *parts))
    held = [(await worker.client.event(legs[0], "hold_changed")).hold_changed.held for _ in range(2)]
    assert held == [True, False]
    assert (await ended(worker, legs[0])).cause == pb.Ended.CAUSE_REMOTE_BYE


async def test_a_re_invite_to_another_codec_is_told_with_its_rate(worker: Side, sipp: Sipp):
    parts = [
        pause(200),
        request("INVITE", 2, sdp("9 101"), to_tag=True),
        OPTIONAL_100,
        recv(200),
        request("ACK", 2, to_tag=True),
        pause(500),
    ]
    async with answering(worker) as legs:
        await sipp.run(*answered_call(sdp(), *parts))
    rates = [(await worker.client.event(legs[0], "established")).established.rx_sample_rate_hz for _ in range(2)]
    assert rates == [8000, 16_000]
    await ended(worker, legs[0])


async def test_cancel_before_the_answer_ends_the_leg_as_cancelled(worker: Side, sipp: Sipp):
    waiting = asyncio.create_task(worker.client.event(0, "incoming"))
    await sipp.run(
        request("INVITE", 1, sdp()),
        '<recv response="100" optional="true"/>',
        recv(180),
        pause(200),
        request("CANCEL", 1),
        recv(200),
        recv(487),
        ack_refusal(),
    )
    end = await ended(worker, (await waiting).leg_id)
    assert (end.cause, end.sip_status) == (pb.Ended.CAUSE_CANCELLED, 487)


async def test_options_is_answered(sipp: Sipp):
    await sipp.run(request("OPTIONS", 1), recv(200))


async def test_an_invite_without_an_offer_is_answered_with_one(worker: Side, sipp: Sipp):
    async with answering(worker) as legs:
        await sipp.run(
            request("INVITE", 1),
            OPTIONAL_100,
            recv(200),
            request("ACK", 1, sdp(), to_tag=True),
            pause(600),
            request("BYE", 2, to_tag=True),
            recv(200),
        )
    assert (await worker.client.event(legs[0], "established")).established.rx_sample_rate_hz == 8000
    await ended(worker, legs[0])


async def test_srtp_that_is_not_configured_is_refused_with_488(worker: Side, sipp: Sipp):
    crypto = "a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:WVNfX19zZW1jdGwgKCkgewkyMjA7fQp9CnVubGVz\n"
    async with answering(worker):
        await sipp.run(
            request("INVITE", 1, sdp(profile="RTP/SAVP", extra=crypto)),
            OPTIONAL_100,
            recv(488),
            ack_refusal(),
        )


async def test_the_same_invite_twice_is_one_call(worker: Side, sipp: Sipp):
    again = request("INVITE", 1, sdp(), branch="z9hG4bKdup[pid]x[call_number]", retrans=False)
    async with answering(worker) as legs:
        await sipp.run(
            again,
            pause(100),
            again,
            OPTIONAL_100,
            recv(200),
            request("ACK", 1, to_tag=True),
            pause(300),
            request("BYE", 2, to_tag=True),
            recv(200),
        )
        await ended(worker, legs[0])
    assert len(legs) == 1


@pytest.mark.slow
async def test_a_burst_of_fifty_calls_is_spread_and_none_is_lost(worker: Side, sipp: Sipp):
    async with answering(worker) as legs:
        await sipp.run(*answered_call(sdp(), pause(500)), calls=50, rate=50, timeout_s=30)
        assert len(legs) == 50
        times = []
        for leg in legs:
            established = await worker.client.event(leg, "established")
            times.append(established.monotonic_ns / 1e9)
            await ended(worker, leg)
    # 20 answers a second: fifty need about 2.5 s.
    assert 2.0 < max(times) - min(times) < 6.0


@asynccontextmanager
async def full_house(folder: Path, call_ms: int) -> AsyncIterator[tuple[Side, list[int], Sipp, "asyncio.Task[str]"]]:
    """A worker for one call, that call of `call_ms` inside, and a SIPp for those that come beside it."""
    async with side(["telephony.max_calls=1"]) as small:
        first, second = folder / "a", folder / "b"
        first.mkdir()
        second.mkdir()
        target = small.uri.split("@")[1].split(";")[0]
        async with answering(small) as legs:
            inside = asyncio.create_task(Sipp(target, first).run(*answered_call(sdp(), pause(call_ms)), timeout_s=40))
            await small.client.event(0, "established")
            yield small, legs, Sipp(target, second), inside


async def test_a_call_over_the_cap_hears_when_to_try_again_and_the_one_inside_goes_on(tmp_path: Path):
    async with full_house(tmp_path, 2500) as (small, legs, another, inside):
        later = recv(503, header="Retry-After", value="^ *5")
        await another.run(request("INVITE", 1, sdp()), OPTIONAL_100, later, ack_refusal())
        await inside
        assert len(legs) == 1
        assert (await ended(small, legs[0])).cause == pb.Ended.CAUSE_REMOTE_BYE


@pytest.mark.slow
async def test_a_thousand_refusals_leave_the_stack_as_fit_as_it_was(tmp_path: Path):
    """More than the stack has places for sockets: each refused call must give its own back."""
    async with full_house(tmp_path, 20_000) as (small, legs, another, inside):
        refused = (request("INVITE", 1, sdp()), OPTIONAL_100, recv(503), ack_refusal())
        await another.run(*refused, calls=1100, rate=100, timeout_s=40)
        await inside
        assert (await ended(small, legs[0])).cause == pb.Ended.CAUSE_REMOTE_BYE
        await another.run(*answered_call(sdp(), pause(300)))
        assert len(legs) == 2
