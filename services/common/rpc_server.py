"""gRPC servers: standard health and reflection, keepalive, optional mTLS, typed errors, graceful drain.

Health is NOT_SERVING until `warm` has finished, so readiness means a model that has already answered once.
"""

import asyncio
import inspect
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, NoReturn

import grpc
import grpc.aio
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_health.v1.health import SERVICE_NAME as HEALTH_NAME
from grpc_health.v1.health import aio as health_aio
from grpc_reflection.v1alpha import reflection

from services.common.clock import Clock
from services.common.errors import DeadlineError, InvalidInputError, OverloadedError, TrunklineError, UnavailableError
from services.common.event_loop import calm_collector
from services.common.log import get_logger
from services.common.metrics import RPC_ACTIVE, RPC_SECONDS
from services.common.rpc_client import FIELD_TRAILER, RETRY_PUSHBACK
from services.common.rpc_input import checked, tolerant
from services.common.settings import RpcSettings, ServiceSettings
from services.common.tls import TlsFiles, server_credentials
from services.common.tracing import server_interceptors

log = get_logger(__name__)

SAID_EVERY_NS = 1_000_000_000
# A cancellation comes so soon behind the end of the requests: the network's time, whatever clock the service has.
GONE_S = 0.005


async def _nothing() -> None:
    """Default for services without warm-up or resources."""


@dataclass(frozen=True)
class GrpcService:
    """One service as a process runs it: how to register, warm and close it."""

    name: str
    full_names: Sequence[str]
    register: Callable[[grpc.aio.Server], None]
    warm: Callable[[], Awaitable[None]] = field(default=_nothing)
    close: Callable[[], Awaitable[None]] = field(default=_nothing)
    # Called when draining begins: take no new work, let what is under way finish.
    drain: Callable[[], None] = field(default=lambda: None)


async def abort(context: grpc.aio.ServicerContext[Any, Any], error: TrunklineError) -> NoReturn:
    """End the RPC with the error's status; overload carries the standard retry pushback, bad input its field."""
    trailers: list[tuple[str, str]] = []
    if isinstance(error, OverloadedError):
        trailers.append((RETRY_PUSHBACK, str(max(0, int(error.retry_after_s * 1000)))))
    if isinstance(error, InvalidInputError):
        trailers.append((FIELD_TRAILER, error.field))
    await context.abort(error.status, str(error), tuple(trailers))
    raise AssertionError("abort returns by raising")


