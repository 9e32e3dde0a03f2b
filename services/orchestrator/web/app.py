"""The aiohttp application: routes, middlewares, and what ends with it."""

from aiohttp import web

from services.common.clock import Clock
from services.common.settings import Settings
from services.orchestrator.audit_door import NoAudit
from services.orchestrator.calls import CallRegistry
from services.orchestrator.media.webrtc_endpoint import WebRtcEndpoint
from services.orchestrator.web import calls
from services.orchestrator.web.about import AboutHandler, AboutSource, healthz, readyz
from services.orchestrator.web.auth import Access
from services.orchestrator.web.context import CONTEXT, Context
from services.orchestrator.web.errors import typed_errors
from services.orchestrator.web.event_stream import STREAMS, EventStreams
from services.orchestrator.web.limits import MAX_BODY_BYTES
from services.orchestrator.web.offer import OfferHandler
from services.orchestrator.web.pages import add_pages, load_assets
from services.orchestrator.web.rate_limit import RateLimiter
from services.orchestrator.web.security import add_headers, same_origin
from services.records.audit_log import AuditSink


def create_app(
    registry: CallRegistry,
    settings: Settings,
    about: AboutSource,
    clock: Clock,
    operator_token: str,
    audit: AuditSink | None = None,
) -> web.Application:
    """The HTTP API and the page over `registry`.

    What an operator does is put into `audit` before it is done. Cleaning the application up ends all browser legs and
    event streams; draining calls first is the registry's part.
    Raises SettingsError when the TURN password cannot be read.
    """
    app = web.Application(middlewares=[typed_errors, same_origin], client_max_size=MAX_BODY_BYTES)
    webrtc = WebRtcEndpoint(settings.orchestrator.webrtc, settings.orchestrator.committed_ms, clock)
    access = Access(operator_token, lambda call_id: registry.get(call_id) is not None)
    app[CONTEXT] = Context(registry, settings, clock, access, webrtc, audit or NoAudit())
    app.on_response_prepare.append(add_headers)

    limits = settings.orchestrator.webrtc
    # Behind the front every request comes from the front, which counts by the caller's own address.
    limiter = None if settings.orchestrator.worker else RateLimiter(limits.offers_per_s, limits.offers_burst)
    streams = app[STREAMS] = EventStreams()
    about_handler = AboutHandler(about, clock)
    offers = OfferHandler(limiter)
    app.router.add_post("/api/webrtc/offer", offers.handle)
    app.router.add_get("/api/calls", calls.list_calls)
    app.router.add_get("/api/calls/by-peer/{reference}", calls.find_by_peer)
    app.router.add_get("/api/calls/{call_id}", calls.get_call)
    app.router.add_delete("/api/calls/{call_id}", calls.hang_up)
    app.router.add_get("/api/calls/{call_id}/events", streams.handle)
    app.router.add_get("/api/stages", calls.list_stages)
    app.router.add_get("/api/about", about_handler.full)
    app.router.add_get("/api/about/public", about_handler.public)
    app.router.add_get("/healthz", healthz)
    app.router.add_get("/readyz", readyz)
    add_pages(app, load_assets())

    async def shut_down(_app: web.Application) -> None:
        await webrtc.close()
        await streams.close()

    app.on_shutdown.append(shut_down)
    return app
