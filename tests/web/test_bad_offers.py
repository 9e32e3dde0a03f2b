"""Malformed offers: a typed 400 that names what is wrong, nothing left behind, and the call beside them unharmed."""

import contextlib
import re
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from services.common.errors import InvalidInputError
from services.orchestrator.media.webrtc_offer import check_offer
from services.orchestrator.web.context import CONTEXT
from tests.web.harness import Site, site, until
from tests.web.test_real_call import call

FINGERPRINT = ":".join(["AB"] * 32)
# As Chromium sends it, shortened to the lines that matter.
GOOD = f"""v=0
o=- 4611731400430051336 2 IN IP4 127.0.0.1
s=-
t=0 0
a=group:BUNDLE 0 1
a=extmap-allow-mixed
a=msid-semantic: WMS stream
m=audio 50000 UDP/TLS/RTP/SAVPF 111 0 8
c=IN IP4 192.0.2.10
a=rtcp:9 IN IP4 0.0.0.0
a=candidate:1 1 udp 2122260223 192.0.2.10 50000 typ host generation 0
a=candidate:2 1 udp 2122260222 4c3a7f5e-1111-2222-3333-444455556666.local 50001 typ host
a=candidate:3 1 tcp 1518280447 192.0.2.10 9 typ host tcptype active
a=ice-ufrag:abcd
a=ice-pwd:0123456789abcdefghijklmn
a=fingerprint:sha-256 {FINGERPRINT}
a=setup:actpass
a=mid:0
a=extmap:1 urn:ietf:params:rtp-hdrext:ssrc-audio-level
a=sendrecv
a=msid:stream track
a=rtcp-mux
a=rtpmap:111 opus/48000/2
a=fmtp:111 minptime=10;useinbandfec=1
a=rtpmap:0 PCMU/8000
a=rtpmap:8 PCMA/8000
a=ssrc:12345 cname:x
m=application 50000 UDP/DTLS/SCTP webrtc-datachannel
c=IN IP4 192.0.2.10
a=ice-ufrag:abcd
a=ice-pwd:0123456789abcdefghijklmn
a=fingerprint:sha-256 {FINGERPRINT}
a=setup:actpass
a=mid:1
a=sctp-port:5000
a=max-message-size:262144
""".replace("\n", "\r\n")
AUDIO_ONLY = GOOD[: GOOD.index("m=application")].replace("BUNDLE 0 1", "BUNDLE 0")
VIDEO_ONLY = AUDIO_ONLY.replace("m=audio", "m=video").replace("opus/48000/2", "VP8/90000")


def test_an_offer_as_chromium_makes_it_passes_and_keeps_only_udp_addresses() -> None:
    text = check_offer(GOOD, "offer")
    assert re.findall(r"a=candidate:(\d)", text) == ["1"]
    assert check_offer(AUDIO_ONLY, "offer")


