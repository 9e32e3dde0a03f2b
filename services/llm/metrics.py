"""What the language model service measures, beside the standard RPC metrics. No per-call labels."""

from typing import Final

from prometheus_client import Counter, Gauge, Histogram

from services.common.metrics import MS_BUCKETS

QUEUE_SECONDS: Final = Histogram(
    "trunkline_llm_queue_seconds", "From the request's arrival to its slot.", ["kind"], buckets=MS_BUCKETS
)
TTFT_SECONDS: Final = Histogram(
    "trunkline_llm_ttft_seconds", "From the request's arrival to its first token.", ["kind"], buckets=MS_BUCKETS
)
TOKENS_PER_S: Final = Histogram(
    "trunkline_llm_tokens_per_second",
    "Decoding speed of one finished generation.",
    buckets=(1, 2, 5, 10, 15, 20, 25, 30, 40, 50, 60, 80, 100, 150, 200, 400),
)
PROMPT_TOKENS: Final = Counter(
    "trunkline_llm_prompt_tokens", "Prompt tokens, by whether the prefix cache had them.", ["source"]
)
COMPLETION_TOKENS: Final = Counter("trunkline_llm_completion_tokens", "Tokens generated.")
ACTIVE: Final = Gauge("trunkline_llm_active", "Requests in a slot.")
ABORTED: Final = Counter(
    "trunkline_llm_aborted", "Generations stopped early: by the caller, for a caller, or refused.", ["cause"]
)
EMBED_SECONDS: Final = Histogram(
    "trunkline_llm_embed_seconds", "From an embedding request's arrival to its answer.", buckets=MS_BUCKETS
)
