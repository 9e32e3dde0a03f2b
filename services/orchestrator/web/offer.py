"""POST /api/webrtc/offer: a browser calls. Answers with SDP, the call's id and the token for its events."""

import json
from typing import Any

from aiohttp import web

from services.common.clock import Clock
from services.common.errors import InvalidInputError, TrunklineError
from services.orchestrator.web.context import Context, context_of
from services.orchestrator.web.errors import HttpError
from services.orchestrator.web.limits import check_rate, read_body
from services.orchestrator.web.rate_limit import RateLimiter


class OfferHandler:
    """Rate-limited by client address (None: whoever is in front of us does that); refuses before it allocates."""

    def __init__(self, limiter: RateLimiter | None) -> None:
        self._limiter = limiter

    async def handle(self, request: web.Request) -> web.Response:
        """503 with Retry-After when full, 429 when too fast, 400 naming the field when malformed."""
        context = context_of(request)
        if self._limiter is not None:
            check_rate(self._limiter, request.remote or "", context.clock.now_ns())
        body = await read_json_object(request, context.clock)
        context.registry.require_room()
        return await _call(context, body.get("sdp"), body.get("type"))


async def _call(context: Context, sdp: object, kind: object) -> web.Response:
    answered = await context.webrtc.accept(sdp, kind)
    try:
        handle = context.registry.start(answered.leg)
    except TrunklineError:
        answered.leg.reject(503)
        raise
    return web.json_response(
        {
            "sdp": answered.sdp,
            "type": answered.type,
            "call_id": handle.call_id,
            "token": context.access.issue(handle.call_id),
            "peer_reference": answered.leg.info.peer_reference,
        }
    )


async def read_json_object(request: web.Request, clock: Clock) -> dict[str, Any]:
    """The body as a JSON object. Raises InvalidInputError, or HttpError 408, 413, 415."""
    if request.content_type != "application/json":
        raise HttpError(415, "unsupported_media_type", "The body must be application/json.")
    raw = await read_body(request, clock)
    try:
        body = json.loads(raw)
    except (ValueError, RecursionError):
        raise InvalidInputError(
            "body", expected="JSON", got=f"{len(raw)} bytes that are none", remedy='Send {"sdp": …, "type": "offer"}.'
        ) from None
    if not isinstance(body, dict):
        raise InvalidInputError("body", expected="a JSON object", got=type(body).__name__)
    return body
