"""MiniLM (int8 ONNX) on one thread: hidden states of a text. The llm service embeds with them, the asr service judges
with them whether an utterance could end there.
"""

from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from services.common.errors import MissingModelError

Floats = NDArray[np.float32]
MAX_TOKENS: Final = 64
WIDTH: Final = 384
_INPUTS: Final = {"input_ids", "attention_mask", "token_type_ids"}


class MiniLm:
    """all-MiniLM-L6-v2. Texts are run one at a time: int8 activations are scaled over a whole batch, so a text's states
    would depend on its company. Raises MissingModelError for a file of another make; `setting` is named as the remedy.
    """

    def __init__(self, directory: Path, setting: str) -> None:
        import onnxruntime as ort
        from tokenizers import Tokenizer

        self._tokenizer = Tokenizer.from_file(str(directory / "tokenizer.json"))
        self._tokenizer.no_padding()
        self._tokenizer.enable_truncation(MAX_TOKENS)
        options = ort.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        options.log_severity_level = 3
        self._session = ort.InferenceSession(str(directory / "model.onnx"), options, providers=["CPUExecutionProvider"])
        found = {item.name for item in self._session.get_inputs()}
        if found != _INPUTS:
            raise MissingModelError(
                f"model.onnx: expected the inputs {sorted(_INPUTS)}, found {sorted(found)}.",
                remedy=f"Run `trunkline models verify`, or name another model in {setting}.",
            )

    def states(self, text: str) -> Floats:
        """[T, 384], float32: of [CLS], the text's word pieces (its first 62) and [SEP], in this order."""
        ids = np.array([self._tokenizer.encode(text).ids], dtype=np.int64)
        feed = {"input_ids": ids, "attention_mask": np.ones_like(ids), "token_type_ids": np.zeros_like(ids)}
        states: Floats = self._session.run(None, feed)[0][0]
        return states
