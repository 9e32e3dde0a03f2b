"""The front's routes: where each request goes, and what is done with the answers."""

from collections.abc import Sequence
from typing import Final

from aiohttp import web
from prometheus_client import Counter

from services.common.clock import Clock
from services.common.log import get_logger
from services.common.settings import Settings
from services.orchestrator.front.choice import by_preference, merged_calls, merged_samples
from services.orchestrator.front.sockets import pass_socket
from services.orchestrator.front.workers import Answer, Workers
from services.orchestrator.node import worker_of
from services.orchestrator.web.errors import HttpError, json_error, typed_errors
from services.orchestrator.web.limits import MAX_BODY_BYTES, check_rate, read_body
from services.orchestrator.web.pages import add_pages, load_assets
from services.orchestrator.web.rate_limit import RateLimiter
from services.orchestrator.web.security import add_headers, same_origin

log = get_logger(__name__)

OFFERS: Final = Counter("trunkline_front_offers", "Offers of browsers by outcome.", ["outcome"])


class Front:
    """Handlers over the workers."""

    def __init__(self, workers: Workers, settings: Settings, clock: Clock) -> None:
        limits = settings.orchestrator.webrtc
        self._workers = workers
        self._limiter = RateLimiter(limits.offers_per_s, limits.offers_burst)
        self._clock = clock

    async def offer(self, request: web.Request) -> web.Response:
        """POST /api/webrtc/offer: the worker with the least calls answers; one that refuses passes it on."""
        check_rate(self._limiter, request.remote or "", self._clock.now_ns())
        body = await read_body(request, self._clock)
        last: Answer | None = None
        for worker in by_preference(await self._workers.states()):
            answer = await self._workers.ask(worker, request, body)
            if answer.status not in (0, 503):
                OFFERS.labels(outcome="taken" if answer.status == 200 else "bad").inc()
                return answer.response()
            last = answer if answer.status else last
        OFFERS.labels(outcome="refused").inc()
        if last is not None:
            return last.response()
        return json_error(503, "not_ready", "No worker takes calls.", "Wait, or see /readyz.", retry_after_s=2)

    async def one_call(self, request: web.Request) -> web.Response:
        """GET and DELETE /api/calls/{id}."""
        answer = await self._workers.ask(self._owner(request), request)
        if not answer.status:
            raise HttpError(503, "worker_lost", "The call's worker does not answer.", retry_after_s=2)
        return answer.response()

    async def events(self, request: web.Request) -> web.StreamResponse:
        """GET /api/calls/{id}/events: the WebSocket is passed through."""
        session = self._workers.session(self._owner(request))
        assert session is not None  # _owner looked
        return await pass_socket(request, session)

    async def by_peer(self, request: web.Request) -> web.Response:
        """GET /api/calls/by-peer/{reference}."""
        return _first(await self._workers.ask_all(request), best=(200, 404, 401)).response()

    async def calls(self, request: web.Request) -> web.Response:
        """GET /api/calls."""
        return await self._merged(request, "calls")

    async def stages(self, request: web.Request) -> web.Response:
        """GET /api/stages?since_ns=."""
        return await self._merged(request, "samples")

    async def any_worker(self, request: web.Request) -> web.Response:
        """What every worker answers alike (/api/about, whatever lies in the database): the first that is there."""
        body = await read_body(request, self._clock)
        for worker in self._workers.numbers:
            answer = await self._workers.ask(worker, request, body)
            # An answer that was lost may have been carried out: only a look-up is asked again.
            if answer.status or request.method != "GET":
                return answer.response() if answer.status else _lost()
        raise HttpError(503, "not_ready", "No worker answers.", retry_after_s=2)

    async def healthz(self, _request: web.Request) -> web.Response:
        """GET /healthz: the front itself answers."""
        return web.json_response({"status": "ok"})

    async def readyz(self, _request: web.Request) -> web.Response:
        """GET /readyz: ready while one worker is; each is named."""
        states = await self._workers.states()
        shown = [state.to_json() for state in states]
        if any(state.ready for state in states):
            return web.json_response({"status": "ready", "workers": shown})
        reasons = "; ".join(f"worker {state.worker}: {state.reason}" for state in states)
        return json_error(503, "not_ready", f"Not ready: {reasons}", "Wait, or see the log.", retry_after_s=2)

    async def _merged(self, request: web.Request, what: str) -> web.Response:
        answers = await self._workers.ask_all(request)
        good = [answer.json for answer in answers if answer.status == 200]
        if not good:
            return _first(answers, best=(400, 401)).response()
        merge = merged_calls if what == "calls" else merged_samples
        missing = [answer.worker for answer in answers if answer.status != 200]
        return web.json_response({what: merge(good), **({"missing": missing} if missing else {})})

    def _owner(self, request: web.Request) -> int:
        worker = worker_of(request.match_info["call_id"])
        if worker is None or worker not in self._workers.numbers:
            raise HttpError(404, "no_such_call", "No such call.")
        return worker


def _lost() -> web.Response:
    return json_error(503, "worker_lost", "The worker did not answer.", "Look whether it was done.", retry_after_s=2)


def _first(answers: Sequence[Answer], best: tuple[int, ...]) -> Answer:
    """The answer whose status comes first in `best`, else any. Raises HttpError 503 when there is none."""
    found = [answer for answer in answers if answer.status]
    if not found:
        raise HttpError(503, "not_ready", "No worker answers.", retry_after_s=2)
    return min(found, key=lambda answer: best.index(answer.status) if answer.status in best else len(best))


def create_front(workers: Workers, settings: Settings, clock: Clock) -> web.Application:
    """The application; page, headers and the check of origins are the same as a single orchestrator's."""
    app = web.Application(middlewares=[typed_errors, same_origin], client_max_size=MAX_BODY_BYTES)
    app.on_response_prepare.append(add_headers)
    front = Front(workers, settings, clock)
    app.router.add_post("/api/webrtc/offer", front.offer)
    app.router.add_get("/api/calls", front.calls)
    app.router.add_get("/api/calls/by-peer/{reference}", front.by_peer)
    app.router.add_get("/api/calls/{call_id}", front.one_call)
    app.router.add_delete("/api/calls/{call_id}", front.one_call)
    app.router.add_get("/api/calls/{call_id}/events", front.events)
    app.router.add_get("/api/stages", front.stages)
    app.router.add_route("*", "/api/{rest:.*}", front.any_worker)
    app.router.add_get("/healthz", front.healthz)
    app.router.add_get("/readyz", front.readyz)
    add_pages(app, load_assets())
    return app
