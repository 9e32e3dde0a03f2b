"""What waits for the client: bounded, audio dropped oldest first, events never dropped without ending the stream."""

import asyncio
from collections import Counter, deque
from typing import Final

import grpc

from services.common.errors import TrunklineError
from services.pb.trunkline.telephony.v1 import telephony_pb2 as pb
from services.telephony.metrics import RX_DROPPED

# Audio older than this is worth less than what comes after it.
MAX_AUDIO_MS: Final = 200
MAX_EVENTS: Final = 4096
_FRAME_MS: Final = 20


class ClientExistsError(TrunklineError):
    """The worker already has a client of this name."""

    status = grpc.StatusCode.ALREADY_EXISTS


class OutboxFullError(Exception):
    """The client takes no events any more."""


class Outbox:
    """Messages on their way to the client; one reader."""

    def __init__(self) -> None:
        self._messages: deque[pb.MediaResponse] = deque()
        self._events = 0
        self._ready = asyncio.Event()
        self._ended = False
        self.failed = False
        self.dropped_frames = 0

    def put(self, message: pb.MediaResponse) -> None:
        """Queue a message; drops the oldest audio of a leg that has more than MAX_AUDIO_MS waiting.

        Raises OutboxFullError when MAX_EVENTS events wait: the client is gone in all but name.
        """
        self._events += len(message.events)
        if self._events > MAX_EVENTS:
            raise OutboxFullError(f"{self._events} events wait")
        self._messages.append(message)
        if len(self._messages) > 1:
            self._bound(message)
        self._ready.set()

    @property
    def empty(self) -> bool:
        """Nothing waits."""
        return not self._messages

    def end(self) -> None:
        """No more is wanted: what waits is still taken, then None."""
        self._ended = True
        self._ready.set()

    def fail(self) -> None:
        """The client does not read: throw away what waits and end its stream."""
        self.failed = True
        self._messages.clear()
        self._events = 0
        self.end()

    async def take(self) -> pb.MediaResponse | None:
        """The oldest message; waits for one. None at the end."""
        while not self._messages:
            if self._ended:
                return None
            self._ready.clear()
            await self._ready.wait()
        message = self._messages.popleft()
        self._events -= len(message.events)
        return message

    def _bound(self, newest: pb.MediaResponse) -> None:
        limit = MAX_AUDIO_MS // _FRAME_MS
        waiting_of = Counter(frame.leg_id for message in self._messages for frame in message.frames)
        for leg_id in {frame.leg_id for frame in newest.frames if waiting_of[frame.leg_id] > limit}:
            waiting = [
                (message, frame) for message in self._messages for frame in message.frames if frame.leg_id == leg_id
            ]
            for message, frame in waiting[: max(0, len(waiting) - limit)]:
                if frame.pcm:
                    self.dropped_frames += 1
                    RX_DROPPED.inc(_FRAME_MS)
                message.frames.remove(frame)
        while self._messages and not self._messages[0].frames and not self._messages[0].events:
            self._messages.popleft()
