"""Which calls are being listened to: the recurrent state of each, and which frame of it comes next. Pure.

A call belongs to the stream it came on; the same call id on two streams is two calls. Rows of the arrays are
handed out and taken back; a row taken back while its frame is in the model is told by its generation, so that a
late result never lands in the next call.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from services.pb.trunkline.vad.v1 import vad_pb2

FRAME_SAMPLES = 512
FRAME_BYTES = 2 * FRAME_SAMPLES
# Samples of the frame before, which the model sees again in front of each frame (16 kHz).
CONTEXT_SAMPLES = 64
STATE_SHAPE = (2, 128)
MAX_CALL_ID_CHARS = 128
# With every row taken, a call that has sent nothing for this long gives its row away (its state starts anew).
IDLE_NS = 60 * 1_000_000_000

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Job:
    """A frame admitted to the model."""

    call_id: str
    seq: int
    row: int
    generation: int
    pcm: bytes
    # Audio was lost before this frame: what the model remembers no longer comes before it.
    reset: bool


@dataclass
class _Call:
    row: int
    next_seq: int
    used_ns: int


class Calls:
    """All calls of all streams: at most `max_calls`."""

    def __init__(self, max_calls: int) -> None:
        self._max_calls = max_calls
        self._calls: dict[tuple[int, str], _Call] = {}
        self._free = list(range(max_calls - 1, -1, -1))
        self._generation = np.zeros(max_calls, dtype=np.int64)
        self._state = np.zeros((max_calls, *STATE_SHAPE), dtype=np.float32)
        self._context = np.zeros((max_calls, CONTEXT_SAMPLES), dtype=np.float32)

    def __len__(self) -> int:
        return len(self._calls)

    def admit(self, stream: int, frame: vad_pb2.Frame, now_ns: int) -> Job | str:
        """The frame as a job, or the reason (what was expected, what came, what to do) why it cannot be one."""
        if not 0 < len(frame.call_id) <= MAX_CALL_ID_CHARS:
            return f"call_id: expected 1 to {MAX_CALL_ID_CHARS} characters, got {len(frame.call_id)}."
        if len(frame.pcm) != FRAME_BYTES:
            return (
                f"pcm: expected {FRAME_BYTES} bytes (512 samples of 16-bit PCM at 16 kHz), got {len(frame.pcm)}. "
                "Send 32 ms at a time."
            )
        call = self._calls.get((stream, frame.call_id)) or self._open(stream, frame, now_ns)
        if call is None:
            return (
                f"RESOURCE_EXHAUSTED: all {self._max_calls} calls of this VAD are taken. "
                "Raise vad.max_calls or add a VAD replica; close calls that ended (closed_call_ids)."
            )
        if frame.seq < call.next_seq:
            return f"seq: expected {call.next_seq}, got {frame.seq}: a repeat or a step back. Number frames upwards."
        reset = frame.seq > call.next_seq
        call.next_seq, call.used_ns = frame.seq + 1, now_ns
        return Job(frame.call_id, frame.seq, call.row, int(self._generation[call.row]), frame.pcm, reset)

    def gather(self, jobs: Sequence[Job]) -> tuple[Floats, Floats]:
        """Model input for jobs of different calls: audio [B, 64 + 512] in −1…1 and state [2, B, 128]."""
        rows = [job.row for job in jobs]
        lost = [job.row for job in jobs if job.reset]
        self._state[lost] = 0
        self._context[lost] = 0
        pcm = np.frombuffer(b"".join(job.pcm for job in jobs), dtype="<i2").reshape(len(jobs), FRAME_SAMPLES)
        audio = np.empty((len(jobs), CONTEXT_SAMPLES + FRAME_SAMPLES), dtype=np.float32)
        audio[:, :CONTEXT_SAMPLES] = self._context[rows]
        np.multiply(pcm, np.float32(1 / 32768), out=audio[:, CONTEXT_SAMPLES:])
        return audio, np.ascontiguousarray(self._state[rows].transpose(1, 0, 2))

    def scatter(self, jobs: Sequence[Job], audio: Floats, state: Floats) -> None:
        """Keep what the model returned, except for calls that ended while it ran."""
        for index, job in enumerate(jobs):
            if self._generation[job.row] == job.generation:
                self._state[job.row] = state[:, index]
                self._context[job.row] = audio[index, -CONTEXT_SAMPLES:]

    def close(self, stream: int, call_id: str) -> None:
        """The call hung up. Unknown ids are ignored: a call may end before its first frame."""
        call = self._calls.pop((stream, call_id), None)
        if call is not None:
            self._generation[call.row] += 1
            self._state[call.row] = 0
            self._context[call.row] = 0
            self._free.append(call.row)

    def close_stream(self, stream: int) -> None:
        """The client went away: all of its calls end."""
        for owner, call_id in [key for key in self._calls if key[0] == stream]:
            self.close(owner, call_id)

    def _open(self, stream: int, frame: vad_pb2.Frame, now_ns: int) -> _Call | None:
        if not self._free:
            self._evict_idle(now_ns)
        if not self._free:
            return None
        # A first frame above 0 is a call that goes on after this service (or the stream) was restarted.
        call = self._calls[(stream, frame.call_id)] = _Call(self._free.pop(), frame.seq, now_ns)
        return call

    def _evict_idle(self, now_ns: int) -> None:
        for (stream, call_id), call in list(self._calls.items()):
            if now_ns - call.used_ns > IDLE_NS:
                self.close(stream, call_id)
