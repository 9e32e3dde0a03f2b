"""The GPU engine: vLLM's AsyncLLM in this process (CUDA in production; the same API in its CPU build).

vLLM batches, caches prefixes by block and isolates them by `cache_salt` itself. It is imported when started.
"""

import asyncio
import inspect
import json
import os
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import Any, Final

from services.common.clock import Clock
from services.common.errors import InvalidInputError, UnavailableError
from services.common.models import ModelStore
from services.common.settings import Settings
from services.llm.engine import (
    Delta,
    Description,
    Event,
    Finished,
    FinishReason,
    GenerationRequest,
    Message,
    Started,
    Warmed,
)
from services.llm.queue import WARM_PRIORITY
from services.llm.template import ChatTemplate

CPU_BLOCK_TOKENS: Final = 32


class VllmEngine:
    """safetensors models through AsyncLLM."""

    def __init__(self, settings: Settings, clock: Clock) -> None:
        self._settings = settings.llm
        self._clock = clock
        self._store = ModelStore(settings.models)
        self._entry = self._store.entry(settings.llm.model)
        self._template = ChatTemplate("")
        self._llm: Any = None
        self._tokenizer: Any = None
        self._version = "not loaded"
        self._device = "unknown"
        self._aborted: set[str] = set()
        self._running: set[str] = set()
        self._aborting: set[asyncio.Future[None]] = set()

    @property
    def context_tokens(self) -> int:
        """Model length given to vLLM."""
        return self._settings.context_tokens

    @property
    def slots(self) -> int:
        """As set."""
        return self._settings.slots

    async def start(self) -> None:
        """Load the weights and read the tokenizer's chat template. Raises UnavailableError without vLLM."""
        _before_import(self._settings.threads)
        try:
            import vllm
            from vllm.engine.arg_utils import AsyncEngineArgs
            from vllm.platforms import current_platform
            from vllm.v1.engine.async_llm import AsyncLLM
        except ImportError as error:
            raise UnavailableError(
                "llm.engine is vllm, but vLLM is not installed.",
                remedy="Install the extra llm-vllm (CUDA) or run `make venv-vllm` (CPU), or set llm.engine=xllamacpp.",
            ) from error
        arguments: dict[str, Any] = {
            "model": str(self._store.path(self._settings.model)),
            "max_model_len": self._settings.context_tokens,
            "max_num_seqs": self._settings.slots,
            "enable_prefix_caching": True,
            "scheduling_policy": "priority",
            "enforce_eager": self._settings.enforce_eager,
            "dtype": self._settings.dtype,
            "tensor_parallel_size": self._settings.tensor_parallel_size,
            "enable_log_requests": False,
            "disable_log_stats": True,
        }
        if current_platform.is_cpu():
            # The CPU default of 128 leaves most of a turn outside the last whole block, so outside the prefix cache.
            arguments["block_size"] = CPU_BLOCK_TOKENS
        else:
            arguments["gpu_memory_utilization"] = self._settings.gpu_memory_utilization
        self._llm = AsyncLLM.from_engine_args(AsyncEngineArgs(**arguments))
        tokenizer = self._llm.get_tokenizer()
        self._tokenizer = await tokenizer if inspect.isawaitable(tokenizer) else tokenizer
        self._template = ChatTemplate(
            str(self._tokenizer.chat_template or ""),
            bos_token=str(self._tokenizer.bos_token or ""),
            eos_token=str(self._tokenizer.eos_token or ""),
        )
        self._version = vllm.__version__
        self._device = "cpu" if current_platform.is_cpu() else f"cuda:0 {current_platform.get_device_name()}"

    async def close(self) -> None:
        """Stop the engine's processes."""
        if self._llm is not None:
            self._llm.shutdown()
            self._llm = None

    async def generate(self, request: GenerationRequest) -> AsyncGenerator[Event, None]:
        """Stream; closing this generator closes vLLM's, which aborts the request in its scheduler."""
        began_ns = self._clock.now_ns()
        tokens = self._encode(self._template.prompt(request.messages))
        started: Started | None = None
        reason: str | None = None
        completion = 0
        self._running.add(request.request_id)
        try:
            async with aclosing(self._outputs(self._params(request), tokens, request)) as outputs:
                async for output in outputs:
                    piece = output.outputs[0]
                    completion += len(piece.token_ids)
                    reason = piece.finish_reason
                    if started is None and completion:
                        prefill_ms = (self._clock.now_ns() - began_ns) / 1e6
                        started = Started(prefill_ms, len(tokens), int(output.num_cached_tokens or 0))
                        yield started
                    if piece.text:
                        yield Delta(piece.text)
                    if request.request_id in self._aborted:
                        break
            if started is not None:
                ended = _reason(reason, aborted=request.request_id in self._aborted)
                yield Finished(ended, len(tokens), completion, started.cached_tokens)
        finally:
            self._running.discard(request.request_id)
            self._aborted.discard(request.request_id)

    def abort(self, request_id: str) -> None:
        """Drop the request from vLLM's scheduler; its stream then ends."""
        if request_id not in self._running or request_id in self._aborted:
            return
        self._aborted.add(request_id)
        task = asyncio.ensure_future(self._llm.abort(request_id))
        self._aborting.add(task)
        task.add_done_callback(self._aborting.discard)

    async def warm(self, request_id: str, messages: Sequence[Message], cache_salt: str) -> Warmed:
        """Prefill the common prefix by generating one token after it."""
        request = GenerationRequest(request_id, tuple(messages), 1, 0.0, priority=WARM_PRIORITY, cache_salt=cache_salt)
        tokens = self._encode(self._template.prefix(messages))
        cached = 0
        self._running.add(request_id)
        try:
            async for output in self._outputs(self._params(request), tokens, request):
                cached = int(output.num_cached_tokens or 0)
        finally:
            self._running.discard(request_id)
            self._aborted.discard(request_id)
        return Warmed(len(tokens), cached)

    async def count_tokens(self, messages: Sequence[Message], limit: int) -> int:
        """Exact."""
        return len(self._encode(self._template.prompt(messages)))

    def describe(self) -> Description:
        """vLLM as installed, and the settings that decide its speed."""
        return Description(
            engine="vllm",
            engine_version=self._version,
            device=self._device,
            model=self._entry.name,
            model_version=self._entry.version,
            model_sha256=self._entry.sha256,
            model_licence=self._entry.licence,
            details={
                "context_tokens": str(self._settings.context_tokens),
                "dtype": self._settings.dtype,
                "tensor_parallel_size": str(self._settings.tensor_parallel_size),
                "enforce_eager": str(self._settings.enforce_eager).lower(),
                "cache_isolation": "cache_salt",
            },
        )

    async def _outputs(self, params: Any, tokens: list[int], request: GenerationRequest) -> AsyncGenerator[Any, None]:
        """vLLM's outputs, its errors as ours (their texts may quote the prompt, so their types are named)."""
        from vllm.exceptions import VLLMClientError, VLLMServerError

        prompt = _prompt(tokens, request.cache_salt)
        try:
            stream = self._llm.generate(prompt, params, request_id=request.request_id, priority=request.priority)
            async with aclosing(stream) as outputs:
                async for output in outputs:
                    yield output
        except (VLLMClientError, ValueError) as error:
            raise InvalidInputError(
                "json_schema" if request.schema is not None else "request",
                expected="what vLLM takes",
                got=f"a {type(error).__name__} from it",
                remedy="Use plainer schema keywords: type, properties, required, enum, items.",
            ) from error
        except VLLMServerError as error:
            raise UnavailableError(
                f"vLLM failed: {type(error).__name__}.", remedy="If it persists, restart the llm service."
            ) from error

    def _params(self, request: GenerationRequest) -> Any:
        from vllm import SamplingParams
        from vllm.sampling_params import RequestOutputKind, StructuredOutputsParams

        structured = None
        if request.schema is not None:
            # Compact JSON: with free white space a small model writes blanks until its limit.
            structured = StructuredOutputsParams(json=json.dumps(request.schema), disable_any_whitespace=True)
        return SamplingParams(
            max_tokens=request.max_tokens,
            temperature=request.temperature,
            stop=list(request.stop) or None,
            seed=None if request.seed is None else request.seed % 2**63,
            output_kind=RequestOutputKind.DELTA,
            structured_outputs=structured,
        )

    def _encode(self, prompt: str) -> list[int]:
        if self._tokenizer is None:
            raise UnavailableError("The language model is not loaded.", remedy="Wait until the service is SERVING.")
        # The template has written the control tokens; the tokenizer must add none.
        tokens: list[int] = self._tokenizer.encode(prompt, add_special_tokens=False)
        return tokens


def _before_import(threads: int) -> None:
    """vLLM reads the environment when imported; an operator's own values win, except where data would leave."""
    for name in ("VLLM_NO_USAGE_STATS", "DO_NOT_TRACK", "HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"):
        os.environ[name] = "1"
    os.environ.setdefault("VLLM_LOGGING_LEVEL", "WARNING")
    # CPU build: cores of its threads, and GB of cache (its own default is half of the machine).
    os.environ.setdefault("VLLM_CPU_OMP_THREADS_BIND", f"0-{threads - 1}")
    os.environ.setdefault("VLLM_CPU_KVCACHE_SPACE", "1")


def _prompt(tokens: list[int], cache_salt: str) -> dict[str, Any]:
    prompt: dict[str, Any] = {"prompt_token_ids": tokens}
    if cache_salt:
        prompt["cache_salt"] = cache_salt
    return prompt


def _reason(reason: str | None, *, aborted: bool) -> FinishReason:
    if reason == "length":
        return FinishReason.LENGTH
    if aborted and reason != "stop":
        return FinishReason.ABORTED
    return FinishReason.STOP
