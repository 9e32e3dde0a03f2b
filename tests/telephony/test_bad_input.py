"""Malformed SIP, SDP and RTP get an error or nothing, and harm no other call (invariant 8)."""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from services.pb.trunkline.telephony.v1 import telephony_pb2 as pb
from tests.telephony.lab import Side, side
from tests.telephony.raw_call import MARKS, SAMPLES, RawCall, pace

pytestmark = pytest.mark.asyncio(loop_scope="module")
TORTURE = sorted((Path(__file__).parents[1] / "data" / "rfc4475").glob("*.dat"))


@pytest.fixture(scope="module")
async def worker() -> AsyncIterator[Side]:
    async with side(["telephony.max_calls=40", "telephony.ring_timeout_s=2", "telephony.media_timeout_s=2"]) as it:
        yield it


def target(worker: Side) -> str:
    return worker.uri.split("@")[1].split(";")[0]


@asynccontextmanager
async def a_good_call(worker: Side) -> AsyncIterator[RawCall]:
    """A call that talks and listens all the while: most of its audio must get through both ways, and it ends well."""
    call = RawCall(target(worker))
    await call.open()
    asked = asyncio.create_task(call.invite())
    leg = (await worker.client.event(0, "incoming")).leg_id
    worker.client.command(leg, answer=pb.Answer())
    assert await asked == 200
    await worker.client.event(leg, "established")
    talking = asyncio.create_task(pace(60, lambda n: call.rtp(bytes([MARKS[n % len(MARKS)]]) * SAMPLES)))
    start, heard = len(call.arrivals), len(worker.heard.get(leg, b""))
    began = asyncio.get_running_loop().time()
    try:
        yield call
        await asyncio.sleep(0.3)
        frames = (asyncio.get_running_loop().time() - began) * 50
        assert len(call.arrivals) - start > frames * 0.6
        assert (len(worker.heard[leg]) - heard) / 320 > frames * 0.6
        assert await call.bye() == 200
        assert (await worker.client.event(leg, "ended")).ended.cause == pb.Ended.CAUSE_REMOTE_BYE
    finally:
        talking.cancel()
        await asyncio.wait({talking})
        call.close()


async def settled(worker: Side) -> None:
    """Whatever rang has been rejected, and the worker still answers."""
    async with asyncio.timeout(10):
        while (await worker.client.describe()).details["active_legs"] != "0":
            for event in [event for event in worker.client.events if event.HasField("incoming")]:
                worker.client.events.remove(event)
                worker.client.command(event.leg_id, reject=pb.Reject())
            await asyncio.sleep(0.05)
    worker.client.events.clear()
    probe = RawCall(target(worker))
    await probe.open()
    probe.send(probe.request("OPTIONS"))
    assert await probe.final("OPTIONS") == 200
    probe.close()


async def test_there_are_torture_messages():
    assert len(TORTURE) >= 48


async def test_rfc_4475_over_udp_harms_no_call(worker: Side):
    mallory = RawCall(target(worker))
    await mallory.open()
    async with a_good_call(worker):
        for path in TORTURE:
            mallory.send(path.read_bytes())
            await asyncio.sleep(0.01)
    mallory.close()
    await settled(worker)


async def test_rfc_4475_over_tcp_harms_no_call(worker: Side):
    host, port = target(worker).split(":")
    async with a_good_call(worker):
        for path in TORTURE:
            _, writer = await asyncio.open_connection(host, int(port))
            writer.write(path.read_bytes())
            try:
                await asyncio.wait_for(writer.drain(), 2)
                await asyncio.sleep(0.01)
                writer.close()
                await asyncio.wait_for(writer.wait_closed(), 2)
            except ConnectionError:
                # Hung up on: a fair answer.
                continue
    await settled(worker)


