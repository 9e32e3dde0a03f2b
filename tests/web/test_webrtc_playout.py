"""Leg accounting on a virtual clock: what is committed, sent, flushed and starved, to the sample."""

import asyncio

import pytest
from aiortc.mediastreams import MediaStreamError

from services.common.clock import VirtualClock
from services.orchestrator.media.leg import Playout
from services.orchestrator.media.webrtc_audio import OpusEncoder
from services.orchestrator.media.webrtc_playout import PlayoutQueue
from services.orchestrator.media.webrtc_track import PacedTrack

FRAME = bytes(960)
SAMPLES = 480


def test_no_more_than_sixty_milliseconds_are_ever_committed() -> None:
    queue = PlayoutQueue(24_000, 60)
    assert [queue.put(FRAME) for _ in range(4)] == [True, True, True, False]
    assert queue.state() == Playout(sent=0, queued=3 * SAMPLES, starved=0)
    assert queue.refused == 1


@pytest.mark.parametrize("size", [0, 2, 958, 962, 1920])
def test_a_frame_that_is_not_twenty_milliseconds_is_refused(size: int) -> None:
    queue = PlayoutQueue(24_000, 60)
    assert not queue.put(bytes(size))
    assert queue.empty


def test_flushed_audio_never_counts_as_sent() -> None:
    queue = PlayoutQueue(24_000, 60)
    for _ in range(3):
        queue.put(FRAME)
    queue.take()
    queue.clear()
    assert queue.take() is None
    assert queue.state() == Playout(sent=SAMPLES, queued=0, starved=0)


def test_silence_inside_an_utterance_is_starvation_and_silence_after_it_is_not() -> None:
    queue = PlayoutQueue(24_000, 60)
    queue.put(FRAME)
    assert queue.take() == FRAME
    assert queue.take() is None
    assert queue.take() is None
    assert queue.state().starved == 0
    queue.put(FRAME)
    queue.take()
    assert queue.state().starved == 2 * SAMPLES
    for _ in range(11):
        queue.take()
    queue.put(FRAME)
    queue.take()
    assert queue.state().starved == 2 * SAMPLES


def test_silence_after_a_clear_is_not_starvation() -> None:
    queue = PlayoutQueue(24_000, 60)
    queue.put(FRAME)
    queue.take()
    queue.clear()
    queue.take()
    queue.put(FRAME)
    queue.take()
    assert queue.state() == Playout(sent=2 * SAMPLES, queued=0, starved=0)


class Wire:
    """Drives a track on a virtual clock as aiortc does: asks for the next packet when the last one left."""

    def __init__(self) -> None:
        self.clock = VirtualClock(start_ns=1_000_000_000)
        self.queue = PlayoutQueue(24_000, 60)
        self.sent: list[tuple[float, bool]] = []
        self.packets: list[int] = []
        self.track = PacedTrack(self.queue, OpusEncoder(), self.clock, self._on_sent)
        self._task = asyncio.create_task(self._run())

    def _on_sent(self, at_ns: int, audio: bool) -> None:
        self.sent.append(((at_ns - 1_000_000_000) / 1e6, audio))

    async def _run(self) -> None:
        while True:
            packet = await self.track.recv()
            self.packets.append(packet.pts or 0)

    async def stop(self) -> None:
        self.track.stop()
        await self.clock.advance_ms(20)
        with pytest.raises(MediaStreamError):
            await self._task


async def test_one_packet_leaves_every_twenty_milliseconds_with_audio_or_silence() -> None:
    wire = Wire()
    await wire.clock.advance_ms(99)
    wire.queue.put(FRAME)
    await wire.clock.advance_ms(41)
    assert wire.sent == [
        (0, False),
        (20, False),
        (40, False),
        (60, False),
        (80, False),
        (100, True),
        (120, False),
        (140, False),
    ]
    assert wire.packets == [960 * i for i in range(8)]
    await wire.stop()


async def test_after_a_stall_packets_are_skipped_in_rtp_time_and_not_sent_in_a_burst() -> None:
    wire = Wire()
    await wire.clock.advance_ms(40)
    before = len(wire.sent)
    wire.clock.advance_now_ms(500)
    await wire.clock.advance_ms(20)
    assert len(wire.sent) - before <= 3
    assert wire.packets[-1] >= 960 * 25
    await wire.stop()


async def test_a_long_silence_is_not_sent_and_audio_after_it_leaves_at_once_in_its_own_time() -> None:
    wire = Wire()
    await wire.clock.advance_ms(1_415)
    assert [at for at, _ in wire.sent] == [*range(0, 200, 20), 580, 980, 1380]
    await wire.clock.advance_ms(100)
    wire.queue.put(FRAME)
    wire.track.wake()
    await wire.clock.advance_ms(45)
    assert wire.sent[-3:] == [(1515, True), (1535, False), (1555, False)]
    # RTP time is the clock's, in samples at 48 kHz.
    assert [pts // 48 for pts in wire.packets] == [round(at) for at, _ in wire.sent]
    await wire.stop()


async def test_a_track_that_is_stopped_in_a_pause_ends_at_once() -> None:
    wire = Wire()
    await wire.clock.advance_ms(500)
    await wire.stop()
