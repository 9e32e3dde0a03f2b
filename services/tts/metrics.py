"""What the TTS service measures, in explicit buckets and without per-call labels."""

from typing import Final

from prometheus_client import Counter, Gauge, Histogram

from services.common.metrics import MS_BUCKETS

COMPUTE_SECONDS: Final = Histogram("trunkline_tts_compute_seconds", "Computation of one clause.", buckets=MS_BUCKETS)
WAIT_SECONDS: Final = Histogram(
    "trunkline_tts_wait_seconds", "Time a step of a clause waited for a thread.", buckets=MS_BUCKETS
)
RTF: Final = Histogram(
    "trunkline_tts_rtf",
    "Computation time of a clause by its duration.",
    buckets=(0.01, 0.02, 0.05, 0.08, 0.1, 0.15, 0.2, 0.3, 0.5, 0.75, 1.0, 2.0),
)
CLAUSES: Final = Counter("trunkline_tts_clauses", "Clauses spoken, by where they came from.", ["source"])
CACHE_BYTES: Final = Gauge("trunkline_tts_cache_bytes", "Audio held by the phrase cache.")
STREAMS: Final = Gauge("trunkline_tts_streams", "Synthesize streams in progress.")
REFUSED: Final = Counter("trunkline_tts_refused", "Streams refused because the service is full.")
