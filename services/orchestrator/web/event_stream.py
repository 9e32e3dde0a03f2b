"""GET /api/calls/{id}/events: the call's event log as a WebSocket, from the start, then live.

One JSON object per event. A reader that does not keep up is cut, by the log (too many events waiting) or here
(a message that cannot be written in time): a slow browser must never hold memory or a call.
"""

import asyncio
import contextlib
import json
import weakref
from collections import Counter

from aiohttp import WSCloseCode, web

from services.common.clock import Clock
from services.common.deadline import deadline
from services.common.log import get_logger
from services.orchestrator.calls import CallHandle
from services.orchestrator.event_log import SubscriberCut
from services.orchestrator.events import to_json
from services.orchestrator.web.calls import reveal
from services.orchestrator.web.context import call_of, context_of
from services.orchestrator.web.errors import HttpError

log = get_logger(__name__)

PING_S = 15.0
SEND_DEADLINE_S = 5.0
MAX_READERS = 8


class EventStreams:
    """All event WebSockets of the application, so that a drain can close them."""

    def __init__(self) -> None:
        self._open: weakref.WeakSet[web.WebSocketResponse] = weakref.WeakSet()
        self._readers: Counter[str] = Counter()

    async def handle(self, request: web.Request) -> web.WebSocketResponse:
        """Raises HttpError 401, 404, 429 (more than 8 readers of one call)."""
        context_of(request).access.require_call(request, request.match_info["call_id"])
        handle = call_of(request)
        if self._readers[handle.call_id] >= MAX_READERS:
            raise HttpError(429, "too_many_readers", f"At most {MAX_READERS} readers of one call.", retry_after_s=5)
        socket = web.WebSocketResponse(heartbeat=PING_S, compress=False, max_msg_size=1024, timeout=2.0)
        await socket.prepare(request)
        self._open.add(socket)
        self._readers[handle.call_id] += 1
        try:
            await _serve(socket, handle, context_of(request).clock)
        except TimeoutError:
            log.warning("slow event reader cut", call_id=handle.call_id)
            if request.transport is not None:
                request.transport.abort()
        except ConnectionResetError:
            log.debug("event reader went away", call_id=handle.call_id)
        finally:
            self._readers[handle.call_id] -= 1
            if not self._readers[handle.call_id]:
                del self._readers[handle.call_id]
        return socket

    async def close(self) -> None:
        """Say goodbye to every reader (each bounded by the close timeout)."""
        sockets = list(self._open)
        await asyncio.gather(*(socket.close(code=WSCloseCode.GOING_AWAY, message=b"drain") for socket in sockets))


STREAMS = web.AppKey("streams", EventStreams)


async def _serve(socket: web.WebSocketResponse, handle: CallHandle, clock: Clock) -> None:
    """Write until the log ends; stop as soon as the reader closes."""
    writer = asyncio.create_task(_write(socket, handle, clock), name=f"events {handle.call_id}")
    reader = asyncio.create_task(_read_until_closed(socket), name=f"events reader {handle.call_id}")
    try:
        await asyncio.wait({writer, reader}, return_when=asyncio.FIRST_COMPLETED)
        if writer.done():
            await writer
    finally:
        for task in (writer, reader):
            task.cancel()
        await asyncio.gather(writer, reader, return_exceptions=True)


async def _write(socket: web.WebSocketResponse, handle: CallHandle, clock: Clock) -> None:
    async with contextlib.aclosing(handle.events.subscribe()) as events:  # type: ignore[type-var]
        async for event in events:
            async with deadline(clock, SEND_DEADLINE_S):
                await socket.send_str(json.dumps(to_json(event, reveal)))
            if isinstance(event, SubscriberCut):
                await socket.close(code=WSCloseCode.TRY_AGAIN_LATER, message=b"too slow")
                return
    await socket.close(code=WSCloseCode.OK, message=b"call ended")


async def _read_until_closed(socket: web.WebSocketResponse) -> None:
    """Nothing is expected from the reader; reading answers its pings and sees it close."""
    async for _message in socket:
        pass
