"""The echo of the agent's own voice: found and cancelled for the detector, and nothing else touched. No real time."""

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import pytest

from services.orchestrator.media.audio import AudioIn, ModelFrame
from services.orchestrator.media.echo import MAX_DELAY_MS, match, threshold
from services.orchestrator.media.front_end import FAINT_DBFS, TAIL_MS, FrontEnd, TappedLine
from services.orchestrator.media.leg import Playout
from services.orchestrator.media.reference import Reference, position

RATE, FRAME, TICK_NS, START_NS = 8_000, 160, 20_000_000, 7_000_000_000
Samples = np.ndarray


def voice(seconds: float, seed: int, level: float = 3000.0) -> Samples:
    """Noise with the spectrum and the rhythm of speech: syllables of 250 ms, no two alike."""
    rng = np.random.default_rng(seed)
    n = int(seconds * RATE)
    smooth = np.convolve(rng.standard_normal(n + 8), [0.35, 0.3, 0.2, 0.1, 0.05], "same")[:n]
    rhythm = np.repeat(rng.uniform(0.2, 1.0, n // 2000 + 1), 2000)[:n]
    return (smooth * rhythm * level).astype(np.int16)


def silence(seconds: float) -> Samples:
    return np.zeros(int(seconds * RATE), np.int16)


def echo_of(sent: Samples, delay_ms: float, loss_db: float) -> Samples:
    """Late, fainter, with a room of 60 ms behind it."""
    rng = np.random.default_rng(4)
    room = np.concatenate([[1.0], 0.1 * rng.standard_normal(480) * np.exp(-np.arange(480) / 120)])
    heard = np.convolve(sent, room)[: len(sent)] * 10 ** (-loss_db / 20)
    shift = int(delay_ms * RATE / 1000)
    return np.concatenate([np.zeros(shift), heard])[: len(sent)].astype(np.int16)


@dataclass
class Call:
    """A line in 20 ms ticks: what we send goes to the reference, what comes back to the front end."""

    front_end: FrontEnd = field(default_factory=lambda: FrontEnd(RATE))
    audio: AudioIn = field(default_factory=lambda: AudioIn(RATE))
    now_ns: int = START_NS
    sent: int = 0
    asked: int = 0

    def run(self, sent: Samples, heard: Samples) -> Iterator[tuple[ModelFrame, ModelFrame]]:
        """Pairs of what the line brought and what the detector is given. Silence is not sent."""
        for at in range(0, len(heard), FRAME):
            self.now_ns += TICK_NS
            frame = sent[at : at + FRAME]
            if frame.any():
                self.front_end.reference.play(frame.tobytes())
                self.sent += FRAME
                self.front_end.on_playout(Playout(self.sent, 0, 0), self.now_ns)
            came = self.audio.push(heard[at : at + FRAME].tobytes(), self.now_ns)
            given = came
            if self.front_end.awake:
                self.asked += 1
                given = self.front_end.hear(came)
            yield from zip(came, given, strict=True)


def level_db(frames: list[ModelFrame]) -> float:
    pcm = np.frombuffer(b"".join(frame.pcm for frame in frames), "<i2").astype(np.float64)
    return float(10 * np.log10(np.mean(pcm**2) / 32768**2 + 1e-12))


@pytest.mark.parametrize("delay_ms", [40, 120, 250])
@pytest.mark.parametrize("loss_db", [6, 20])
def test_a_planted_echo_is_found_with_its_delay_and_cancelled(delay_ms: int, loss_db: int) -> None:
    sent = voice(5, seed=1)
    call = Call()
    pairs = list(call.run(sent, echo_of(sent, delay_ms, loss_db)))
    assert call.front_end.state == "echo"
    assert call.front_end.delay_ms == pytest.approx(delay_ms, abs=3)
    came, given = zip(*pairs, strict=True)
    assert level_db(list(given[30:])) < max(level_db(list(came[30:])) - 20, -58)
    # From the first loud frame on: nothing in the greeting that a detector could take for a caller.
    assert level_db(list(given[: 1000 // 32])) < max(level_db(list(came[: 1000 // 32])) - 15, -55)


def test_a_line_without_echo_passes_untouched_and_asks_nothing_while_we_are_silent() -> None:
    call = Call()
    list(call.run(voice(2, seed=1), silence(2)))
    assert call.front_end.state == "clear"
    # A caller who talks over us is heard exactly as the line brought it.
    pairs = list(call.run(voice(1, seed=2), voice(1, seed=3)))
    loud = [(came, given) for came, given in pairs if max(came.levels_db) > FAINT_DBFS]
    assert len(loud) > 20
    assert all(came is given for came, given in loud)
    list(call.run(silence(1), voice(1, seed=5)))
    asked = call.asked
    pairs = list(call.run(silence(3), voice(3, seed=6)))
    assert call.asked == asked
    assert all(came is given for came, given in pairs)


def test_a_caller_who_interrupts_the_greeting_on_a_line_without_echo_is_heard_within_100_ms() -> None:
    call = Call()
    pairs = list(call.run(voice(1, seed=1), np.concatenate([silence(0.3), voice(0.7, seed=3)])))
    first_untouched = next(i for i, (came, given) in enumerate(pairs) if came is given and came.levels_db[0] > -50)
    assert first_untouched * 32 <= 300 + 100 + 32
    assert all(came is given for came, given in pairs[first_untouched:])


def test_a_caller_who_talks_over_an_echo_stays_audible() -> None:
    sent = voice(6, seed=1)
    caller = np.concatenate([silence(3), voice(3, seed=9)])
    line = (echo_of(sent, 120, 18).astype(np.int32) + caller).astype(np.int16)
    given = [frame for _, frame in Call().run(sent, line)]
    before, during = given[2000 // 32 : 2900 // 32], given[3200 // 32 : 5900 // 32]
    assert level_db(during) > level_db(before) + 20
    assert level_db(during) > level_db([f for f, _ in Call().run(silence(3), caller[-3 * RATE :])]) - 8


def test_a_faint_echo_is_muted_without_a_canceller_and_a_telephone_that_stops_echoing_is_believed() -> None:
    sent = voice(2, seed=1)
    call = Call()
    given = [frame for _, frame in call.run(sent, echo_of(sent, 80, 42))]
    assert call.front_end.state == "clear"
    assert all(not any(frame.pcm) for frame in given[3:])
    call = Call()
    list(call.run(sent, echo_of(sent, 80, 12)))
    assert call.front_end.state == "echo"
    list(call.run(voice(4, seed=2), silence(4)))
    assert call.front_end.state == "clear"


def test_a_loudspeaker_switched_on_in_mid_call_is_found_within_200_ms() -> None:
    call = Call()
    list(call.run(voice(2, seed=1), silence(2)))
    assert call.front_end.state == "clear"
    sent = voice(1, seed=2)
    states = [call.front_end.state for _ in call.run(sent, echo_of(sent, 40, 12))]
    assert states.index("echo") * 32 <= 40 + 200


def test_a_tone_is_no_echo_of_a_tone() -> None:
    t = np.arange(3 * RATE) / RATE
    tone = (np.sin(2 * np.pi * 220 * t) * 8000).astype(np.int16)
    call = Call()
    list(call.run(tone, np.concatenate([silence(1.5), tone[: 3 * RATE // 2]])))
    assert call.front_end.state == "clear"


def test_the_detector_hears_frames_in_order_and_as_many_as_came() -> None:
    sent = voice(3, seed=1)
    pairs = list(Call().run(sent, echo_of(sent, 100, 10)))
    assert len(pairs) == 3 * RATE * 2 // 512
    assert all(len(given.pcm) == 1024 for _, given in pairs)
    assert all(0 <= came.end_ns - given.end_ns < 20_000_000 for came, given in pairs)


def test_after_our_last_sample_and_its_echo_the_front_end_sleeps() -> None:
    call = Call()
    list(call.run(voice(1, seed=1), silence(1)))
    assert call.front_end.awake
    list(call.run(silence(1), silence((TAIL_MS + 100) / 1000)))
    assert not call.front_end.awake


# ---- the reference


def frames_of(pcm: Samples) -> list[bytes]:
    return [pcm[at : at + FRAME].tobytes() for at in range(0, len(pcm), FRAME)]


def test_the_reference_stands_where_the_reports_say_and_is_zero_elsewhere() -> None:
    reference, pcm = Reference(RATE), voice(0.2, seed=1)
    for number, frame in enumerate(frames_of(pcm), 1):
        reference.play(frame)
        assert reference.report(number * FRAME, START_NS + number * TICK_NS)
    end = position(START_NS + 200_000_000)
    read = reference.read(end + 320, 320 + 3200 + 320)
    assert not read[:310].any()
    assert not read[-310:].any()
    best = match(read[320:-320], reference.read(end, 3200 + MAX_DELAY_MS * 16))
    assert best.likeness > 0.99
    assert best.delay_ms < 1


def test_what_was_flushed_is_not_in_the_reference() -> None:
    reference = Reference(RATE)
    kept, flushed, after = voice(0.02, 1), voice(0.04, 2), voice(0.02, 3)
    for frame in frames_of(np.concatenate([kept, flushed])):
        reference.play(frame)
    reference.report(FRAME, START_NS)
    reference.clear()
    assert not reference.report(FRAME, START_NS + TICK_NS)
    reference.play(after.tobytes())
    reference.report(2 * FRAME, START_NS + 10 * TICK_NS)
    got = reference.read(position(START_NS + 10 * TICK_NS), 16 * 240)[::2]
    assert np.count_nonzero(got) <= 2 * FRAME + 40
    assert abs(int(np.abs(got[-FRAME:].astype(int)).sum()) / int(np.abs(after.astype(int)).sum()) - 1) < 0.2


def test_lost_frames_and_a_silent_leg_cost_a_bounded_memory() -> None:
    reference = Reference(RATE)
    for frame in frames_of(voice(10, 1)):
        reference.play(frame)
    for number in range(1, 501):
        reference.play(bytes(2 * FRAME))
        reference.report(number * FRAME, START_NS + number * TICK_NS)
    assert len(reference.read(position(START_NS), 16_000)) == 16_000


def test_reports_that_are_late_by_a_poll_do_not_tear_the_reference() -> None:
    reference, pcm = Reference(RATE), voice(1, seed=1)
    rng = np.random.default_rng(1)
    for number, frame in enumerate(frames_of(pcm), 1):
        reference.play(frame)
        reference.report(number * FRAME, START_NS + number * TICK_NS + int(rng.integers(0, 15)) * 1_000_000)
    steady = Reference(RATE)
    for number, frame in enumerate(frames_of(pcm), 1):
        steady.play(frame)
        steady.report(number * FRAME, START_NS + number * TICK_NS)
    end = position(START_NS + 1_000_000_000)
    found = match(reference.read(end, 4800), steady.read(end, 4800 + MAX_DELAY_MS * 16))
    assert found.likeness > 0.95


class Recorder:
    def __init__(self) -> None:
        self.done: list[str] = []

    def play(self, frame: bytes) -> None:
        self.done.append(f"play {len(frame)}")

    def clear(self) -> None:
        self.done.append("clear")


def test_the_leg_gets_what_the_mouth_says() -> None:
    leg = Recorder()
    line = TappedLine(leg, Reference(RATE))
    line.play(bytes(2 * FRAME))
    line.clear()
    assert leg.done == ["play 320", "clear"]


def test_likeness_needs_more_of_it_the_shorter_one_looked() -> None:
    assert threshold(100) == pytest.approx(0.5)
    assert threshold(100) > threshold(200) > threshold(320) > 0.35
