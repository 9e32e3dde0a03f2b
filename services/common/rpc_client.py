"""gRPC channels: keepalive, retry of idempotent calls only, mTLS with rotation, client-side load balancing."""

import json
from collections.abc import Callable, Sequence
from typing import Any, Self

import grpc
import grpc.aio

from services.common.clock import Clock, SystemClock
from services.common.errors import (
    DeadlineError,
    InvalidInputError,
    MissingModelError,
    OverloadedError,
    TrunklineError,
    UnavailableError,
)
from services.common.settings import RpcSettings
from services.common.tls import TlsFiles, channel_credentials
from services.common.tracing import client_interceptors

IDEMPOTENT = (
    "trunkline.vad.v1.VadService/PredictTurn",
    "trunkline.vad.v1.VadService/Describe",
    "trunkline.asr.v1.AsrService/Describe",
    "trunkline.asr.v1.AsrService/Load",
    "trunkline.llm.v1.LlmService/Warm",
    "trunkline.llm.v1.LlmService/Embed",
    "trunkline.llm.v1.LlmService/Describe",
    "trunkline.llm.v1.LlmService/Load",
    "trunkline.tts.v1.TtsService/ListVoices",
    "trunkline.tts.v1.TtsService/Describe",
    "trunkline.tts.v1.TtsService/Load",
    "trunkline.telephony.v1.TelephonyService/Describe",
)
RETRY_PUSHBACK = "grpc-retry-pushback-ms"
FIELD_TRAILER = "trunkline-field"
# What grpc.aio says when the server ends a stream before the client has sent all: the real status is lost.
REFUSED_WHILE_WRITING = "Internal error from Core"


def channel_options(settings: RpcSettings, idempotent: Sequence[str] = IDEMPOTENT) -> list[tuple[str, Any]]:
    """Options of a channel; the service config retries UNAVAILABLE on the named methods, and only there."""
    names = [dict(zip(("service", "method"), method.split("/"), strict=True)) for method in idempotent]
    retry = {
        "name": names,
        "retryPolicy": {
            "maxAttempts": 3,
            "initialBackoff": "0.05s",
            "maxBackoff": "0.5s",
            "backoffMultiplier": 2,
            "retryableStatusCodes": ["UNAVAILABLE"],
        },
    }
    config = {"loadBalancingConfig": [{"round_robin": {}}], "methodConfig": [retry] if names else []}
    return [
        ("grpc.keepalive_time_ms", settings.keepalive_ms),
        ("grpc.keepalive_timeout_ms", settings.keepalive_ms // 2),
        ("grpc.max_send_message_length", settings.max_message_bytes),
        ("grpc.max_receive_message_length", settings.max_message_bytes),
        # A restarted service must be found again within a second, not after a two-minute backoff.
        ("grpc.initial_reconnect_backoff_ms", 100),
        ("grpc.min_reconnect_backoff_ms", 100),
        ("grpc.max_reconnect_backoff_ms", 1000),
        ("grpc.enable_retries", 1),
        ("grpc.service_config", json.dumps(config)),
    ]


def open_channel(
    target: str, settings: RpcSettings, idempotent: Sequence[str] = IDEMPOTENT, clock: Clock | None = None
) -> grpc.aio.Channel:
    """A channel to `target`; connects lazily. With TLS files set, a rotated certificate is used by new RPCs."""
    options = channel_options(settings, idempotent)
    interceptors = list(client_interceptors())
    if settings.tls.ca_file is None and settings.tls.cert_file is None and settings.tls.key_file is None:
        return grpc.aio.insecure_channel(target, options=options, interceptors=interceptors)
    files = TlsFiles(settings.tls, clock or SystemClock())

    def build() -> grpc.aio.Channel:
        return grpc.aio.secure_channel(target, channel_credentials(files), options=options, interceptors=interceptors)

    return _RotatingChannel(build, files)


class _RotatingChannel(grpc.aio.Channel):
    """Opens a new inner channel after the TLS files changed; RPCs in progress end on the old one."""

    def __init__(self, build: Callable[[], grpc.aio.Channel], files: TlsFiles) -> None:
        self._build = build
        self._files = files
        self._inner = build()
        self._old: list[grpc.aio.Channel] = []

    def _current(self) -> grpc.aio.Channel:
        if self._files.changed():
            self._old.append(self._inner)
            self._inner = self._build()
        return self._inner

    def _method(self, kind: str, *args: Any, **kwargs: Any) -> Any:
        def call(*call_args: Any, **call_kwargs: Any) -> Any:
            return getattr(self._current(), kind)(*args, **kwargs)(*call_args, **call_kwargs)

        return call

    def unary_unary(self, *args: Any, **kwargs: Any) -> Any:
        return self._method("unary_unary", *args, **kwargs)

    def unary_stream(self, *args: Any, **kwargs: Any) -> Any:
        return self._method("unary_stream", *args, **kwargs)

    def stream_unary(self, *args: Any, **kwargs: Any) -> Any:
        return self._method("stream_unary", *args, **kwargs)

    def stream_stream(self, *args: Any, **kwargs: Any) -> Any:
        return self._method("stream_stream", *args, **kwargs)

    async def close(self, grace: float | None = None) -> None:
        for channel in (*self._old, self._inner):
            await channel.close(grace)

    def get_state(self, try_to_connect: bool = False) -> grpc.ChannelConnectivity:
        return self._current().get_state(try_to_connect)

    async def wait_for_state_change(self, last_observed_state: grpc.ChannelConnectivity) -> None:
        await self._inner.wait_for_state_change(last_observed_state)

    async def channel_ready(self) -> None:
        await self._current().channel_ready()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.close()


def from_rpc_error(error: grpc.aio.AioRpcError) -> TrunklineError:
    """The typed error a service raised, back from its gRPC status."""
    trailers: dict[str, Any] = dict(error.trailing_metadata() or ())
    message = error.details() or error.code().name
    if message == REFUSED_WHILE_WRITING:
        return UnavailableError("The service ended the stream while the request was being sent.")
    match error.code():
        case grpc.StatusCode.RESOURCE_EXHAUSTED:
            retry_ms = float(trailers.get(RETRY_PUSHBACK, 1000))
            return OverloadedError(message.split(" is at capacity")[0], retry_after_s=retry_ms / 1000)
        case grpc.StatusCode.DEADLINE_EXCEEDED:
            return DeadlineError(message)
        case grpc.StatusCode.UNAVAILABLE:
            return UnavailableError(message)
        case grpc.StatusCode.FAILED_PRECONDITION:
            return MissingModelError(message)
        case grpc.StatusCode.INVALID_ARGUMENT:
            return InvalidInputError.from_message(str(trailers.get(FIELD_TRAILER, "request")), message)
        case _:
            return TrunklineError(f"{error.code().name}: {message}")
