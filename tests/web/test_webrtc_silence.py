"""Silence that a browser leaves out: made by the clock, never twice, and asked for in the answer."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.orchestrator.media.webrtc_silence import SilenceFill, ask_for

MS = 1_000_000
FRAME = 960


def test_a_caller_who_sends_every_packet_is_given_none() -> None:
    fill, fed = SilenceFill(), 0
    fill.begin(0)
    for packet in range(1, 100):
        fed += fill.audio(60, FRAME, packet * 20 * MS)
        fed += fill.due(packet * 20 * MS + 15 * MS)
    assert fed == 0


@given(st.integers(1, 200), st.integers(0, 19))
def test_over_an_announced_pause_no_time_is_missing_and_none_is_made_twice(frames: int, offset_ms: int) -> None:
    fill, fed = SilenceFill(), 0
    fill.begin(0)
    fed += fill.audio(60, FRAME, 20 * MS) + FRAME
    fed += fill.audio(1, FRAME, 40 * MS) + FRAME
    now_ns = 40 * MS + offset_ms * MS
    for _ in range(frames):
        now_ns += 20 * MS
        fed += fill.due(now_ns)
        assert now_ns * 48 // MS - 60 * 48 <= fed <= now_ns * 48 // MS
    fed += fill.gap(frames * FRAME)
    now_ns += 20 * MS
    fed += fill.audio(60, FRAME, now_ns) + FRAME
    assert fed == now_ns * 48 // MS


def test_without_an_announcement_a_late_packet_is_waited_for() -> None:
    fill = SilenceFill()
    fill.begin(0)
    fill.audio(60, FRAME, 20 * MS)
    assert fill.due(200 * MS) == 0
    assert fill.gap(1920) == 1920
    assert fill.due(300 * MS) == 4 * FRAME


def test_before_media_flows_there_is_no_silence() -> None:
    assert SilenceFill().due(10_000 * MS) == 0


@pytest.mark.parametrize(
    ("sdp", "expected"),
    [
        (
            "v=0\r\na=rtpmap:111 opus/48000/2\r\na=x\r\n",
            "v=0\r\na=rtpmap:111 opus/48000/2\r\na=fmtp:111 usedtx=1;useinbandfec=1\r\na=x\r\n",
        ),
        (
            "a=rtpmap:96 opus/48000/2\r\na=fmtp:96 minptime=10\r\n",
            "a=rtpmap:96 opus/48000/2\r\na=fmtp:96 minptime=10;usedtx=1;useinbandfec=1\r\n",
        ),
        (
            "a=rtpmap:96 opus/48000/2\r\na=fmtp:96 useinbandfec=1\r\n",
            "a=rtpmap:96 opus/48000/2\r\na=fmtp:96 useinbandfec=1;usedtx=1\r\n",
        ),
        (
            "a=rtpmap:96 opus/48000/2\r\na=fmtp:96 useinbandfec=0; minptime=10\r\n",
            "a=rtpmap:96 opus/48000/2\r\na=fmtp:96 minptime=10;usedtx=1;useinbandfec=1\r\n",
        ),
        ("a=rtpmap:0 PCMU/8000\r\n", "a=rtpmap:0 PCMU/8000\r\n"),
    ],
)
def test_the_answer_asks_for_discontinuous_transmission_and_copies_of_packets(sdp: str, expected: str) -> None:
    assert ask_for(sdp) == expected