BAD: dict[str, tuple[Any, Any, str]] = {
    "an answer": (GOOD, "answer", "type"),
    "no type": (GOOD, None, "type"),
    "no sdp": (None, "offer", "sdp"),
    "sdp that is a number": (7, "offer", "sdp"),
    "empty sdp": ("", "offer", "sdp"),
    "other text": ("hello", "offer", "sdp"),
    "huge sdp": ("v=0\r\n" + "a" * 40_000, "offer", "32768 bytes"),
    "too many lines": (GOOD + "a=x\r\n" * 700, "offer", "lines"),
    "no media": (GOOD[: GOOD.index("m=audio")], "offer", "m=audio"),
    "video only": (VIDEO_ONLY, "offer", "m=audio"),
    "audio and video": (
        AUDIO_ONLY + VIDEO_ONLY[VIDEO_ONLY.index("m=") :].replace("mid:0", "mid:1"),
        "offer",
        "m=audio",
    ),
    "the data channel first": (
        GOOD[: GOOD.index("m=audio")] + GOOD[GOOD.index("m=app") :] + GOOD[GOOD.index("m=audio") : GOOD.index("m=app")],
        "offer",
        "m=audio, then",
    ),
    "a refused audio section": (GOOD.replace("m=audio 50000", "m=audio 0"), "offer", "port 0"),
    "no opus": (GOOD.replace("opus/48000/2", "speex/16000"), "offer", "opus"),
    "receive only": (GOOD.replace("a=sendrecv", "a=recvonly"), "offer", "sendrecv"),
    "no rtcp-mux": (GOOD.replace("a=rtcp-mux\r\n", ""), "offer", "rtcp-mux"),
    "no ICE password": (re.sub(r"a=ice-pwd:.*\r\n", "", GOOD), "offer", "ice-pwd"),
    "a short ICE password": (re.sub(r"a=ice-pwd:.*", "a=ice-pwd:short", GOOD), "offer", "ice-pwd"),
    "no fingerprint": (re.sub(r"a=fingerprint:.*\r\n", "", GOOD), "offer", "fingerprint"),
    "a cut fingerprint": (GOOD.replace(FINGERPRINT, FINGERPRINT[:-3]), "offer", "fingerprint"),
    "a fingerprint that is no hexadecimal": (GOOD.replace(FINGERPRINT, "ZZ" + FINGERPRINT[2:]), "offer", "fingerprint"),
    "sha-1": (GOOD.replace("sha-256", "sha-1"), "offer", "fingerprint"),
    "no setup": (re.sub(r"a=setup:.*\r\n", "", GOOD), "offer", "setup"),
    "plain RTP": (GOOD.replace("UDP/TLS/RTP/SAVPF", "RTP/AVP"), "offer", "SAVPF"),
    "no bundle": (re.sub(r"a=group:.*\r\n", "", GOOD), "offer", "BUNDLE"),
    "a bundle of sections that are not there": (AUDIO_ONLY.replace("BUNDLE 0", "BUNDLE 7 0"), "offer", "BUNDLE"),
    "a bundle led by the data channel": (GOOD.replace("BUNDLE 0 1", "BUNDLE 1 0"), "offer", "BUNDLE"),
    "two bundles": (AUDIO_ONLY.replace("a=group:BUNDLE 0", "a=group:BUNDLE 0\r\na=group:BUNDLE 0"), "offer", "BUNDLE"),
    "one mid twice": (GOOD.replace("a=mid:1", "a=mid:0"), "offer", "mid"),
    "a port for data that is none": (GOOD.replace("sctp-port:5000", "sctp-port:0"), "offer", "sctp-port"),
    "a payload type that is none": (GOOD.replace("a=rtpmap:111", "a=rtpmap:999"), "offer", "sdp"),
    "an extension that is none": (GOOD.replace("a=extmap:1 ", "a=extmap:4711 "), "offer", "extmap"),
    "flooding candidates": (
        GOOD.replace(
            "a=ice-ufrag",
            "".join(f"a=candidate:{i} 1 udp 1 198.51.100.{i} 9 typ host\r\n" for i in range(40)) + "a=ice-ufrag",
            1,
        ),
        "offer",
        "candidates",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_offer_is_refused_by_name(name: str) -> None:
    sdp, kind, field = BAD[name]
    with pytest.raises(InvalidInputError) as caught:
        check_offer(sdp, kind)
    assert field in str(caught.value)


@pytest.mark.parametrize("address", ["224.0.0.1", "0.0.0.0", "255.255.255.255", "ff02::1", "nonsense", "x.local"])
def test_nothing_is_ever_sent_to_an_address_that_is_no_unicast_host(address: str) -> None:
    text = check_offer(GOOD.replace("192.0.2.10 50000 typ", f"{address} 50000 typ"), "offer")
    assert "a=candidate" not in text


@given(st.data())
@settings(max_examples=300, deadline=None)
def test_a_mutated_offer_is_accepted_or_refused_but_never_breaks_the_parser(data: st.DataObject) -> None:
    text = data.draw(mutations())
    with contextlib.suppress(InvalidInputError):
        assert check_offer(text, "offer").startswith("v=0")


async def test_bad_offers_over_http_are_typed_and_harm_no_other_call() -> None:
    async with site(offers_burst=500, offers_per_s=500) as running, call(running) as caller:
        bodies: list[tuple[Any, int]] = [({"sdp": sdp, "type": kind}, 400) for sdp, kind, _ in BAD.values()]
        bodies += [(b"", 400), (b"{", 400), (b"[]", 400), (b"[" * 60_000, 400), (b"\xff\xfe", 400), (b'"v=0"', 400)]
        bodies += [(b'{"sdp": "' + b"x" * 70_000 + b'"}', 413)]
        for body, expected in bodies:
            status, error = await post(running, body)
            assert status == expected, body
            assert error["message"]
        await unharmed(running, caller)


async def test_offers_mutated_at_random_leave_nothing_behind() -> None:
    """Those that pass the check reach aiortc: it answers or we say why, and every connection is closed again."""
    examples: list[str] = []

    @given(mutations())
    @settings(max_examples=100, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    def collect(text: str) -> None:
        examples.append(text)

    collect()
    async with (
        site(offers_burst=500, offers_per_s=500, connect_deadline_s=2.0, max_calls=200) as running,
        call(running) as caller,
    ):
        statuses = {(await post(running, {"sdp": text, "type": "offer"}))[0] for text in examples}
        assert statuses <= {200, 400, 503}
        endpoint = running.web._runner.app[CONTEXT].webrtc
        await until(lambda: endpoint.live == 1)
        await unharmed(running, caller)


async def test_offers_come_as_json_from_our_own_page_only() -> None:
    async with site() as running:
        url = f"{running.base}/api/webrtc/offer"
        async with running.http.post(url, data=b"v=0", headers={"Content-Type": "text/plain"}) as response:
            assert response.status == 415
        async with running.http.post(url, json={}, headers={"Origin": "https://evil.example"}) as response:
            assert response.status == 403
        async with running.http.post(url, json={}, headers={"Origin": running.base}) as response:
            assert response.status == 400


async def test_too_many_offers_from_one_address_are_slowed_down() -> None:
    async with site(offers_burst=3, offers_per_s=0.01) as running:
        statuses = [(await post(running, {}))[0] for _ in range(4)]
        assert statuses == [400, 400, 400, 429]


async def post(running: Site, body: Any) -> tuple[int, dict[str, Any]]:
    kwargs: dict[str, Any] = (
        {"data": body, "headers": {"Content-Type": "application/json"}} if isinstance(body, bytes) else {"json": body}
    )
    async with running.http.post(f"{running.base}/api/webrtc/offer", **kwargs) as response:
        return response.status, (await response.json()).get("error", {})


async def unharmed(running: Site, caller: Any) -> None:
    """The call that was there goes on hearing and being heard."""
    heard, said = caller.heard.samples, len(running.calls[0].heard)
    await until(lambda: caller.heard.samples > heard + 3200 and len(running.calls[0].heard) > said + 6400)
    assert caller.ended == ""


@st.composite
def mutations(draw: st.DrawFn) -> str:
    """A good offer with lines dropped, doubled, swapped or edited."""
    lines = draw(st.sampled_from([GOOD, AUDIO_ONLY])).split("\r\n")
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(lines) - 1))
        match draw(st.integers(0, 4)):
            case 0 if len(lines) > 1:
                del lines[at]
            case 1:
                lines.insert(at, lines[draw(st.integers(0, len(lines) - 1))])
            case 2:
                cut = draw(st.integers(0, len(lines[at])))
                lines[at] = lines[at][:cut]
            case 3:
                lines[at] = re.sub(
                    r"\d+", draw(st.sampled_from(["0", "-1", "65536", "99999999999", "x", ""])), lines[at], count=1
                )
            case _:
                lines[at] = lines[at] + draw(st.text(max_size=8))
    return "\r\n".join(lines)
