"""Calls over HTTP: list, look at, find by the peer's reference, hang up; and the latest stage times."""

from typing import Any

from aiohttp import web

from services.common.errors import InvalidInputError
from services.common.personal import Personal
from services.orchestrator.calls import CallHandle
from services.orchestrator.events import to_json
from services.orchestrator.web.context import call_of, context_of
from services.orchestrator.web.errors import HttpError
from services.records.entry import AuditEntry


def call_json(handle: CallHandle) -> dict[str, Any]:
    """A call without its events. Caller and callee are shown: only an operator or the caller reads this."""
    return {
        "call_id": handle.call_id,
        "transport": handle.info.transport,
        "peer_reference": handle.info.peer_reference,
        "caller": handle.info.caller.reveal(),
        "callee": handle.info.callee.reveal(),
        "started_at": handle.started_at.isoformat(),
        "started_ns": handle.started_ns,
        "ended": handle.ended,
    }


def reveal(value: Personal[str]) -> str:
    """Personal text as it is: the reader is the caller or an operator."""
    return value.reveal()


async def list_calls(request: web.Request) -> web.Response:
    """GET /api/calls: calls in progress first, then the last ended ones, each oldest first."""
    context = context_of(request)
    context.access.require_operator(request)
    handles = [*context.registry.live(), *context.registry.ended()]
    return web.json_response({"calls": [call_json(handle) for handle in handles]})


async def get_call(request: web.Request) -> web.Response:
    """GET /api/calls/{id}: the call with its events so far."""
    context_of(request).access.require_call(request, request.match_info["call_id"])
    handle = call_of(request)
    events = [to_json(event, reveal) for event in handle.events.snapshot()]
    return web.json_response({**call_json(handle), "events": events})


async def hang_up(request: web.Request) -> web.Response:
    """DELETE /api/calls/{id}: end the call; harmless when it is over. An operator's is audited before it is done."""
    context = context_of(request)
    actor = context.access.require_call(request, request.match_info["call_id"])
    handle = call_of(request)
    if actor == "operator" and not handle.ended:
        await context.audit.append(
            AuditEntry(
                actor=actor,
                action="call.hangup",
                at=context.clock.wall(),
                subject=handle.call_id,
                call_id=handle.call_id,
                detail={"via": "api"},
            )
        )
    handle.hangup("api")
    return web.json_response({"call_id": handle.call_id, "ended": handle.ended})


async def find_by_peer(request: web.Request) -> web.Response:
    """GET /api/calls/by-peer/{reference}: the call id for a SIP Call-ID or WebRTC session id."""
    context = context_of(request)
    context.access.require_operator(request)
    call_id = context.registry.find_by_peer(request.match_info["reference"])
    if call_id is None:
        raise HttpError(404, "no_such_call", "No call with that reference.")
    return web.json_response({"call_id": call_id})


async def list_stages(request: web.Request) -> web.Response:
    """GET /api/stages?since_ns=: the latest stage times of all calls."""
    context = context_of(request)
    context.access.require_operator(request)
    text = request.query.get("since_ns", "0")
    if not (text.isascii() and text.isdecimal() and len(text) < 20):
        raise InvalidInputError("since_ns", expected="a whole number of nanoseconds", got="something else")
    return web.json_response(context.registry.stages.to_json(int(text)))
