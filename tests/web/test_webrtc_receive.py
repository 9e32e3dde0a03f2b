"""Packets of a browser: in order, at once, with losses filled and disorder waited for, whatever the sequence does."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.common.errors import TrunklineError
from services.orchestrator.media.opus_packet import packet_samples
from services.orchestrator.media.webrtc_audio import OpusDecoder, OpusEncoder
from services.orchestrator.media.webrtc_receive import Audio, Gap, Reorder, install_tap

# An Opus packet of 20 ms (CELT, one frame), as its TOC byte says; the second byte tells packets apart.
TOC = 31 << 3


def payload(number: int) -> bytes:
    return bytes([TOC, number % 256])


def feed(reorder: Reorder, *numbers: int, base: int = 0) -> list[int | str]:
    """Push packets by number (one is 20 ms); a delivered packet shows as its number, a gap as text."""
    out: list[int | str] = []
    for number in numbers:
        for item in reorder.push(
            ssrc=7,
            seq=(base + number) % 65_536,
            timestamp=(base + number) * 960 % 2**32,
            payload=payload(number),
            received_ns=number,
        ):
            out.append(item.payload[1] if isinstance(item, Audio) else f"gap {item.samples}")
    return out


def test_packets_in_order_are_delivered_at_once() -> None:
    assert feed(Reorder(), 0, 1, 2) == [0, 1, 2]


def test_two_swapped_packets_come_out_in_order_without_a_gap() -> None:
    assert feed(Reorder(), 0, 2, 1, 3) == [0, 1, 2, 3]


def test_a_lost_packet_is_filled_when_three_later_ones_are_there() -> None:
    reorder = Reorder()
    assert feed(reorder, 0, 2, 3) == [0]
    assert feed(reorder, 4) == ["gap 960", 2, 3, 4]
    assert feed(reorder, 5, 6) == [5, 6]
    assert reorder.lost == 1


def test_one_loss_does_not_delay_the_rest_of_the_call() -> None:
    reorder = Reorder()
    feed(reorder, *range(10), *range(11, 100))
    assert feed(reorder, 100) == [100]


def test_duplicates_and_packets_that_come_too_late_are_dropped() -> None:
    reorder = Reorder()
    assert feed(reorder, 0, 1, 1, 3, 4, 5, 2) == [0, 1, "gap 960", 3, 4, 5]
    assert reorder.late == 2


def test_the_sequence_number_and_timestamp_wrap_around() -> None:
    assert feed(Reorder(), *range(6), base=65_533) == [0, 1, 2, 3, 4, 5]
    reorder = Reorder()
    timestamps = (2**32 - 960, 0, 960)
    items = [
        item
        for seq, timestamp in enumerate(timestamps)
        for item in reorder.push(ssrc=1, seq=seq, timestamp=timestamp, payload=payload(seq), received_ns=0)
    ]
    assert all(isinstance(item, Audio) for item in items)


def test_a_restarted_sender_is_followed_at_once() -> None:
    reorder = Reorder()
    assert feed(reorder, 0, 1) == [0, 1]
    assert feed(reorder, 30_000) == [30_000 % 256]


def test_a_hole_is_told_as_long_as_it_was_and_ten_seconds_at_most() -> None:
    reorder = Reorder()
    feed(reorder, 0)
    assert feed(reorder, 401, 402, 403)[0] == f"gap {400 * 960}"
    assert feed(reorder, 1401, 1402, 1403)[0] == "gap 480000"


def test_a_packet_behind_a_hole_is_not_held_until_the_next_sign_of_life_of_a_pausing_sender() -> None:
    reorder = Reorder()
    feed(reorder, 0)
    feed(reorder, 2)
    assert list(reorder.expire(2 + 79_999_999)) == []
    assert [type(item) for item in reorder.expire(2 + 80_000_000)] == [Gap, Audio]
    assert not reorder.waiting


@given(st.lists(st.integers(0, 60), max_size=80))
def test_whatever_order_comes_the_output_rises_and_little_is_held(numbers: list[int]) -> None:
    reorder = Reorder()
    out = [n for n in feed(reorder, *numbers) if isinstance(n, int)]
    assert out == sorted(set(out))
    assert len(reorder._waiting) <= 2


@given(st.binary(max_size=40), st.integers(0, 65_535), st.integers(0, 2**32 - 1))
def test_no_packet_makes_the_decoder_fail(data: bytes, seq: int, timestamp: int) -> None:
    decoder = OpusDecoder()
    for item in Reorder().push(ssrc=1, seq=seq, timestamp=timestamp, payload=data, received_ns=0):
        pcm = decoder.decode(item.payload) if isinstance(item, Audio) else decoder.silence(item.samples)
        assert len(pcm) % 2 == 0
        assert len(pcm) <= 16_000 * 2 * 0.12 + 4


@pytest.mark.parametrize(
    ("toc", "rest", "samples"),
    [(0 << 3, b"", 480), (3 << 3, b"", 2880), (12 << 3, b"", 480), (16 << 3, b"", 120), (31 << 3 | 1, b"", 1920)],
)
def test_the_length_of_a_packet_is_read_from_its_first_byte(toc: int, rest: bytes, samples: int) -> None:
    assert packet_samples(bytes([toc]) + rest) == samples


def test_a_packet_longer_than_the_120_ms_of_rfc_6716_is_no_opus_packet() -> None:
    assert packet_samples(bytes([3 << 3 | 3, 48])) == 0
    assert packet_samples(b"") == 0


def test_twenty_milliseconds_in_are_twenty_milliseconds_out() -> None:
    encoder, decoder = OpusEncoder(), OpusDecoder()
    sizes = [len(decoder.decode(encoder.encode(bytes(960)))) for _ in range(50)]
    assert sizes == [640] * 50


def test_repeated_silence_is_one_packet_that_decodes_to_silence() -> None:
    encoder, decoder = OpusEncoder(), OpusDecoder()
    packets = [encoder.encode(None) for _ in range(30)]
    assert {len(packet) for packet in packets[10:]} == {1}
    pcm = [np.frombuffer(decoder.decode(packet), dtype="<i2") for packet in packets]
    assert max(int(np.abs(samples).max()) for samples in pcm[5:]) <= 3
    assert {len(samples) for samples in pcm} == {320}


def test_a_gap_and_audio_say_when_they_were_known() -> None:
    assert Gap(960, 5, 1, b"").received_ns == Audio(b"", 5).received_ns


def test_an_aiortc_that_keeps_its_buffer_elsewhere_is_refused_loudly() -> None:
    with pytest.raises(TrunklineError, match="jitter buffer"):
        install_tap(object(), lambda _packet: None)


@pytest.mark.parametrize(("hz", "low", "high"), [(300, 0.9, 1.1), (3_000, 0.9, 1.1), (10_000, 0.0, 0.02)])
def test_the_decoder_keeps_speech_and_lets_nothing_fold_back(hz: int, low: float, high: float) -> None:
    tone = (16_000 * np.sin(2 * np.pi * hz * np.arange(24_000) / 24_000)).astype("<i2")
    encoder, decoder = OpusEncoder(bit_rate=128_000), OpusDecoder()
    out = b"".join(decoder.decode(encoder.encode(tone[at : at + 480].tobytes())) for at in range(0, 24_000, 480))
    assert low <= np.abs(np.frombuffer(out, dtype="<i2")[2000:]).max() / 16_000 <= high


def voice(frames: int, rate_hz: int = 16_000) -> np.ndarray:
    """A hum whose loudness does not change, so that what is missing shows."""
    t = np.arange(frames * rate_hz // 50) / rate_hz
    return (sum(np.sin(2 * np.pi * 150 * k * t) / k for k in range(1, 12)) * 4000).astype("<i2")


def through_loss(lost: set[int], *, fec: int, frames: int = 40) -> tuple[np.ndarray, np.ndarray]:
    """What is decoded of a hum with and without some of its packets, as a leg does it."""
    pcm, encoder = voice(frames), OpusEncoder(16_000, fec_for_percent=fec)
    packets = [encoder.encode(pcm[320 * n : 320 * (n + 1)].tobytes()) for n in range(frames)]
    heard = []
    for missing in (set(), lost):
        reorder, decoder, out = Reorder(), OpusDecoder(), b""
        for n, packet in enumerate(packets):
            if n in missing:
                continue
            for item in reorder.push(ssrc=1, seq=n, timestamp=n * 960, payload=packet, received_ns=0):
                if isinstance(item, Audio):
                    out += decoder.decode(item.payload)
                else:
                    out += decoder.conceal(item.samples, item.lost_packets, item.following)
        heard.append(np.frombuffer(out, "<i2").astype(float))
    return heard[0], heard[1]


@pytest.mark.parametrize("fec", [0, 20])
def test_a_lost_packet_is_bridged_with_what_was_heard_before_it(fec: int) -> None:
    whole, bridged = through_loss({20}, fec=fec)
    assert len(whole) == len(bridged)
    hole = slice(320 * 20, 320 * 21)
    assert np.std(bridged[hole]) > 0.5 * np.std(whole[hole])


def test_a_test_caller_that_codes_as_browsers_do_ends_where_its_clip_does() -> None:
    pcm, encoder, decoder = voice(40), OpusEncoder(16_000, as_browser=True), OpusDecoder()
    packets = [encoder.encode(pcm[320 * n : 320 * (n + 1)].tobytes()) for n in range(40)]
    packets += [encoder.encode(None) for _ in range(10)]
    heard = np.frombuffer(b"".join(decoder.decode(packet) for packet in packets), "<i2").astype(float)
    end = 320 * 40
    assert np.std(heard[end - 320 : end]) > 1000
    # 40 ms on: the coder's own delay and its fade.
    assert np.abs(heard[end + 640 :]).max() < 10


def test_a_long_hole_fades_and_ends_in_silence_of_its_length() -> None:
    whole, bridged = through_loss(set(range(15, 25)), fec=0)
    assert len(whole) == len(bridged)
    assert np.std(bridged[320 * 15 : 320 * 16]) > 500
    assert not bridged[320 * 20 : 320 * 24].any()


def test_time_that_the_sender_left_out_stays_silent() -> None:
    decoder, encoder = OpusDecoder(), OpusEncoder(16_000)
    packet = encoder.encode(voice(1).tobytes())
    decoder.decode(packet)
    assert decoder.conceal(1920, 0, packet) == bytes(2 * 640)


def test_a_gap_tells_loss_from_time_left_out() -> None:
    reorder = Reorder()
    items = []
    for seq, timestamp in ((0, 0), (1, 960 * 6), (3, 960 * 8), (4, 960 * 9), (5, 960 * 10)):
        items += reorder.push(ssrc=1, seq=seq, timestamp=timestamp, payload=payload(seq), received_ns=0)
    gaps = [item for item in items if isinstance(item, Gap)]
    assert [(gap.samples, gap.lost_packets, gap.following) for gap in gaps] == [
        (4800, 0, payload(1)),
        (960, 1, payload(3)),
    ]
