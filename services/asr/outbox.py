"""Answers on their way to one client: bounded, and what is superseded before it was sent is not sent."""

import asyncio
from collections.abc import AsyncIterator

from services.common.errors import OverloadedError, TrunklineError
from services.pb.trunkline.asr.v1 import asr_pb2 as pb

MAX_UNSENT = 64


class Outbox:
    """An async iterator of responses. A client that does not read ends with RESOURCE_EXHAUSTED, not with our memory."""

    def __init__(self) -> None:
        self._unsent: dict[tuple[str, int], pb.RecognizeResponse] = {}
        self._changed = asyncio.Event()
        self._closed = False
        self._error: TrunklineError | None = None
        self._count = 0

    def put(self, response: pb.RecognizeResponse) -> None:
        """Add an answer. A newer partial or provisional final replaces the unsent one of its utterance."""
        kind = response.WhichOneof("payload")
        if kind == "partial":
            key = ("preliminary", response.partial.utterance_id)
        elif kind == "final":
            preliminary = ("preliminary", response.final.utterance_id)
            self._unsent.pop(preliminary, None)
            key = preliminary if response.final.provisional else ("final", response.final.utterance_id)
        else:
            self._count += 1
            key = ("error", self._count)
        self._unsent.pop(key, None)
        self._unsent[key] = response
        if len(self._unsent) > MAX_UNSENT:
            self.fail(OverloadedError("The client's reading of answers", retry_after_s=1.0))
        self._changed.set()

    def close(self) -> None:
        """No more answers; those that are here are still sent."""
        self._closed = True
        self._changed.set()

    def fail(self, error: TrunklineError) -> None:
        """End the stream with an error after nothing more."""
        self._error = error
        self.close()

    async def __aiter__(self) -> AsyncIterator[pb.RecognizeResponse]:
        while True:
            if self._error is not None:
                raise self._error
            if self._unsent:
                yield self._unsent.pop(next(iter(self._unsent)))
                continue
            if self._closed:
                return
            self._changed.clear()
            await self._changed.wait()
