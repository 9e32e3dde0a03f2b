"""Which frame is taken, which is refused and why, and whose memory is whose: no model, no I/O."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from services.pb.trunkline.vad.v1 import vad_pb2
from services.vad.calls import CONTEXT_SAMPLES, FRAME_BYTES, IDLE_NS, Calls, Job

PCM = np.arange(512, dtype="<i2").tobytes()


def frame(call_id="a", seq=0, pcm=PCM):
    return vad_pb2.Frame(call_id=call_id, seq=seq, pcm=pcm)


def run(calls: Calls, job: Job, state_value: float) -> np.ndarray:
    """Put one job through a model that returns a constant state; gives the state the model was shown."""
    audio, state = calls.gather([job])
    calls.scatter([job], audio, np.full_like(state, state_value))
    return state


def test_a_call_remembers_state_and_the_last_64_samples_of_its_frame():
    calls = Calls(2)
    run(calls, calls.admit(1, frame(seq=0), 0), 0.5)
    audio, state = calls.gather([calls.admit(1, frame(seq=1), 0)])
    assert (state == 0.5).all()
    assert (audio[0, :CONTEXT_SAMPLES] * 32768 == np.arange(448, 512)).all()
    assert (audio[0, CONTEXT_SAMPLES:] * 32768 == np.arange(512)).all()


def test_a_gap_resets_the_state_and_only_from_the_frame_after_the_gap_on():
    calls = Calls(2)
    run(calls, calls.admit(1, frame(seq=0), 0), 0.5)
    before, after = calls.admit(1, frame(seq=1), 0), calls.admit(1, frame(seq=5), 0)
    assert (run(calls, before, 0.7) == 0.5).all()
    assert (run(calls, after, 0.9) == 0).all()


def test_a_repeat_and_a_step_back_are_refused_naming_the_expected_number():
    calls = Calls(2)
    for seq in (0, 1, 2):
        assert isinstance(calls.admit(1, frame(seq=seq), 0), Job)
    assert "expected 3, got 2" in calls.admit(1, frame(seq=2), 0)
    assert "expected 3, got 0" in calls.admit(1, frame(seq=0), 0)
    assert isinstance(calls.admit(1, frame(seq=3), 0), Job)


def test_a_frame_of_wrong_length_is_refused_and_leaves_the_call_as_it_was():
    calls = Calls(2)
    run(calls, calls.admit(1, frame(seq=0), 0), 0.5)
    assert "expected 1024 bytes" in calls.admit(1, frame(seq=1, pcm=PCM[:-2]), 0)
    assert (run(calls, calls.admit(1, frame(seq=1), 0), 0.6) == 0.5).all()


def test_a_call_that_goes_on_after_a_restart_may_start_above_zero():
    job = Calls(1).admit(1, frame(seq=77), 0)
    assert isinstance(job, Job)
    assert not job.reset


def test_too_many_calls_are_refused_with_what_to_do_and_a_hang_up_makes_room():
    calls = Calls(1)
    calls.admit(1, frame("a"), 0)
    assert "Raise vad.max_calls" in calls.admit(1, frame("b"), 0)
    calls.close(1, "a")
    assert isinstance(calls.admit(1, frame("b"), 0), Job)


def test_with_every_row_taken_a_call_silent_for_a_minute_gives_its_row_away():
    calls = Calls(1)
    calls.admit(1, frame("forgotten"), 0)
    assert isinstance(calls.admit(1, frame("b"), IDLE_NS + 1), Job)


def test_a_result_that_comes_after_the_hang_up_does_not_land_in_the_next_call():
    calls = Calls(1)
    late = calls.admit(1, frame("a"), 0)
    audio, state = calls.gather([late])
    calls.close(1, "a")
    new = calls.admit(1, frame("b"), 0)
    calls.scatter([late], audio, np.full_like(state, 0.9))
    assert (calls.gather([new])[1] == 0).all()


def test_one_call_id_on_two_streams_is_two_calls_and_closing_a_stream_frees_only_its_own():
    calls = Calls(4)
    for stream in (1, 2):
        calls.admit(stream, frame("a"), 0)
    calls.close_stream(1)
    assert len(calls) == 1
    assert "step back" in calls.admit(2, frame("a"), 0)


@given(st.lists(st.tuples(st.sampled_from("ab"), st.integers(0, 9), st.integers(0, FRAME_BYTES + 2)), max_size=60))
def test_whatever_a_client_sends_each_frame_is_a_job_or_a_reason_and_rows_never_leak(sent):
    calls = Calls(3)
    for call_id, seq, size in sent:
        answer = calls.admit(1, frame(call_id, seq, bytes(size)), 0)
        assert isinstance(answer, Job) or (answer.endswith(".") and "expected" in answer)
    calls.close_stream(1)
    assert len(calls) == 0
    assert all(isinstance(calls.admit(2, frame(str(n)), 0), Job) for n in range(3))
