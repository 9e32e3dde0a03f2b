"""Sentence embeddings, within a deadline: a second opinion that is late or missing is none, never a failed turn."""

from collections.abc import Sequence
from typing import Final

import grpc.aio
import numpy as np
from numpy.typing import NDArray

from services.common.errors import TrunklineError, UnavailableError
from services.common.log import get_logger
from services.common.rpc_client import from_rpc_error
from services.pb.trunkline.llm.v1 import llm_pb2 as pb
from services.pb.trunkline.llm.v1 import llm_pb2_grpc as rpc

log = get_logger(__name__)
Floats = NDArray[np.float32]
# About 7 ms of computing; the rest is for a machine that is busy. The model's own first token takes longer.
OPINION_DEADLINE_S: Final = 0.25
# A bundle's examples, once when it is loaded.
EXAMPLES_DEADLINE_S: Final = 10.0
BATCH: Final = 64


class EmbedClient:
    """Shared by all calls."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._stub = rpc.LlmServiceStub(channel)

    async def examples(self, texts: Sequence[str]) -> Floats:
        """[len(texts), D], each of unit length. Raises TrunklineError."""
        found: list[Floats] = []
        for start in range(0, len(texts), BATCH):
            found.append(await self._embed("", texts[start : start + BATCH], EXAMPLES_DEADLINE_S))
        return np.concatenate(found)

    async def opinion(self, call_id: str, text: str) -> Floats | None:
        """[D], of unit length; None when there is none in time (logged with the error's kind, never the words)."""
        try:
            [vector] = await self._embed(call_id, [text], OPINION_DEADLINE_S)
        except TrunklineError as error:
            log.warning("no second opinion", error=type(error).__name__)
            return None
        return np.asarray(vector, dtype=np.float32)

    async def _embed(self, call_id: str, texts: Sequence[str], deadline_s: float) -> Floats:
        try:
            answer = await self._stub.Embed(pb.EmbedRequest(call_id=call_id, texts=texts), timeout=deadline_s)
        except grpc.aio.AioRpcError as error:
            raise from_rpc_error(error) from error
        if len(answer.vectors) != len(texts):
            raise UnavailableError(f"The embedder answered {len(answer.vectors)} vectors to {len(texts)} texts.")
        return np.array([vector.values for vector in answer.vectors], dtype=np.float32)
