"""What was committed, sent and heard, sample by sample, through pauses, resumes, cuts and lost frames."""

from collections import deque

from hypothesis import given, settings
from hypothesis import strategies as st

from services.orchestrator.media.leg import Playout
from services.orchestrator.media.playout import PlayoutBuffer, SpokenWord, Utterance

RATE = 8_000
FRAME = 160
TEXT = "Sure, I can help you."


def utterance(ms: int = 1000, *, finished: bool = True) -> Utterance:
    """Five words of equal length."""
    samples = RATE * ms // 1000
    words, at = [], 0
    for index, word in enumerate(TEXT.split()):
        start = TEXT.index(word, at)
        at = start + len(word)
        words.append(SpokenWord(start, at, samples * index // 5, samples * (index + 1) // 5))
    return Utterance(1, RATE, TEXT, bytearray(b"\x01\x00" * samples), words, finished)


class Wire:
    """A leg as the buffer sees it: takes frames, sends one per tick, flushes on clear."""

    def __init__(self, buffer: PlayoutBuffer) -> None:
        self.buffer = buffer
        self.queue: deque[bytes] = deque()
        self.sent = 0
        self.most = 0
        self.now_ns = 0

    def pump(self) -> None:
        self.queue.extend(self.buffer.frames())
        self.most = max(self.most, len(self.queue))

    def tick(self) -> object:
        if self.queue:
            self.queue.popleft()
            self.sent += FRAME
        self.now_ns += 20_000_000
        progress = self.buffer.on_report(Playout(self.sent, len(self.queue) * FRAME, 0), self.now_ns)
        self.pump()
        return progress

    def clear(self) -> None:
        self.queue.clear()


def playing(ms: int = 1000) -> tuple[Wire, Utterance]:
    wire = Wire(PlayoutBuffer(RATE, 60))
    spoken = utterance(ms)
    wire.buffer.enqueue(spoken)
    wire.pump()
    return wire, spoken


def test_60_ms_are_committed_at_once_and_never_more() -> None:
    wire, _ = playing()
    assert len(wire.queue) == 3
    for _ in range(60):
        wire.tick()
    assert wire.most == 3


def test_an_utterance_is_over_when_its_last_sample_was_sent() -> None:
    wire, spoken = playing(110)
    finished = [wire.tick().finished for _ in range(6)]
    assert finished == [None] * 5 + [spoken]
    assert spoken.heard_text() == TEXT


def test_the_first_packet_is_reported_once() -> None:
    wire, spoken = playing()
    assert [wire.tick().started for _ in range(3)] == [spoken, None, None]


def test_audio_that_arrives_bit_by_bit_plays_in_whole_frames_until_it_is_finished() -> None:
    wire = Wire(PlayoutBuffer(RATE, 60))
    spoken = Utterance(1, RATE, TEXT)
    wire.buffer.enqueue(spoken)
    spoken.audio += bytes(2 * 100)
    wire.pump()
    assert not wire.queue
    spoken.audio += bytes(2 * 100)
    wire.pump()
    assert len(wire.queue) == 1
    spoken.finished = True
    wire.pump()
    assert len(wire.queue) == 2
    assert wire.queue[1] == bytes(2 * FRAME)


def test_after_a_pause_playing_goes_on_from_the_start_of_the_interrupted_word() -> None:
    wire, spoken = playing()
    for _ in range(13):
        wire.tick()
    assert spoken.heard == 13 * FRAME
    wire.buffer.pause()
    wire.clear()
    for _ in range(5):
        wire.tick()
    assert spoken.heard == 13 * FRAME
    wire.buffer.resume()
    wire.pump()
    # 260 ms is inside the second word, which began at 200 ms: 800 ms are left.
    ticks = 0
    while wire.tick().finished is None:
        ticks += 1
    assert ticks + 1 == 40


def test_heard_text_ends_with_the_last_word_of_which_half_was_sent() -> None:
    wire, spoken = playing()
    heard = []
    for _ in range(50):
        wire.tick()
        heard.append(spoken.heard_text())
    assert heard[3] == ""
    assert heard[4] == "Sure,"
    assert heard[13] == "Sure,"
    assert heard[14] == "Sure, I"
    assert heard[48] == "Sure, I can help you."


def test_frames_that_the_leg_lost_do_not_stop_playing() -> None:
    wire, spoken = playing()
    wire.queue.clear()
    for _ in range(100):
        wire.tick()
    assert spoken.done


def test_reports_that_waited_in_a_queue_do_not_make_frames_lost() -> None:
    wire, _ = playing()
    committed = len(wire.queue)
    for _ in range(100):
        # From before our frames reached the leg, all read at the same moment.
        wire.buffer.on_report(Playout(0, 0, 0), 1)
        wire.pump()
    assert len(wire.queue) == committed


def test_a_change_of_rate_drops_what_was_made_for_the_other() -> None:
    wire, spoken = playing()
    wire.tick()
    assert wire.buffer.set_rate(16_000) == [spoken]
    assert wire.buffer.frames() == []
    wire.buffer.on_report(Playout(320, 0, 0), 0)
    other = Utterance(2, 16_000, "Hi.", bytearray(2 * 16_000), finished=True)
    wire.buffer.enqueue(other)
    assert [len(frame) for frame in wire.buffer.frames()] == [640] * 3


steps = st.lists(st.sampled_from(["tick", "tick", "tick", "pause", "resume", "cut", "say", "lose"]), max_size=60)


@given(steps)
@settings(max_examples=200, deadline=None)
def test_whatever_happens_the_bound_holds_and_heard_never_exceeds_what_was_sent(script: list[str]) -> None:
    wire, spoken = playing(300)
    all_spoken, credited = [spoken], 0
    for step in script:
        match step:
            case "pause":
                if not wire.buffer.paused:
                    wire.buffer.pause()
                    wire.clear()
            case "resume":
                wire.buffer.resume()
                wire.pump()
            case "cut":
                wire.buffer.pause()
                wire.clear()
                wire.buffer.cut()
            case "say":
                all_spoken.append(utterance(200))
                wire.buffer.enqueue(all_spoken[-1])
                wire.pump()
            case "lose":
                wire.queue.clear()
            case _:
                wire.tick()
        assert len(wire.queue) <= 3
        assert all(0 <= one.heard <= one.samples for one in all_spoken)
    del credited
    wire.buffer.resume()
    for _ in range(400):
        wire.tick()
    assert wire.buffer.current is None
