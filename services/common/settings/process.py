"""Settings of any process: logs, metrics, traces, gRPC, database, web, models."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from services.common.settings.base import Port, Positive, Section


class LogSettings(Section):
    """structlog."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    format: Literal["json", "console"] = "console"


class MetricsSettings(Section):
    """Prometheus endpoint of each process; port 0 turns it off."""

    host: str = "127.0.0.1"


class TracingSettings(Section):
    """OpenTelemetry; off unless an OTLP endpoint on the site is named."""

    otlp_endpoint: str = ""
    sample_ratio: Annotated[float, Field(ge=0, le=1)] = 1.0


class TlsSettings(Section):
    """mTLS between services, from PEM files that are read again when they change. All three or none."""

    ca_file: Path | None = None
    cert_file: Path | None = None
    key_file: Path | None = None
    reload_s: float = 30.0


class RpcSettings(Section):
    """gRPC defaults for every server and channel."""

    tls: TlsSettings = TlsSettings()
    keepalive_ms: Positive = 20_000
    max_message_bytes: Positive = 4 * 1024 * 1024
    drain_s: float = 10.0
    connect_deadline_s: float = 5.0


class ServiceSettings(Section):
    """What every gRPC service has: where it listens, and where its clients find it."""

    host: str = "127.0.0.1"
    port: Port
    metrics_port: Port
    # gRPC target for clients ("dns:///asr.voice.svc:50052"); empty: host:port above.
    target: str = ""

    def address(self) -> str:
        """The gRPC target clients dial."""
        return self.target or f"{self.host}:{self.port}"


class DatabaseSettings(Section):
    """PostgreSQL. Without a DSN an embedded server is started under `data_dir`."""

    dsn: str = ""
    pool_size: Positive = 5
    statement_timeout_ms: Positive = 5000


class WebSettings(Section):
    """HTTP API and the talk page."""

    host: str = "127.0.0.1"
    port: Port = 8080
    # PEM files for HTTPS. Browsers give the microphone to https:// pages and to localhost only.
    cert_file: Path | None = None
    key_file: Path | None = None


class ModelsSettings(Section):
    """Where weights lie. Nothing is fetched at run time; `trunkline models fetch` fills the directory."""

    dir: Path = Path("~/.cache/trunkline/models")
    verify_on_start: bool = True
    # The site's own mirror of model repositories (Hugging Face layout); empty: sources of that kind are skipped.
    hub_url: str = ""
