"""OpenTelemetry traces: off unless an OTLP endpoint on the site is named; then spans cross gRPC calls.

The SDK is the optional extra `otel`; without a configured endpoint it is not even imported.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from services.common.errors import SettingsError
from services.common.personal import Personal
from services.common.settings import TracingSettings

if TYPE_CHECKING:
    from opentelemetry.trace import Tracer

_tracer: "Tracer | None" = None


def configure_tracing(settings: TracingSettings, service: str) -> None:
    """Start exporting when `settings.otlp_endpoint` is set. Raises SettingsError when the extra is missing."""
    global _tracer
    if not settings.otlp_endpoint:
        return
    try:
        from opentelemetry import trace
        from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
        from opentelemetry.sdk.trace.sampling import ParentBasedTraceIdRatio
    except ImportError as error:
        raise SettingsError(
            "tracing.otlp_endpoint is set but the OpenTelemetry SDK is not installed.",
            remedy="Install the extra: pip install 'trunkline[otel]', or empty tracing.otlp_endpoint.",
        ) from error
    provider = TracerProvider(
        resource=Resource.create({"service.name": f"trunkline-{service}"}),
        sampler=ParentBasedTraceIdRatio(settings.sample_ratio),
    )
    exporter = OTLPSpanExporter(
        endpoint=settings.otlp_endpoint, insecure=not settings.otlp_endpoint.startswith("https")
    )
    provider.add_span_processor(BatchSpanProcessor(exporter))
    trace.set_tracer_provider(provider)
    _tracer = trace.get_tracer("trunkline")


@contextmanager
def span(name: str, **attributes: str | int | float | bool) -> Iterator[None]:
    """A span while the block runs; nothing when tracing is off. Personal data is refused, not recorded."""
    if _tracer is None:
        yield
        return
    if any(isinstance(value, Personal) for value in attributes.values()):
        raise TypeError("Personal data never becomes a span attribute")
    with _tracer.start_as_current_span(name, attributes=attributes):
        yield


def server_interceptors() -> Sequence[Any]:
    """gRPC interceptors that continue a caller's trace; none when tracing is off."""
    if _tracer is None:
        return ()
    from opentelemetry.instrumentation import grpc as otel_grpc

    make: Any = otel_grpc.aio_server_interceptor
    return (make(),)


def client_interceptors() -> Sequence[Any]:
    """gRPC interceptors that hand the trace on; none when tracing is off."""
    if _tracer is None:
        return ()
    from opentelemetry.instrumentation import grpc as otel_grpc

    make: Any = otel_grpc.aio_client_interceptors
    return tuple(make())