class TypedErrors(grpc.aio.ServerInterceptor):
    """Turns a raised TrunklineError into its status, counts and times every RPC, hides internals of other errors."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        # When a refusal of a method with a status was last told of.
        self._told_ns: dict[tuple[str, str], int] = {}

    def _refused(self, method: str, error: TrunklineError) -> str:
        """Say so, once a second and kind of it; its status. Overload is daily bread and counted, not told."""
        code = error.status.name
        if not isinstance(error, OverloadedError | DeadlineError):
            now_ns = self._clock.now_ns()
            if now_ns - self._told_ns.get((method, code), -SAID_EVERY_NS) >= SAID_EVERY_NS:
                self._told_ns[method, code] = now_ns
                field = error.field if isinstance(error, InvalidInputError) else ""
                log.warning("rpc refused", method=method, code=code, error=type(error).__name__, field=field)
        return code

    async def intercept_service(self, continuation: Any, handler_call_details: Any) -> Any:
        handler = await continuation(handler_call_details)
        if handler is None:
            return None
        method = handler_call_details.method.rsplit("/", 1)[-1]
        if handler.response_streaming:
            wrap = self._stream(handler.unary_stream or handler.stream_stream, method)
            make = (
                grpc.stream_stream_rpc_method_handler
                if handler.request_streaming
                else grpc.unary_stream_rpc_method_handler
            )
        else:
            wrap = self._unary(handler.unary_unary or handler.stream_unary, method)
            make = (
                grpc.stream_unary_rpc_method_handler
                if handler.request_streaming
                else grpc.unary_unary_rpc_method_handler
            )
        return make(wrap, tolerant(handler.request_deserializer), handler.response_serializer)

    def _unary(self, inner: Any, method: str) -> Any:
        async def run(request: Any, context: Any) -> Any:
            with _Measured(self._clock, method) as measured:
                try:
                    return await inner(checked(request), context)
                except TrunklineError as error:
                    measured.code = self._refused(method, error)
                    await abort(context, error)

        return run

    def _stream(self, inner: Any, method: str) -> Any:
        async def run(request: Any, context: Any) -> AsyncIterator[Any]:
            with _Measured(self._clock, method) as measured:
                try:
                    answers = inner(checked(request), context)
                    if inspect.isawaitable(answers):
                        # Handlers of the health service write to the context themselves.
                        await answers
                        return
                    async for item in answers:
                        yield item
                except TrunklineError as error:
                    if isinstance(error, InvalidInputError):
                        # A client that goes away ends its requests first: an unfinished one is none of its faults.
                        await asyncio.sleep(GONE_S)
                    measured.code = self._refused(method, error)
                    await abort(context, error)

        return run


class _Measured:
    """Counts an RPC as active and records its time and code; an unexpected error is logged by type."""

    def __init__(self, clock: Clock, method: str) -> None:
        self.code = "OK"
        self._clock = clock
        self._method = method

    def __enter__(self) -> "_Measured":
        self._start_ns = self._clock.now_ns()
        RPC_ACTIVE.labels(method=self._method).inc()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _tb: object) -> None:
        RPC_ACTIVE.labels(method=self._method).dec()
        if kind is not None and self.code == "OK":
            self.code = "CANCELLED" if issubclass(kind, asyncio.CancelledError | GeneratorExit) else "UNKNOWN"
        if self.code == "UNKNOWN" and kind is not None and not issubclass(kind, grpc.aio.AbortError):
            log.error("rpc failed", method=self._method, error=kind.__name__, exc_info=error)
        RPC_SECONDS.labels(method=self._method, code=self.code).observe((self._clock.now_ns() - self._start_ns) / 1e9)


@dataclass
class RunningServer:
    """A started server. `port` is the bound one (for port 0)."""

    port: int
    _server: grpc.aio.Server
    _health: health_aio.HealthServicer
    _service: GrpcService

    async def set_serving(self, serving: bool) -> None:
        """Tell health watchers, for the service itself and for the empty name (the whole process)."""
        status = health_pb2.HealthCheckResponse.SERVING if serving else health_pb2.HealthCheckResponse.NOT_SERVING
        for name in ("", *self._service.full_names):
            await self._health.set(name, status)

    async def stop(self, grace_s: float = 0.0) -> None:
        """NOT_SERVING, let RPCs in progress finish for `grace_s`, then cancel them and free the service."""
        await self.set_serving(False)
        self._service.drain()
        await self._server.stop(grace_s)
        await self._service.close()


async def serve(
    service: GrpcService, settings: RpcSettings, clock: Clock, *, host: str, port: int, warm: bool = True
) -> RunningServer:
    """Start listening (health NOT_SERVING), warm, then SERVING. Raises UnavailableError when the port is taken."""
    server = grpc.aio.server(
        interceptors=[*server_interceptors(), TypedErrors(clock)],
        options=[
            ("grpc.keepalive_time_ms", settings.keepalive_ms),
            ("grpc.keepalive_permit_without_calls", 1),
            ("grpc.http2.min_ping_interval_without_data_ms", settings.keepalive_ms // 2),
            ("grpc.max_send_message_length", settings.max_message_bytes),
            ("grpc.max_receive_message_length", settings.max_message_bytes),
            ("grpc.so_reuseport", 0),
        ],
    )
    health = health_aio.HealthServicer()
    health_pb2_grpc.add_HealthServicer_to_server(health, server)
    service.register(server)
    reflection.enable_server_reflection([*service.full_names, HEALTH_NAME, reflection.SERVICE_NAME], server)
    bound = _bind(server, settings, clock, f"{host}:{port}")
    running = RunningServer(bound, server, health, service)
    await running.set_serving(False)
    await server.start()
    if warm:
        try:
            await service.warm()
        except BaseException:
            await running.stop()
            raise
        await running.set_serving(True)
    return running


def _bind(server: grpc.aio.Server, settings: RpcSettings, clock: Clock, address: str) -> int:
    try:
        if settings.tls.ca_file or settings.tls.cert_file or settings.tls.key_file:
            return server.add_secure_port(address, server_credentials(TlsFiles(settings.tls, clock)))
        return server.add_insecure_port(address)
    except RuntimeError as error:
        raise UnavailableError(
            f"Cannot listen on {address}: the address is in use or not of this machine.",
            remedy="Stop the other process or choose another port (setting <service>.port).",
        ) from error


async def run_service(service: GrpcService, rpc: RpcSettings, section: ServiceSettings, clock: Clock) -> None:
    """Serve until SIGTERM or SIGINT, then drain: the whole life of a model service's process."""
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for sig in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(sig, stopping.set)
    starting = asyncio.ensure_future(serve(service, rpc, clock, host=section.host, port=section.port))
    stop_wait = asyncio.ensure_future(stopping.wait())
    await asyncio.wait({starting, stop_wait}, return_when=asyncio.FIRST_COMPLETED)
    if not starting.done():
        # Stopped while warming: nothing is accepted yet, so there is nothing to drain.
        starting.cancel()
        await asyncio.wait({starting})
        return
    running = await starting
    calm_collector()
    log.info("service ready", address=f"{section.host}:{running.port}")
    await stop_wait
    log.info("service draining", grace_s=rpc.drain_s)
    await running.stop(rpc.drain_s)
    log.info("service stopped")
