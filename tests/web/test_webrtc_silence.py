"""Silence that a browser leaves out: made by the clock, never twice, and asked for in the answer."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.orchestrator.media.webrtc_silence import SilenceFill, ask_for

MS = 1_000_000
FRAME = 960
SPEECH, PAUSE = bytes(60), bytes(1)


def test_a_caller_who_sends_every_packet_is_given_none() -> None:
    fill, fed = SilenceFill(), 0
    fill.begin(0)
    for packet in range(1, 100):
        fed += fill.audio(SPEECH, FRAME, packet * 20 * MS)
        fed += fill.due(packet * 20 * MS + 15 * MS)
    assert fed == 0


@given(st.integers(1, 200), st.integers(0, 19))
def test_over_an_announced_pause_no_time_is_missing_and_none_is_made_twice(frames: int, offset_ms: int) -> None:
    fill, fed = SilenceFill(), 0
    fill.begin(0)
    fed += fill.audio(SPEECH, FRAME, 20 * MS) + FRAME
    fed += fill.audio(PAUSE, FRAME, 40 * MS) + FRAME
    now_ns = 40 * MS + offset_ms * MS
    for _ in range(frames):
        now_ns += 20 * MS
        fed += fill.due(now_ns)
        assert now_ns * 48 // MS - 60 * 48 <= fed <= now_ns * 48 // MS
    now_ns += 20 * MS
    fed += fill.gap(frames * FRAME, FRAME, now_ns)
    fed += fill.audio(SPEECH, FRAME, now_ns) + FRAME
    assert fed == now_ns * 48 // MS


def test_without_an_announcement_a_late_packet_is_waited_for() -> None:
    fill = SilenceFill()
    fill.begin(0)
    fill.audio(SPEECH, FRAME, 20 * MS)
    assert fill.due(200 * MS) == 0
    assert fill.gap(1920, FRAME, 200 * MS) == 1920
    assert fill.due(300 * MS) == 4 * FRAME


def test_a_hole_that_no_clock_has_seen_is_filled_with_two_hundred_milliseconds_at_most() -> None:
    fill = SilenceFill()
    assert fill.gap(480_000, FRAME, 0) == 9600
    fill.begin(0)
    fill.audio(SPEECH, FRAME, 20 * MS)
    assert fill.gap(480_000, FRAME, 100 * MS) == 9600
    # So much did pass, and the ticker, which fills such a pause, was late.
    assert fill.gap(480_000, FRAME, 540 * MS) == 500 * 48


def test_silence_stays_two_packets_behind_so_that_a_lost_one_keeps_its_place() -> None:
    for packet_ms in (10, 20, 40, 60):
        fill = SilenceFill()
        fill.begin(0)
        fill.audio(PAUSE, packet_ms * 48, 100 * MS)
        made_ms = sum(fill.due(now_ms * MS) for now_ms in range(100, 501, 20)) // 48
        assert 400 - max(2 * packet_ms, 40) - 20 < made_ms <= 400 - max(2 * packet_ms, 40)


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
