"""What every handler needs, in one typed place of the aiohttp application."""

from dataclasses import dataclass

from aiohttp import web

from services.common.clock import Clock
from services.common.settings import Settings
from services.orchestrator.calls import CallHandle, CallRegistry
from services.orchestrator.media.webrtc_endpoint import WebRtcEndpoint
from services.orchestrator.web.auth import Access
from services.orchestrator.web.errors import HttpError
from services.records.audit_log import AuditSink


@dataclass(frozen=True, slots=True)
class Context:
    """Shared by all handlers of one application."""

    registry: CallRegistry
    settings: Settings
    clock: Clock
    access: Access
    webrtc: WebRtcEndpoint
    audit: AuditSink


CONTEXT = web.AppKey("context", Context)


def context_of(request: web.Request) -> Context:
    """The application's context."""
    return request.app[CONTEXT]


def call_of(request: web.Request) -> CallHandle:
    """The call named in the path. Raises HttpError 404."""
    handle = context_of(request).registry.get(request.match_info["call_id"])
    if handle is None:
        raise HttpError(404, "no_such_call", "No such call.", remedy="Ended calls are kept for the last 200.")
    return handle
