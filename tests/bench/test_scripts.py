"""What callers do by script: planned from the seed, made of the right sounds, and judged from the audio."""

import numpy as np
import pytest

from services.cli.benchmark.noisy_leg import NoisyLeg
from services.cli.benchmark.result import CallResult, situations
from services.cli.benchmark.scripts import SCRIPTS, PlainTalk, Voices, plan
from services.cli.benchmark.sounds import coughs, hold, hums, noise
from services.cli.caller import Pcm
from services.cli.clips import LEVEL_DBFS, Clip
from services.cli.conversation import Aside, Conversation, Line, Manners
from services.cli.measure import Utterance, dbfs, hear_asides, hear_turns
from services.common.clock import VirtualClock
from tests.bench.documents import turn
from tests.cli.signals import MS, burst, line, packets
from tests.cli.test_conversation import ScriptedLeg

RATE = 16_000


def voices() -> Voices:
    clips = [Clip(f"c{i}", "", burst(1500 + 700 * i, RATE), RATE) for i in range(3)]
    return Voices(clips, coughs(1), hums(1))


@pytest.mark.parametrize("script", SCRIPTS)
def test_a_plan_is_fixed_by_its_seed_and_another_call_does_something_else(script) -> None:
    def shape(call: int, seed: int) -> list:
        lines = plan(script, voices(), 12, call, seed, PlainTalk())
        return [(x.clip.name, x.interrupt_after_ms, x.gap_ms, x.aside and x.aside.after_ms) for x in lines]

    assert shape(0, 1) == shape(0, 1)
    assert shape(0, 1) != shape(1, 1)
    assert len(shape(0, 1)) == 12


def test_each_script_does_what_it_is_called_for() -> None:
    def lines(script) -> list[Line]:
        return plan(script, voices(), 20, 0, 1, PlainTalk())

    assert all(400 <= x.gap_ms <= 1200 for x in lines("pauses"))
    assert sum(x.interrupt_after_ms is not None for x in lines("interruptions")) == 10
    assert all(x.aside is not None and x.aside.kind == "cough" for x in lines("coughs"))
    assert all(x.aside is not None and x.aside.kind == "backchannel" for x in lines("backchannels"))
    assert sum(x.interrupt_after_ms is not None for x in lines("plain")) == 4
    mixed = lines("mixed")
    assert {x.aside.kind for x in mixed if x.aside} == {"cough", "backchannel"}
    assert any(x.gap_ms for x in mixed)
    assert any(x.interrupt_after_ms for x in mixed)