async def test_random_bytes_to_the_sip_and_rtp_ports_harm_no_call(worker: Side):
    noise = random.Random(4475)
    mallory = RawCall(target(worker))
    await mallory.open()
    async with a_good_call(worker) as call:
        good = mallory.request("INVITE", mallory.sdp()).encode()
        mallory.remote_rtp = call.remote_rtp
        for n in range(600):
            size = noise.choice((0, 1, 3, 12, 40, 200, 1400))
            mallory.rtp_bytes(noise.randbytes(size))
            mallory.rtp_bytes(b"\x80\xc8" + noise.randbytes(size))
            torn = bytearray(good)
            for _ in range(noise.randrange(1, 12)):
                torn[noise.randrange(len(torn))] = noise.randrange(256)
            mallory.send(bytes(torn) if n % 2 else noise.randbytes(size))
            if n % 5 == 0:
                await asyncio.sleep(0.005)
    mallory.close()
    await settled(worker)


BAD_SDP = {
    "empty version": "v=\r\n",
    "no media": "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n",
    "port too large": "m=audio 99999 RTP/AVP 0",
    "negative port": "m=audio -1 RTP/AVP 0",
    "no known codec": "m=audio 4000 RTP/AVP 96\r\na=rtpmap:96 nonsense/8000",
    "absurd rate": "m=audio 4000 RTP/AVP 96\r\na=rtpmap:96 opus/999999999999/2",
    "host name that is none": "c=IN IP4 not.an.address.invalid\r\nm=audio 4000 RTP/AVP 0",
    "video only": "m=video 4000 RTP/AVP 96\r\na=rtpmap:96 VP8/90000",
    "absurd ptime": "m=audio 4000 RTP/AVP 0\r\na=ptime:99999999",
    "zero ptime": "m=audio 4000 RTP/AVP 0\r\na=ptime:0",
    "thousand payloads": "m=audio 4000 RTP/AVP " + " ".join(str(n % 128) for n in range(1000)),
    "not text": "\x00\xff\x00m=audio",
}


@pytest.mark.parametrize("name", BAD_SDP)
async def test_a_malformed_offer_is_refused_or_answered_and_harms_no_call(worker: Side, name: str):
    fragment = BAD_SDP[name]
    head = "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n"
    offer = fragment if fragment.startswith("v=") else f"{head}{fragment}\r\n"
    bad = RawCall(target(worker))
    await bad.open()
    bad.send(bad.request("INVITE", offer))

    async def answer() -> None:
        event = await worker.client.event(0, "incoming", timeout_s=5)
        worker.client.command(event.leg_id, answer=pb.Answer())

    answering = asyncio.create_task(answer())
    status = await bad.final(timeout_s=8)
    bad.send(bad.request("ACK"))
    if status == 200:
        assert await bad.bye() == 200
    else:
        assert 400 <= status < 700
    answering.cancel()
    await asyncio.wait({answering})
    bad.close()
    await settled(worker)


@pytest.mark.parametrize("packets", [0, 10])
async def test_a_caller_that_vanishes_without_bye_is_missed(worker: Side, packets: int):
    """Nothing came at all, or the audio stopped: no RTP for the time set ends the call."""
    gone = RawCall(target(worker))
    await gone.open()
    asked = asyncio.create_task(gone.invite())
    leg, _ = await worker.answer()
    assert await asked == 200
    await pace(packets * 0.02, lambda _n: gone.rtp())
    ended = (await worker.client.event(leg, "ended", timeout_s=8)).ended
    assert ended.cause == pb.Ended.CAUSE_MEDIA_TIMEOUT
    assert ended.stats.rx_packets == packets
    gone.close()


async def test_an_answer_that_is_never_acknowledged_does_not_stay(worker: Side):
    """The caller vanishes after 200: the leg must not live for ever."""
    ghost = RawCall(target(worker))
    await ghost.open()
    ghost.send(ghost.request("INVITE", ghost.sdp()))
    leg = (await worker.client.event(0, "incoming")).leg_id
    worker.client.command(leg, answer=pb.Answer())
    assert await ghost.final() == 200
    worker.client.command(leg, hangup=pb.Hangup())
    assert (await worker.client.event(leg, "ended")).ended.cause == pb.Ended.CAUSE_LOCAL_HANGUP
    ghost.close()


async def test_the_worker_said_nothing_of_what_it_was_sent(worker: Side):
    text = "".join(worker.worker.lines)
    assert "sip:" not in text
    assert "Traceback" not in text
