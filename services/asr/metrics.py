"""What Prometheus sees of recognition: times in ms with explicit buckets, the queue's age, batch sizes; no text."""

from typing import Final

from prometheus_client import Counter, Gauge, Histogram

_MS: Final = (1, 2, 5, 10, 20, 40, 60, 80, 100, 150, 200, 300, 400, 600, 800, 1000, 1500, 2000, 3000, 5000, 10000)

QUEUE_MS: Final = Histogram(
    "trunkline_asr_queue_ms", "From arrival of a decode to its start, in ms.", ["kind"], buckets=_MS
)
COMPUTE_MS: Final = Histogram(
    "trunkline_asr_compute_ms", "Time of one batch in encoder and decoder, in ms.", ["kind"], buckets=_MS
)
BATCH_SIZE: Final = Histogram(
    "trunkline_asr_batch_size", "Utterances decoded together.", ["kind"], buckets=(1, 2, 3, 4, 6, 8, 12, 16, 24, 32)
)
BACKLOG_MS: Final = Gauge("trunkline_asr_backlog_ms", "Predicted time until the queue of now is empty, in ms.")
UTILISATION: Final = Gauge("trunkline_asr_utilisation", "Share of the last seconds that the decoder computed.")
DROPPED: Final = Counter("trunkline_asr_dropped", "Decodes that left the queue without an answer.", ["kind", "reason"])
REFUSED: Final = Counter("trunkline_asr_refused", "Decodes refused because they would be late.", ["kind"])
REJECTED: Final = Counter("trunkline_asr_rejected", "Hypotheses not believed.", ["kind", "reason"])
REUSED: Final = Counter("trunkline_asr_finals_reused", "Finals answered at once by a provisional final.")
CALLS: Final = Gauge("trunkline_asr_calls", "Recognize streams in progress.")
