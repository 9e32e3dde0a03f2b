"""A whole WebRTC call in one process, through the HTTP API: aiortc at both ends, ICE, DTLS, SRTP and Opus for real."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

import numpy as np
import pytest

from services.cli.webrtc_caller import WebRtcCaller, WebRtcDialer
from services.common.clock import SystemClock
from services.common.errors import UnavailableError
from services.orchestrator.media.webrtc_endpoint import WebRtcEndpoint
from services.orchestrator.web.context import CONTEXT
from tests.web.harness import Site, power_at, site, tone, until


@contextlib.asynccontextmanager
async def call(running: Site) -> AsyncIterator[WebRtcCaller]:
    dialer = WebRtcDialer(SystemClock())
    try:
        yield await dialer.dial(running.base)
    finally:
        await dialer.close()


async def test_a_tone_goes_in_and_another_comes_out() -> None:
    async with site() as running, call(running) as caller:
        fake = running.calls[0]
        await until(fake.established.is_set)
        first = caller.play(tone(600, 16_000, 700))
        assert first == 0
        await fake.play(tone(600, 24_000, 440))
        await until(lambda: not caller.playing and fake.last_playout().sent >= 14_400)
        await until(lambda: np.abs(caller.heard.audio()[-1600:]).max() < 200)
        inbound = np.frombuffer(bytes(fake.heard), dtype="<i2")
        loud = inbound[np.abs(inbound) > 2000]
        assert len(loud) > 0.4 * 16_000 * 0.6
        assert power_at(inbound[np.argmax(np.abs(inbound) > 2000) :][:8000], 16_000, 700) > 0.9
        outbound = caller.heard.audio()
        assert power_at(outbound[np.argmax(np.abs(outbound) > 2000) :][:8000], 16_000, 440) > 0.9
        assert caller.sent.samples == 9600


async def test_after_a_clear_nothing_is_heard_but_what_had_been_sent() -> None:
    async with site() as running, call(running) as caller:
        fake = running.calls[0]
        await until(fake.established.is_set)
        playing = asyncio.create_task(fake.play(tone(3000, 24_000)))
        await until(lambda: fake.last_playout().sent > 24_000 * 0.5)
        playing.cancel()
        fake.leg.clear()
        cleared = fake.last_playout()
        assert cleared.queued == 0
        await until(lambda: len(caller.heard.chunks) > 10 and np.abs(caller.heard.audio()[-3200:]).max() < 200)
        loud = sum(len(chunk.pcm) for chunk in caller.heard.chunks if np.abs(chunk.pcm).max() > 2000)
        # Exactly what was sent before the clear is heard, and the codec's own memory: one packet more.
        assert loud / 16_000 <= cleared.sent / 24_000 + 0.02
        assert fake.last_playout().sent == cleared.sent


async def test_the_keypad_reaches_the_call_and_nonsense_on_the_data_channel_does_not() -> None:
    async with site() as running, call(running) as caller:
        fake = running.calls[0]
        await until(lambda: caller._keypad.readyState == "open")
        for nonsense in ("", "{", "[]", '{"dtmf": 5}', '{"dtmf": "55"}', "x" * 5000, "[" * 60):
            caller._keypad.send(nonsense)
        caller.press("5")
        caller.press("#")
        kinds = lambda: [type(e).__name__ for e in fake.handle.events.snapshot()]  # noqa: E731
        await until(lambda: kinds().count("DtmfReceived") == 2)


async def test_the_call_ends_when_the_browser_closes() -> None:
    async with site() as running:
        async with call(running):
            fake = running.calls[0]
            await until(fake.established.is_set)
        await until(fake.gone.is_set)
        assert fake.ended[0] == "remote_bye"
        await until(lambda: running.web._runner.app[CONTEXT].webrtc.live == 0)


async def test_the_browser_sees_it_when_the_call_hangs_up() -> None:
    async with site() as running, call(running) as caller:
        fake = running.calls[0]
        await until(fake.established.is_set)
        fake.leg.hangup()
        await until(lambda: caller.ended != "")
        assert fake.ended[0] == "local_hangup"


async def test_a_browser_that_never_connects_is_torn_down() -> None:
    async with site(connect_deadline_s=0.3) as running:
        offer = await offer_without_a_peer()
        async with running.http.post(f"{running.base}/api/webrtc/offer", json=offer) as response:
            assert response.status == 200
        fake = running.calls[0]
        await until(fake.gone.is_set)
        assert fake.ended == ("failed", "the browser did not connect within 0 s")
        endpoint: WebRtcEndpoint = running.web._runner.app[CONTEXT].webrtc
        await until(lambda: endpoint.live == 0)


async def test_more_calls_than_the_cap_are_refused_and_the_first_goes_on() -> None:
    async with site(max_calls=1) as running, call(running) as caller:
        with pytest.raises(UnavailableError, match="503"):
            async with call(running):
                pass
        assert caller.ended == ""
        assert len(running.calls) == 1


async def offer_without_a_peer() -> dict[str, str]:
    caller = WebRtcCaller(SystemClock())
    await caller._peer.setLocalDescription(await caller._peer.createOffer())
    offer = caller._peer.localDescription
    await caller._peer.close()
    return {"sdp": offer.sdp, "type": offer.type}
