"""The worker over an engine that is told what happens, on virtual time."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from services.common.clock import VirtualClock
from services.common.personal import Personal
from services.common.settings import TelephonySettings
from services.pb.trunkline.telephony.v1 import telephony_pb2 as pb
from services.telephony import engine as e
from services.telephony.outbox import MAX_EVENTS, ClientExistsError, Outbox
from services.telephony.worker import Worker
from tests.telephony.fake_engine import FakeEngine

FRAME = bytes(range(160)) * 2
OPUS = e.AudioFormat("opus", 48_000, 48_000, 20, False)


class Lab:
    """A worker, its engine, its clock and its client."""

    def __init__(self, **settings: object) -> None:
        self.clock = VirtualClock(start_ns=1_000_000_000)
        self.engine = FakeEngine()
        self.worker = Worker(TelephonySettings(**settings), self.engine, self.clock)  # type: ignore[arg-type]
        self.events: list[pb.LegEvent] = []
        self.frames: list[pb.LegFrame] = []

    async def start(self) -> None:
        await self.worker.start()
        self.attach()

    def attach(self) -> None:
        self.client = self.worker.attach(pb.Attach())
        assert self.client.outbox is not None
        self.outbox = self.client.outbox

    async def run(self, ms: float) -> None:
        """Let time pass and collect what the client gets."""
        await self.clock.advance_ms(ms)
        while not self.outbox.empty:
            message = await self.outbox.take()
            assert message is not None
            self.events += message.events
            self.frames += message.frames

    async def call(self, handle: int = 1) -> int:
        """An answered incoming call; returns its leg."""
        self.engine.incoming(handle)
        await self.run(10)
        leg = self.events[-1].leg_id
        self.command(leg, answer=pb.Answer())
        await self.run(1000)
        self.engine.emit(e.CallEstablished(handle))
        await self.run(10)
        assert self.kinds()[-1] == "established"
        self.frames.clear()
        return leg

    def command(self, leg: int, **command: object) -> None:
        self.worker.request(self.client, pb.MediaRequest(commands=[pb.Command(leg_id=leg, **command)]))  # type: ignore[arg-type]

    def play(self, leg: int, pcm: bytes) -> None:
        self.worker.request(self.client, pb.MediaRequest(frames=[pb.PlayFrame(leg_id=leg, pcm=pcm)]))

    def kinds(self) -> list[str]:
        return [str(event.WhichOneof("event")) for event in self.events]


@pytest.fixture
async def lab() -> AsyncIterator[Lab]:
    it = Lab(max_calls=3)
    await it.start()
    yield it
    await it.worker.close()
    assert it.engine.closed


async def test_a_call_comes_in_is_answered_and_ends(lab: Lab):
    leg = await lab.call()
    lab.engine.emit(e.CallClosed(1, Personal(""), e.CallStats(rx_packets=5)))
    await lab.run(10)
    assert lab.kinds() == ["incoming", "established", "ended"]
    assert lab.events[0].incoming.sip_call_id == "id-1"
    assert {event.leg_id for event in lab.events} == {leg}
    assert lab.worker.active_legs == 0


async def test_received_audio_arrives_as_numbered_frames_at_the_next_poll(lab: Lab):
    await lab.call()
    lab.engine.audios[1].rx += FRAME * 2
    await lab.run(5)
    assert [(frame.seq, frame.pcm) for frame in lab.frames[-2:]] == [
        (lab.frames[-1].seq - 1, FRAME),
        (lab.frames[-1].seq, FRAME),
    ]


async def test_packets_of_30_ms_are_cut_into_frames_of_20(lab: Lab):
    await lab.call()
    lab.engine.audios[1].rx += FRAME + FRAME[:160]
    await lab.run(30)
    lab.engine.audios[1].rx += FRAME[160:] + FRAME
    await lab.run(30)
    assert [len(frame.pcm) for frame in lab.frames if frame.pcm] == [320, 320, 320]
    assert b"".join(frame.pcm for frame in lab.frames) == FRAME * 3


async def test_a_silent_leg_is_still_reported_about_every_tick(lab: Lab):
    await lab.call()
    for _ in range(25):
        await lab.run(20)
    assert 18 <= len(lab.frames) <= 26
    assert all(not frame.pcm for frame in lab.frames)


async def test_audio_is_taken_up_to_60_ms_and_the_rest_is_refused(lab: Lab):
    leg = await lab.call()
    lab.play(leg, FRAME * 5)
    await lab.run(30)
    assert len(lab.engine.audios[1].tx) == 3 * 320
    assert lab.kinds()[-1] == "command_failed"
    assert "40 ms were refused" in lab.events[-1].command_failed.message
    assert lab.frames[-1].tx_samples_queued == 480


async def test_what_was_sent_and_what_starved_is_told(lab: Lab):
    leg = await lab.call()
    audio = lab.engine.audios[1]
    lab.play(leg, FRAME)
    audio.tick()
    audio.tick()
    lab.play(leg, FRAME)
    audio.tick()
    await lab.run(30)
    last = lab.frames[-1]
    assert (last.tx_samples_sent, last.tx_samples_queued, last.tx_samples_starved) == (320, 0, 160)


@pytest.mark.parametrize("size", [0, 1, 319, 321, 640 + 2])
async def test_a_frame_of_the_wrong_length_is_refused_with_the_right_one(lab: Lab, size: int):
    leg = await lab.call()
    lab.play(leg, bytes(size))
    await lab.run(10)
    assert "expected frames of 320 bytes" in lab.events[-1].command_failed.message
    assert not lab.engine.audios[1].tx


async def test_clear_is_confirmed_when_the_ring_was_flushed_and_new_audio_survives_it(lab: Lab):
    leg = await lab.call()
    audio = lab.engine.audios[1]
    lab.play(leg, FRAME * 3)
    audio.tick()
    lab.command(leg, clear=pb.Clear())
    # The engine drops everything in its ring at its next packet: this must not be among it.
    new = bytes(reversed(FRAME))
    lab.play(leg, new)
    await lab.run(30)
    assert "cleared" not in lab.kinds()
    assert lab.frames[-1].tx_samples_queued == 320 + 160
    audio.tick()
    await lab.run(5)
    assert lab.kinds()[-1] == "cleared"
    assert (lab.events[-1].cleared.tx_samples_sent, lab.events[-1].cleared.tx_samples_flushed) == (160, 320)
    audio.tick()
    assert bytes(audio.wire[-320:]) == new


async def test_clear_of_nothing_is_confirmed_at_once(lab: Lab):
    leg = await lab.call()
    lab.command(leg, clear=pb.Clear())
    await lab.run(5)
    assert lab.kinds()[-1] == "cleared"
    assert not lab.engine.audios[1].flush_asked


async def test_clear_on_a_stream_that_no_longer_sends_is_confirmed_in_the_end(lab: Lab):
    leg = await lab.call()
    lab.play(leg, FRAME)
    lab.command(leg, clear=pb.Clear())
    await lab.run(100)
    assert lab.kinds()[-1] == "cleared"


async def test_a_renegotiated_codec_is_told_and_played_at_its_rate(lab: Lab):
    leg = await lab.call()
    lab.play(leg, FRAME * 2)
    lab.engine.audios[1].restart(OPUS)
    await lab.run(15)
    assert lab.kinds()[-1] == "established"
    assert lab.events[-1].established.rx_sample_rate_hz == 48_000
    lab.play(leg, FRAME)
    await lab.run(5)
    assert "1920 bytes" in lab.events[-1].command_failed.message
    lab.engine.audios[1].rx += bytes(1920)
    await lab.run(5)
    assert len(lab.frames[-1].pcm) == 1920


async def test_a_call_over_the_cap_is_refused_and_the_others_live(lab: Lab):
    for handle in (1, 2, 3):
        await lab.call(handle)
    lab.engine.incoming(4)
    await lab.run(10)
    assert lab.engine.asked[-1] == ("reject", 4, 503, 5)
    assert lab.worker.active_legs == 3
    assert lab.kinds().count("incoming") == 3


async def test_a_burst_of_answers_is_paced():
    lab = Lab(max_calls=60, max_calls_per_s=20)
    await lab.start()
    for handle in range(1, 41):
        lab.engine.incoming(handle)
    await lab.run(10)
    for event in list(lab.events):
        lab.command(event.leg_id, answer=pb.Answer())
    await lab.run(990)
    assert 19 <= len(lab.engine.asked) <= 21
    await lab.run(1100)
    assert len(lab.engine.asked) == 40
    await lab.worker.close()


async def test_an_answer_that_would_wait_too_long_is_refused():
    lab = Lab(max_calls=60, max_calls_per_s=1, max_rate_wait_s=2.0, ring_timeout_s=100)
    await lab.start()
    for handle in range(1, 6):
        lab.engine.incoming(handle)
    await lab.run(10)
    for event in list(lab.events):
        lab.command(event.leg_id, answer=pb.Answer())
    await lab.run(3000)
    assert sorted(lab.engine.asked) == [
        ("answer", 1),
        ("answer", 2),
        ("answer", 3),
        ("reject", 4, 503, 5),
        ("reject", 5, 503, 5),
    ]
    await lab.worker.close()


async def test_ringing_that_nobody_answers_ends(lab: Lab):
    lab.engine.incoming(1)
    await lab.run(10_200)
    assert lab.engine.asked == [("reject", 1, 503, 5)]


async def test_a_second_client_is_refused(lab: Lab):
    with pytest.raises(ClientExistsError):
        lab.worker.attach(pb.Attach())


async def test_without_a_client_calls_are_refused_and_after_the_grace_time_legs_end(lab: Lab):
    await lab.call()
    lab.worker.detach(lab.client)
    lab.engine.incoming(2)
    await lab.clock.advance_ms(1900)
    assert lab.engine.asked[-1] == ("reject", 2, 503, 5)
    await lab.clock.advance_ms(300)
    assert lab.engine.asked[-1] == ("hangup", 1)


async def test_a_client_that_comes_back_in_time_finds_its_calls_and_their_events(lab: Lab):
    leg = await lab.call()
    lab.worker.detach(lab.client)
    await lab.clock.advance_ms(1000)
    lab.engine.emit(e.DigitReceived(1, Personal("5"), 100))
    lab.attach()
    await lab.run(100)
    assert lab.kinds()[-1] == "dtmf"
    lab.play(leg, FRAME)
    await lab.clock.advance_ms(10_000)
    assert ("hangup", 1) not in lab.engine.asked


async def test_a_dial_becomes_a_leg_and_its_end_carries_the_sip_status(lab: Lab):
    lab.command(0, dial=pb.Dial(dial_id=7, target_uri="sip:+4930@trunk.example"))
    await lab.run(10)
    assert (lab.events[-1].dialed.dial_id, lab.engine.asked) == (7, [("dial", "sip:+4930@trunk.example")])
    leg = lab.events[-1].leg_id
    lab.engine.emit(e.CallClosed(lab.engine.next_handle, Personal("486 Busy Here"), e.CallStats()))
    await lab.run(10)
    ended = lab.events[-1]
    assert (ended.leg_id, ended.ended.cause, ended.ended.sip_status) == (leg, pb.Ended.CAUSE_REJECTED, 486)


async def test_a_dial_the_engine_refuses_is_told_by_its_id(lab: Lab):
    lab.engine.fail.add("dial")
    lab.command(0, dial=pb.Dial(dial_id=8, target_uri="sip:a@b"))
    lab.command(0, dial=pb.Dial(dial_id=9, target_uri="nonsense"))
    await lab.run(10)
    assert sorted(event.command_failed.dial_id for event in lab.events) == [8, 9]
    assert lab.worker.active_legs == 0


async def test_an_accepted_refer_becomes_a_leg_of_its_own(lab: Lab):
    leg = await lab.call()
    lab.engine.emit(e.TransferAsked(1, Personal("sip:other@x"), False))
    lab.command(leg, answer_transfer=pb.AnswerTransfer(accept=True))
    await lab.run(10)
    assert lab.kinds()[-2:] == ["transfer_requested", "dialed"]
    assert lab.events[-1].leg_id != leg


async def test_an_attended_transfer_needs_another_leg_of_this_worker(lab: Lab):
    first, second = await lab.call(1), await lab.call(2)
    lab.command(first, transfer=pb.Transfer(consult_leg_id=second))
    await lab.run(10)
    assert lab.engine.asked[-1] == ("attended_transfer", 1, 2)
    lab.command(second, transfer=pb.Transfer(consult_leg_id=second))
    await lab.run(10)
    assert "consult_leg_id" in lab.events[-1].command_failed.message


async def test_commands_to_unknown_legs_fail_and_harm_nobody(lab: Lab):
    await lab.call()
    lab.command(77, hangup=pb.Hangup())
    lab.worker.request(lab.client, pb.MediaRequest(commands=[pb.Command(leg_id=1)]))
    lab.play(77, FRAME)
    await lab.run(10)
    assert lab.kinds()[-3:] == ["command_failed"] * 3
    assert lab.worker.active_legs == 1


async def test_a_draining_worker_takes_no_new_call_and_keeps_those_it_has(lab: Lab):
    await lab.call()
    lab.worker.drain()
    lab.engine.incoming(2)
    await lab.run(20)
    assert lab.engine.asked[-1] == ("reject", 2, 503, 5)
    assert lab.worker.active_legs == 1


async def test_a_dead_stack_is_said_to_the_process(lab: Lab):
    died = asyncio.Event()
    lab.worker.on_fatal = died.set
    lab.engine.emit(e.EngineDead())
    assert died.is_set()


async def test_a_client_that_reads_nothing_loses_the_oldest_audio_and_no_event():
    outbox = Outbox()
    outbox.put(pb.MediaResponse(events=[pb.LegEvent(leg_id=1, dtmf=pb.Dtmf(digit="1"))]))
    for seq in range(50):
        outbox.put(pb.MediaResponse(frames=[pb.LegFrame(leg_id=1, seq=seq, pcm=FRAME)]))
    taken = []
    while not outbox.empty:
        taken.append(await outbox.take())
    assert [event.dtmf.digit for message in taken for event in message.events] == ["1"]
    assert [frame.seq for message in taken for frame in message.frames] == list(range(40, 50))
    assert outbox.dropped_frames == 40


async def test_a_client_that_takes_no_events_is_cut_off(lab: Lab):
    await lab.call()
    for _ in range(MAX_EVENTS + 10):
        lab.engine.emit(e.DigitReceived(1, Personal("1"), 1))
    await lab.clock.advance_ms(10)
    assert lab.outbox.failed
    assert await lab.outbox.take() is None


async def test_a_worker_without_calls_looks_once_a_second_and_says_a_ring_at_once(lab: Lab):
    polls = 0
    poll = lab.worker.poll

    def counted(now_ns: int) -> None:
        nonlocal polls
        polls += 1
        poll(now_ns)

    lab.worker.poll = counted  # type: ignore[method-assign]
    await lab.run(10_000)
    assert polls <= 11
    lab.engine.incoming(1)
    await lab.run(0)
    assert lab.kinds() == ["incoming"]
    polls = 0
    await lab.run(100)
    assert polls >= 19


async def test_the_worker_idles_again_after_its_last_call_and_the_next_one_is_heard_at_once(lab: Lab):
    await lab.call(1)
    lab.engine.emit(e.CallClosed(1, Personal(""), e.CallStats()))
    await lab.run(5000)
    lab.events.clear()
    lab.engine.incoming(2)
    await lab.run(0)
    assert lab.kinds() == ["incoming"]
