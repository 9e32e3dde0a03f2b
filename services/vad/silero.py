"""Silero VAD v6 on onnxruntime: batched over calls, one thread, no spinning."""

from pathlib import Path

import numpy as np
import onnxruntime as ort

from services.common.errors import MissingModelError
from services.vad.calls import Floats


class SileroEngine:
    """The 16 kHz half of the model. A row of a batch gives bit for bit what it gives alone."""

    name = "onnxruntime"
    version = ort.__version__
    # Under 1 ms of compute.
    inline_frames = 8

    def __init__(self, path: Path, threads: int) -> None:
        self._session = open_session(path, threads)
        expect_inputs(path, self._session, {"input", "state", "sr"})
        self._rate = np.array(16_000, dtype=np.int64)

    def infer(self, audio: Floats, state: Floats) -> tuple[Floats, Floats]:
        """[B, 576] (64 samples of context, 512 new) and [2, B, 128] → probability [B] and the new state."""
        probability, new_state = self._session.run(None, {"input": audio, "state": state, "sr": self._rate})
        return probability[:, 0], new_state


def open_session(path: Path, threads: int) -> ort.InferenceSession:
    """A session that computes on `threads` threads and leaves the cores alone between runs."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.execution_mode = ort.ExecutionMode.ORT_SEQUENTIAL
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    # The model's exporter left unused initialisers behind; onnxruntime warns of each at every start.
    options.log_severity_level = 3
    return ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def expect_inputs(path: Path, session: ort.InferenceSession, names: set[str]) -> None:
    """Raises MissingModelError when the file is another model than the one this code feeds."""
    found = {item.name for item in session.get_inputs()}
    if found != names:
        raise MissingModelError(
            f"{path.name}: expected the inputs {sorted(names)}, found {sorted(found)}.",
            remedy="Run `trunkline models verify`.",
        )
