"""Bad lines: what is lost, held and suppressed is what was asked for; real calls pass through the relay."""

import itertools
from pathlib import Path

import numpy as np
import pytest

from services.cli.lossy import LineQuality, LossyLine, is_silent
from services.cli.lossy_relay import SipRelay, target_of
from services.cli.sip_caller import SipDialer
from services.cli.stack import Launch
from services.common.clock import SystemClock
from services.common.errors import InvalidInputError
from tests.cli.answering import answering_worker
from tests.cli.test_conversation import clip

MS = 1_000_000
N = 20_000


def lost_runs(line: LossyLine) -> list[int]:
    """Lengths of the runs of lost packets."""
    steps = np.split(np.array(line.lost_at), np.where(np.diff(line.lost_at) > 1)[0] + 1)
    return [len(step) for step in steps]


@pytest.mark.parametrize("loss", [0.0, 0.01, 0.05, 0.1])
@pytest.mark.parametrize("burst", [1.0, 4.0])
def test_a_line_loses_the_share_and_the_runs_it_was_told(loss: float, burst: float) -> None:
    line = LossyLine(LineQuality(loss=loss, burst_packets=burst))
    for packet in range(N):
        line.due_ns(packet * 20 * MS)
    assert line.lost / N == pytest.approx(loss, abs=0.012)
    assert line.passed + line.lost == N
    if loss:
        assert float(np.mean(lost_runs(line))) == pytest.approx(burst if burst > 1 else 1 / (1 - loss), rel=0.2)


def test_the_same_seed_loses_the_same_packets_and_another_one_others() -> None:
    lines = [LossyLine(LineQuality(loss=0.1, seed=seed)) for seed in (7, 7, 8)]
    for line, packet in itertools.product(lines, range(500)):
        line.due_ns(packet)
    assert lines[0].lost_at == lines[1].lost_at != lines[2].lost_at


def test_jitter_holds_packets_within_its_bound_and_keeps_their_order_unless_told_otherwise() -> None:
    for reorder in (False, True):
        line = LossyLine(LineQuality(jitter_ms=60, reorder=reorder))
        due = [line.due_ns(packet * 20 * MS) or 0 for packet in range(2000)]
        held = [(at - packet * 20 * MS) / MS for packet, at in enumerate(due)]
        assert min(held) >= 0
        assert max(held) < 61
        assert np.ptp(held) > 50
        assert (sorted(due) == due) is not reorder


def test_a_peer_with_silence_suppression_sends_no_silence_and_marks_what_follows() -> None:
    line = LossyLine(LineQuality(dtx=True))
    silence, speech = bytes([0x80, 8]) + bytes(10) + b"\xd5" * 160, bytes([0x80, 8]) + bytes(10) + bytes(range(160))
    assert is_silent(silence)
    assert not is_silent(speech)
    assert line.sent(speech) == speech
    assert [line.sent(silence), line.sent(silence)] == [None, None]
    marked = line.sent(speech)
    assert marked is not None
    assert marked[1] == 0x88
    assert marked[2:] == speech[2:]
    assert line.sent(speech) == speech
    assert line.suppressed == 2


@pytest.mark.parametrize("wrong", [{"loss": 1.0}, {"loss": -0.1}, {"burst_packets": 0.5}, {"jitter_ms": -1.0}])
def test_a_line_that_cannot_be_is_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(InvalidInputError):
        LineQuality(**wrong)  # type: ignore[arg-type]


def test_only_addresses_the_relay_can_carry_are_taken() -> None:
    assert target_of("sip:agent@127.0.0.1:5060") == ("127.0.0.1", 5060)
    for uri in ("sips:agent@127.0.0.1:5061", "sip:agent@example.org", "sip:agent@127.0.0.1:5060;transport=tcp"):
        with pytest.raises(InvalidInputError):
            target_of(uri)


async def test_a_real_call_through_the_relay_loses_what_the_line_says_and_nothing_else(tmp_path: Path) -> None:
    clock = SystemClock()
    async with answering_worker(tmp_path) as uri:
        launch = Launch.load(None, "cpu", [f"data_dir={tmp_path}", "telephony.sip.codecs=pcma"])
        quality = LineQuality(loss=0.1, jitter_ms=10)
        async with (
            SipRelay(target_of(uri), clock, quality) as relay,
            SipDialer(launch, clock, target=uri, max_calls=1) as dialer,
        ):
            leg = await dialer.dial(f"sip:agent@{relay.address}")
            leg.play(clip(2000).at(8000).pcm)
            while leg.playing:
                await leg.progress()
            path = relay.calls[0]
            await leg.hangup()
            assert leg.ended == "local_hangup"
    assert len(relay.calls) == 1
    assert path.to_stack.passed + path.to_stack.lost > 90
    assert 0.02 < path.to_stack.lost / (path.to_stack.passed + path.to_stack.lost) < 0.25
    assert path.to_caller.lost == 0
    # The agent's greeting came through the relay, whole.
    assert leg.heard.samples > 8000
    assert leg.lost_packets == 0
