"""One run for all that waits; order within a call; a failing model fails its messages only. A model of our own."""

import asyncio
import threading

import numpy as np
import pytest

from services.common.clock import SystemClock
from services.common.errors import TrunklineError
from services.pb.trunkline.vad.v1 import vad_pb2
from services.vad.batcher import Batcher
from services.vad.calls import FRAME_BYTES, Calls


class Counting:
    """Returns 1, 2, 3… per call (kept in its state) and notes the batch sizes; can be held and made to fail."""

    name, version, inline_frames = "counting", "1", 0

    def __init__(self):
        self.batches = []
        self.gate = threading.Event()
        self.gate.set()
        self.fail = False
        self.threads = set()

    def infer(self, audio, state):
        self.threads.add(threading.get_ident())
        self.gate.wait(5)
        if self.fail:
            raise ValueError("broken")
        self.batches.append(len(audio))
        state = state + 1
        return state[0, :, 0], state


class Lab:
    def __init__(self):
        self.engine = Counting()
        self.calls = Calls(8)
        self.batcher = Batcher(self.engine, self.calls, SystemClock())

    async def send(self, stream, *frames):
        jobs = [self.calls.admit(stream, vad_pb2.Frame(call_id=c, seq=s, pcm=bytes(FRAME_BYTES)), 0) for c, s in frames]
        return (await self.batcher.detect(jobs)).probabilities


@pytest.fixture
async def lab():
    lab = Lab()
    lab.batcher.start()
    yield lab
    lab.engine.gate.set()
    await lab.batcher.close()


async def test_one_message_with_frames_of_many_calls_is_one_run(lab):
    assert await lab.send(1, ("a", 0), ("b", 0), ("c", 0)) == [1, 1, 1]
    assert lab.engine.batches == [3]


async def test_frames_of_one_call_run_in_order_one_per_run(lab):
    assert await lab.send(1, ("a", 0), ("a", 1), ("b", 0), ("a", 2)) == [1, 2, 1, 3]
    assert lab.engine.batches == [2, 1, 1]


async def test_messages_of_several_clients_that_wait_share_the_next_run(lab):
    lab.engine.gate.clear()
    first = asyncio.ensure_future(lab.send(1, ("a", 0)))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    others = [asyncio.ensure_future(lab.send(stream, ("a", 0), ("b", 0))) for stream in (2, 3)]
    await asyncio.sleep(0)
    lab.engine.gate.set()
    await asyncio.gather(first, *others)
    assert lab.engine.batches == [1, 4]


async def test_a_backlog_of_one_client_delays_another_by_one_run_only(lab):
    lab.engine.gate.clear()
    backlog = asyncio.ensure_future(lab.send(1, *(("a", seq) for seq in range(50))))
    await asyncio.sleep(0)
    other = asyncio.ensure_future(lab.send(2, ("b", 0)))
    await asyncio.sleep(0)
    lab.engine.gate.set()
    await other
    assert len(lab.engine.batches) <= 3
    await backlog


async def test_a_cancelled_client_leaves_nothing_waiting(lab):
    lab.engine.gate.clear()
    gone = asyncio.ensure_future(lab.send(1, *(("a", seq) for seq in range(20))))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    gone.cancel()
    await asyncio.gather(gone, return_exceptions=True)
    lab.calls.close_stream(1)
    lab.engine.gate.set()
    assert await lab.send(2, ("b", 0)) == [1]
    assert len(lab.engine.batches) <= 2


async def test_a_small_batch_runs_on_the_event_loop_with_the_same_result_and_the_same_failure(lab):
    lab.engine.inline_frames = 2
    lab.engine.threads.clear()
    assert await lab.send(1, ("a", 0), ("b", 0)) == [1, 1]
    assert lab.engine.threads == {threading.get_ident()}
    assert await lab.send(1, ("a", 1), ("b", 1), ("c", 0)) == [2, 2, 1]
    assert len(lab.engine.threads) == 2
    lab.engine.fail = True
    with pytest.raises(TrunklineError, match="ValueError"):
        await lab.send(1, ("a", 2))


async def test_a_model_that_fails_ends_its_messages_with_a_typed_error_and_the_next_is_served(lab):
    lab.engine.fail = True
    with pytest.raises(TrunklineError, match="ValueError"):
        await lab.send(1, ("a", 0))
    lab.engine.fail = False
    assert await lab.send(1, ("a", 1)) == [1]


async def test_a_message_without_usable_frames_is_answered_at_once(lab):
    assert await lab.send(1) == []
    assert np.sum(lab.engine.batches) == 0
