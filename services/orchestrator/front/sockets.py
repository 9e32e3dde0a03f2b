"""A WebSocket passed through: what the worker writes reaches the reader as fast as the reader takes it.

The worker cuts a reader that is too slow; nothing gathers here, because one message is read only when the one before
it was written.
"""

import asyncio

import aiohttp
from aiohttp import web

from services.orchestrator.front.workers import headers_of
from services.orchestrator.web.errors import HttpError

PING_S = 15.0
CLOSE_S = 2.0
_REFUSALS = {
    401: ("unauthorized", "A valid token is needed."),
    404: ("no_such_call", "No such call."),
    429: ("too_many_readers", "Too many readers of one call."),
}


async def pass_socket(request: web.Request, session: aiohttp.ClientSession) -> web.WebSocketResponse:
    """Open the same path at the worker and join both. Raises HttpError with the worker's own refusal."""
    no_limit = aiohttp.ClientWSTimeout(ws_receive=None, ws_close=CLOSE_S)
    # Of a browser's handshake only who asks is passed on; the handshake with the worker is our own.
    headers = {name: value for name, value in headers_of(request).items() if name in ("Authorization", "Host")}
    try:
        upstream = await session.ws_connect(
            f"http://worker{request.path_qs}", headers=headers, timeout=no_limit, heartbeat=PING_S
        )
    except aiohttp.WSServerHandshakeError as error:
        code, message = _REFUSALS.get(error.status, ("worker_refused", "The call's worker refused."))
        raise HttpError(error.status, code, message) from None
    except (aiohttp.ClientError, TimeoutError):
        raise HttpError(503, "worker_lost", "The call's worker does not answer.", retry_after_s=2) from None
    socket = web.WebSocketResponse(heartbeat=PING_S, compress=False, max_msg_size=1024, timeout=CLOSE_S)
    try:
        await socket.prepare(request)
        await _join(upstream, socket)
    finally:
        await upstream.close()
    return socket


async def _join(upstream: aiohttp.ClientWebSocketResponse, socket: web.WebSocketResponse) -> None:
    """Until either side closes; the worker's close code is passed on."""
    down = asyncio.create_task(_down(upstream, socket), name="events down")
    away = asyncio.create_task(_until_closed(socket), name="events reader")
    try:
        await asyncio.wait({down, away}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in (down, away):
            task.cancel()
        await asyncio.gather(down, away, return_exceptions=True)
    if not socket.closed:
        # A worker that died says nothing: 1006 may not be sent, the reader is told to come again.
        code = upstream.close_code if upstream.close_code in (1000, 1001, 1013) else aiohttp.WSCloseCode.TRY_AGAIN_LATER
        await socket.close(code=code)


async def _down(upstream: aiohttp.ClientWebSocketResponse, socket: web.WebSocketResponse) -> None:
    async for message in upstream:
        if message.type is aiohttp.WSMsgType.TEXT:
            await socket.send_str(message.data)


async def _until_closed(socket: web.WebSocketResponse) -> None:
    """Nothing is expected from the reader; reading answers its pings and sees it close."""
    async for _message in socket:
        pass
