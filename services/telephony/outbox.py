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
        # Frames of each leg that wait; known while more than one message does.
        self._waiting: Counter[int] | None = None
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
        self._waiting = None
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
        if len(self._messages) <= 1:
            self._waiting = None
        else:
            for frame in message.frames:
                self._forget(frame)
        return message

    def _bound(self, newest: pb.MediaResponse) -> None:
        """Counts only what came and went, so that a client that is late costs no more the later it is."""
        if self._waiting is None:
            self._waiting = Counter(frame.leg_id for message in self._messages for frame in message.frames)
        else:
            self._waiting.update(frame.leg_id for frame in newest.frames)
        limit, waiting = MAX_AUDIO_MS // _FRAME_MS, self._waiting
        over = {leg_id: waiting[leg_id] - limit for frame in newest.frames if waiting[leg_id := frame.leg_id] > limit}
        if over:
            self._drop(over)

    def _drop(self, over: dict[int, int]) -> None:
        """Take so many frames of each leg away, oldest first."""
        for message in self._messages:
            old = []
            for place, frame in enumerate(message.frames):
                if over.get(frame.leg_id):
                    over[frame.leg_id] -= 1
                    old.append(place)
                    self._forget(frame)
                    if frame.pcm:
                        self.dropped_frames += 1
                        RX_DROPPED.inc(_FRAME_MS)
            for place in reversed(old):
                del message.frames[place]
            if not any(over.values()):
                break
        while self._messages and not self._messages[0].frames and not self._messages[0].events:
            self._messages.popleft()

    def _forget(self, frame: pb.LegFrame) -> None:
        if self._waiting is not None:
            self._waiting[frame.leg_id] -= 1
