"""Prometheus metrics: one histogram of stage times with explicit millisecond buckets, no per-call labels."""

from typing import Final

from prometheus_client import Counter, Gauge, Histogram, start_http_server

# Seconds, chosen so that every target of DESIGN §6 lies on an edge.
# fmt: off
_EDGES_MS = (
    1, 2, 5, 10, 20, 30, 40, 60, 80, 100, 120, 150, 200, 250, 300, 400, 500, 600, 800, 1000,
    1200, 1500, 2000, 2500, 3000, 4000, 5000, 8000, 15000, 30000,
)
# fmt: on
MS_BUCKETS: Final = tuple(ms / 1000 for ms in _EDGES_MS)

STAGE: Final = Histogram(
    "trunkline_stage_seconds", "Latency of one stage of a turn (DESIGN §6).", ["stage"], buckets=MS_BUCKETS
)
RPC_SECONDS: Final = Histogram(
    "trunkline_rpc_seconds", "Time of one RPC as the server saw it.", ["method", "code"], buckets=MS_BUCKETS
)
RPC_ACTIVE: Final = Gauge("trunkline_rpc_active", "RPCs in progress.", ["method"])
DROPPED_MS: Final = Counter(
    "trunkline_audio_dropped_ms", "Audio dropped because a bounded queue was full, in ms.", ["queue"]
)


def observe_stage(stage: str, ms: float) -> None:
    """Record one stage time given in milliseconds."""
    STAGE.labels(stage=stage).observe(ms / 1000)


def start_metrics(port: int, host: str) -> None:
    """Serve /metrics on a thread of its own; port 0 means off."""
    if port:
        start_http_server(port, addr=host)
