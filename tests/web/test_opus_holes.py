"""Holes in a browser's voice, as libopus really codes it: packets of 10 to 60 ms, holes of 1 to 12, pauses (DTX).

A caller who speaks or is silent by a plan is coded, loses packets, and is heard through the parts a leg uses, by a
clock that the test moves. What is heard is compared with the same call without loss.
"""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.orchestrator.media.opus import NativeEncoder, _library, has_copy
from services.orchestrator.media.opus_packet import says_pause
from services.orchestrator.media.webrtc_ear import BrowserEar

MS = 1_000_000
PER_MS = 16
_SET_DTX = 4016
# (number, RTP timestamp, payload, when it is received)
Sent = tuple[int, int, bytes, int]


def voice(ms: int) -> np.ndarray:
    """A hum that rises and falls in pitch and loudness as syllables do, so that every frame of it is another."""
    t = np.arange(ms * PER_MS) / 16_000
    phase = 2 * np.pi * 130 * t + 4 * np.sin(2 * np.pi * 1.3 * t)
    loud = 0.6 + 0.4 * np.sin(2 * np.pi * 4 * t)
    return (loud * sum(np.sin(k * phase) / k for k in range(1, 12)) * 5000).astype("<i2")


def coded(pcm: np.ndarray, packet_ms: int, *, copies: bool = True, pauses: bool = False) -> list[Sent]:
    """What a browser sends: with pauses, the first packet that says so and none of those that repeat it."""
    encoder = NativeEncoder(16_000, 32_000, 5, fec_for_percent=20 if copies else 0)
    if pauses:
        assert _library().opus_encoder_ctl(encoder._state, _SET_DTX, 1) == 0
    sent: list[Sent] = []
    was_paused, size = False, packet_ms * PER_MS
    for k in range(len(pcm) // size):
        packet = encoder.encode(pcm[k * size : (k + 1) * size].tobytes())
        if not (was_paused and says_pause(packet)):
            sent.append((len(sent), k * packet_ms * 48, packet, (k + 1) * packet_ms * MS))
        was_paused = says_pause(packet)
    return sent


def heard(sent: list[Sent], lost: set[int], until_ms: int) -> np.ndarray:
    """PCM that the ear delivers, packets and ticks in the order of time."""
    ear, out = BrowserEar(), b""
    ear.begin(0)
    coming = [one for one in sent if one[0] not in lost]
    for now_ns in range(0, until_ms * MS + 1, 5 * MS):
        while coming and coming[0][3] <= now_ns:
            number, timestamp, payload, received_ns = coming.pop(0)
            pieces = ear.packet(ssrc=1, seq=number, timestamp=timestamp, payload=payload, received_ns=received_ns)
            out += b"".join(piece.pcm for piece in pieces)
        if now_ns % (20 * MS) == 0:
            out += b"".join(piece.pcm for piece in ear.tick(now_ns))
    return np.frombuffer(out, "<i2").astype(float)


def ms(pcm: np.ndarray, begin: int, end: int) -> np.ndarray:
    return pcm[begin * PER_MS : end * PER_MS]


def likeness(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.corrcoef(a, b)[0, 1])


@pytest.mark.parametrize("packet_ms", [10, 20, 40, 60])
@pytest.mark.parametrize("hole", [1, 3, 5, 6, 12])
def test_a_hole_is_concealed_for_100_ms_then_silent_and_ends_with_the_copy(packet_ms: int, hole: int) -> None:
    total_ms = 50 * packet_ms
    sent = coded(voice(total_ms), packet_ms)
    # libopus copies what is surely voice: not every packet.
    last = min(number for number, _, payload, _ in sent if number >= 22 and has_copy(payload))
    first = last - hole
    assert last < 40
    whole, holed = heard(sent, set(), total_ms), heard(sent, set(range(first, last)), total_ms)
    assert len(whole) == len(holed) == total_ms * PER_MS
    begin, copy, end = first * packet_ms, (last - 1) * packet_ms, last * packet_ms
    bridged = min(copy - begin, 100)
    if bridged:
        assert np.std(ms(holed, begin, begin + 10)) > 0.25 * np.std(ms(whole, begin, begin + 10))
    assert not ms(holed, begin + bridged, copy).any()
    # A copy is coarse, and leans on the frame before it, which is missing too. No copy: about 0.
    assert likeness(ms(holed, copy + 5, end), ms(whole, copy + 5, end)) > 0.5
    assert likeness(ms(holed, end + packet_ms, total_ms), ms(whole, end + packet_ms, total_ms)) > 0.95


@pytest.mark.parametrize("packet_ms", [10, 20])
@pytest.mark.parametrize("hole", [1, 3, 5, 6, 12])
def test_without_a_copy_the_end_of_a_long_hole_is_silent(packet_ms: int, hole: int) -> None:
    first, last = 10, 10 + hole
    total_ms = (last + 12) * packet_ms
    sent = coded(voice(total_ms), packet_ms, copies=False)
    assert not has_copy(sent[last][2])
    whole, holed = heard(sent, set(), total_ms), heard(sent, set(range(first, last)), total_ms)
    assert len(whole) == len(holed)
    begin, end = first * packet_ms, last * packet_ms
    assert np.std(ms(holed, begin, begin + 10)) > 0.25 * np.std(ms(whole, begin, begin + 10))
    assert not ms(holed, begin + 100, end).any()


# ---- pauses: 600 ms of voice, 2 s of silence, 600 ms of voice

VOICE_MS, SILENT_MS = 600, 2_040
TOTAL_MS = 2 * VOICE_MS + SILENT_MS
AGAIN_MS = VOICE_MS + SILENT_MS


def with_pause(packet_ms: int) -> list[Sent]:
    pcm = np.concatenate([voice(VOICE_MS), np.zeros(SILENT_MS * PER_MS, "<i2"), voice(VOICE_MS)])
    return coded(pcm, packet_ms, pauses=True)


def only(sent: list[Sent], *, begin_ms: int, end_ms: int, paused: bool | None = None) -> set[int]:
    """The numbers of the packets whose sound begins in the stretch."""
    return {
        number
        for number, timestamp, payload, _ in sent
        if begin_ms * 48 <= timestamp < end_ms * 48 and paused in (None, says_pause(payload))
    }


def loud_outside_of_voice(pcm: np.ndarray) -> float:
    """The codec's own ring after the voice aside."""
    return float(np.abs(ms(pcm, VOICE_MS + 140, AGAIN_MS)).max())


@pytest.mark.parametrize("packet_ms", [20, 40, 60])
def test_a_pause_takes_its_time_and_is_silent(packet_ms: int) -> None:
    sent = with_pause(packet_ms)
    assert any(says_pause(one[2]) for one in sent)
    assert len(sent) < TOTAL_MS / packet_ms - 10
    pcm = heard(sent, set(), TOTAL_MS)
    assert abs(len(pcm) - TOTAL_MS * PER_MS) <= PER_MS
    assert loud_outside_of_voice(pcm) < 30


@pytest.mark.parametrize("packet_ms", [20, 40, 60])
def test_the_packet_that_announces_a_pause_may_be_lost(packet_ms: int) -> None:
    sent = with_pause(packet_ms)
    announced = min(only(sent, begin_ms=VOICE_MS, end_ms=AGAIN_MS, paused=True))
    pcm = heard(sent, {announced}, TOTAL_MS)
    assert abs(len(pcm) - TOTAL_MS * PER_MS) <= PER_MS
    assert loud_outside_of_voice(pcm) < 30


@pytest.mark.parametrize("packet_ms", [20, 40, 60])
def test_what_is_lost_within_a_pause_is_silence(packet_ms: int) -> None:
    sent = with_pause(packet_ms)
    lost = only(sent, begin_ms=VOICE_MS + 500, end_ms=AGAIN_MS - 200)
    assert lost
    pcm = heard(sent, lost, TOTAL_MS)
    assert abs(len(pcm) - TOTAL_MS * PER_MS) <= PER_MS
    assert loud_outside_of_voice(pcm) < 30


@pytest.mark.parametrize("packet_ms", [20, 40, 60])
@pytest.mark.parametrize("lost_packets", [1, 2, 3])
def test_the_last_of_the_first_words_lost_after_a_pause_comes_from_the_copy(packet_ms: int, lost_packets: int) -> None:
    sent = with_pause(packet_ms)
    first = AGAIN_MS // packet_ms * packet_ms
    lost = only(sent, begin_ms=first, end_ms=first + lost_packets * packet_ms)
    assert len(lost) == lost_packets
    assert has_copy(sent[max(lost) + 1][2])
    whole, holed = heard(sent, set(), TOTAL_MS), heard(sent, lost, TOTAL_MS)
    assert abs(len(holed) - len(whole)) <= PER_MS
    end = first + lost_packets * packet_ms
    copy = end - packet_ms
    # No voice is made up where nothing was heard before.
    assert np.abs(ms(holed, VOICE_MS + 140, copy)).max() < 30
    # From the end: times before it may have shifted by less than a millisecond.
    back = lambda pcm, a, b: pcm[len(pcm) - (TOTAL_MS - a) * PER_MS : len(pcm) - (TOTAL_MS - b) * PER_MS]  # noqa: E731
    made, said = back(holed, copy + 5, end), back(whole, copy + 5, end)
    # A copy leans on the frames before it; with voiced ones missing, libopus makes a faint beginning of it.
    assert np.std(made) > 100
    assert lost_packets > 1 or likeness(made, said) > 0.5


def test_the_packet_before_a_pause_is_heard_although_the_next_comes_only_with_the_pauses_next_sign_of_life() -> None:
    sent = with_pause(20)
    announced = min(only(sent, begin_ms=VOICE_MS, end_ms=AGAIN_MS, paused=True))
    ear = BrowserEar()
    ear.begin(0)
    for number, timestamp, payload, received_ns in sent[: announced + 1]:
        if number != announced - 1:
            list(ear.packet(ssrc=1, seq=number, timestamp=timestamp, payload=payload, received_ns=received_ns))
    assert ear.lost == 0
    list(ear.tick(sent[announced][3] + 80 * MS))
    assert ear.lost == 1


# ---- copies


@pytest.mark.parametrize("packet_ms", [10, 20, 40, 60])
@pytest.mark.parametrize("copies", [True, False])
def test_whether_a_packet_holds_a_copy_is_read_as_libopus_reads_it(packet_ms: int, copies: bool) -> None:
    if packet_ms > 20 and not copies:
        pytest.skip("restricted low delay has no packets over 20 ms")
    packets = [one[2] for one in coded(voice(40 * packet_ms), packet_ms, copies=copies)]
    told = [bool(_library().opus_packet_has_lbrr(packet, len(packet))) for packet in packets]
    assert [has_copy(packet) for packet in packets] == told
    assert any(told) == copies


@given(st.binary(max_size=60))
def test_no_bytes_make_the_question_for_a_copy_fail_or_differ_from_libopus(packet: bytes) -> None:
    told = _library().opus_packet_has_lbrr(packet, len(packet)) > 0 if packet else False
    # Two bytes say "pause": a copy in them is none.
    assert has_copy(packet) == (told and not says_pause(packet))
