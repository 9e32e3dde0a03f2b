"""Real SIP calls over bad lines: 3 % loss does not end a turn inside a sentence, a silent peer's turn ends."""

import argparse

import pytest

from benchmarks.loss import measure
from services.common.errors import MissingModelError


# Real time on shared cores: once more where other work took the machine meanwhile.
@pytest.mark.flaky(reruns=2)
@pytest.mark.slow
@pytest.mark.models
@pytest.mark.timeout(240)
async def test_three_percent_of_loss_cut_no_turn_and_a_peer_that_sends_no_silence_is_answered() -> None:
    only = "clean;loss 3 %;silence suppressed"
    args = argparse.Namespace(
        transport="sip", rounds=1, together=3, clips=4, only=only, asr="whisper-tiny.en", json=None
    )
    try:
        clean, lossy, silent = await measure(args)
    except MissingModelError as error:
        pytest.skip(str(error))
    assert lossy["lost_percent"] > 1
    assert lossy["without_an_answer"] == 0
    # Known gap: with silence suppressed the smallest model rejects one of these four sentences now and then.
    assert silent["without_an_answer"] <= clean["without_an_answer"] + 1
    for row in (lossy, silent):
        assert row["ended_inside_a_sentence"] <= clean["ended_inside_a_sentence"]
