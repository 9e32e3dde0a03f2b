"""Sentence embeddings on one thread (MiniLM, int8 ONNX): the cheap second opinion on what a caller wants.

Texts are run one at a time: int8 activations are scaled over a whole batch, so a text's vector would depend on its
company; and a caller's one text waits for one text of a long list at most (about 7 ms), not for all of it.
"""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final, Protocol

import numpy as np

from services.common.errors import MissingModelError, OverloadedError
from services.common.models import ModelStore
from services.common.settings import Settings
from services.minilm import Floats, MiniLm

WHAT: Final = "The embedder"
RETRY_S: Final = 0.2


class Model(Protocol):
    """Text to a vector of unit length."""

    def embed(self, text: str) -> Floats:
        """[D], float32."""
        ...


class OnnxModel:
    """Mean of the last hidden states over the tokens, normalised, as all-MiniLM-L6-v2 was trained."""

    def __init__(self, directory: Path) -> None:
        self._model = MiniLm(directory, "llm.embedder")

    def embed(self, text: str) -> Floats:
        """[384]."""
        mean = self._model.states(text).mean(axis=0)
        return np.asarray(mean / max(float(np.linalg.norm(mean)), 1e-12), dtype=np.float32)


class Embedder:
    """One model, one thread, a bounded number of requests. `model`: another than the one settings name (tests)."""

    def __init__(self, settings: Settings, model: Model | None = None) -> None:
        self._settings = settings
        self._model = model
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="embed")
        self._waiting = 0

    @property
    def name(self) -> str:
        """The model's name in the manifest; empty where there is none."""
        return self._settings.llm.embedder

    async def start(self) -> None:
        """Load now. Beside the scripted engine nothing is loaded before it is asked for: it starts without weights."""
        if self.name and self._settings.llm.engine != "scripted":
            await asyncio.get_running_loop().run_in_executor(self._thread, self._embed, "warm")

    async def close(self) -> None:
        """Wait for the text in work."""
        await asyncio.to_thread(self._thread.shutdown, cancel_futures=True)

    async def embed(self, texts: list[str]) -> list[Floats]:
        """A vector for each. Raises MissingModelError, OverloadedError; cancelled between two texts."""
        if not self.name:
            raise MissingModelError("This service has no embedder.", remedy="Name one in llm.embedder.")
        if self._waiting >= self._settings.llm.max_queue:
            raise OverloadedError(WHAT, retry_after_s=RETRY_S)
        loop = asyncio.get_running_loop()
        self._waiting += 1
        try:
            return [await loop.run_in_executor(self._thread, self._embed, text) for text in texts]
        finally:
            self._waiting -= 1

    def _embed(self, text: str) -> Floats:
        if self._model is None:
            self._model = OnnxModel(ModelStore(self._settings.models).path(self.name))
        return self._model.embed(text)