def test_a_held_sentence_has_its_pause_in_the_middle_and_loses_nothing_else() -> None:
    clip = Clip("c", "", burst(2000, RATE), RATE)
    held = hold(clip, 600)
    assert held.seconds == pytest.approx(2.6, abs=0.001)
    assert 560 <= held.longest_dip_ms() <= 640
    quiet = np.flatnonzero(np.abs(held.pcm.astype(int)) > 0)
    gap_at = int(np.argmax(np.diff(quiet)))
    assert 0.35 * 2 <= quiet[gap_at] / RATE <= 0.7 * 2
    assert dbfs(held.pcm[: RATE // 2]) == pytest.approx(dbfs(clip.pcm[: RATE // 2]), abs=0.1)


def test_coughs_and_hums_are_short_loud_enough_and_differ() -> None:
    for clips, longest in ((coughs(1), 2.0), (hums(1), 0.6)):
        assert len({clip.pcm.tobytes() for clip in clips}) == len(clips)
        for clip in clips:
            assert 0.1 < clip.seconds < longest
            assert -35 < dbfs(clip.pcm) < -10


@pytest.mark.parametrize("kind", ["pink", "babble"])
def test_noise_lies_as_far_below_the_voice_as_was_asked(kind) -> None:
    made = noise(kind, 15, 8000, voices().clips, 1)
    assert len(made) == 20 * 8000
    assert dbfs(made) == pytest.approx(LEVEL_DBFS - 15, abs=1.5)


async def test_a_noisy_caller_sends_noise_all_the_time_and_is_measured_as_without_it() -> None:
    leg = QueueLeg(VirtualClock())
    noisy = NoisyLeg(leg, noise("pink", 20, 8000, (), 1))
    start = noisy.play(burst(600, 8000))
    assert noisy.playing
    while noisy.playing:
        await noisy.progress()
    assert leg.sent.samples >= start + 600 * 8
    sent = leg.sent.audio()
    assert dbfs(sent[start : start + 4800]) == pytest.approx(-20, abs=1)
    for _ in range(20):
        await noisy.progress()
    assert -44 < dbfs(leg.sent.since(start + 4800)) < -36


class QueueLeg(ScriptedLeg):
    """Keeps everything that was queued, as real legs do."""

    def play(self, pcm: Pcm) -> int:
        queued = self._queue
        start = super().play(pcm) + sum(map(len, queued))
        self._queue = [*queued, *self._queue]
        return start


def agent(*spans: tuple[float, float]):
    """The agent speaks from … to … ms."""
    return packets(line(8000, RATE, *((a, burst(b - a, RATE)) for a, b in spans)), RATE)


@pytest.mark.parametrize(
    ("spans", "completed_ms", "outcome"),
    [
        (((0, 4000),), (), "went_on"),
        (((0, 1400), (2000, 4000)), (), "resumed"),
        (((0, 1400), (4500, 6000)), (), "answered_instead"),
        (((0, 1400),), (), "stopped"),
        (((0, 1400),), (1400,), "went_on"),
        (((0, 500),), (), "agent_was_silent"),
    ],
)
def test_an_agent_that_is_disturbed_goes_on_resumes_stops_or_begins_something_new(spans, completed_ms, outcome) -> None:
    sent = packets(line(8000, RATE, (1000, burst(300, RATE))), RATE)
    cough = Utterance(1, 1000 * 16, 1300 * 16, aside="cough")
    (heard,) = hear_asides([cough], sent, agent(*spans), [7000 * MS], [ms * MS for ms in completed_ms])
    assert heard.outcome == outcome
    if outcome == "resumed":
        assert heard.hole_ms == pytest.approx(600, abs=12)


async def test_a_cough_falls_into_the_answer_and_is_no_turn() -> None:
    leg = ScriptedLeg(VirtualClock(), answer_ms=3000, deaf=True)
    talk = Conversation(leg, leg.clock, Manners())
    clip = Clip("c", "", burst(600, 8000), 8000)
    said = await talk.run([Line(clip, aside=Aside("cough", coughs(1)[0], 800)), Line(clip)])
    assert [u.turn for u in said] == [1, 2]
    assert [(u.turn, u.aside) for u in talk.asides] == [(1, "cough")]
    answers = [t.outcome for t in hear_turns(said, leg.sent, leg.heard)]
    assert answers == ["answered", "answered"]
    (heard,) = hear_asides(talk.asides, leg.sent, leg.heard, [leg.sent.time_ns(said[1].start)])
    assert heard.outcome == "went_on"


def test_situations_are_counted_by_name() -> None:
    clip = Clip("c", "", burst(600, 8000), 8000)
    call = CallResult(1, 0, lines=[Line(clip, gap_ms=500), Line(clip, gap_ms=500), Line(clip, 900), Line(clip, 900)])
    call.turns = [
        turn(1, 400, 3000),
        turn(2, None, 9000, outcome="cut_off"),
        turn(3, 400, 15_000, stop=120),
        turn(4, None, 20_000, stop=120, outcome="unanswered"),
    ]
    counted = situations([call])
    assert counted["pause"] == {"n": 2, "outcomes": {"held": 1, "false_cut_off": 1}}
    assert counted["interruption"]["outcomes"] == {"stopped_and_answered": 1, "stopped_then_unanswered": 1}
