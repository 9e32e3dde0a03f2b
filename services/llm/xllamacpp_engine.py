"""The CPU engine: llama.cpp in this process, its prefix cache kept warm, its prefill cut into steps that can stop.

llama.cpp looks for an abort between tokens, never inside a prefill, so a long prefill is sent as growing prefixes:
each is a request of its own that leaves its tokens in the slot's cache, and an abort is seen between two of them.
"""

import asyncio
from collections.abc import AsyncGenerator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Final

from services.common.clock import Clock
from services.common.errors import InvalidInputError, TrunklineError, UnavailableError
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
    Role,
    Started,
    Warmed,
)
from services.llm.native import Chunk, NativeServer
from services.llm.residency import Residency
from services.llm.template import ChatTemplate

# About 64 tokens: half a second of prefill on two slow cores.
STEP_CHARS: Final = 256
_PROBE = (
    Message(Role.SYSTEM, "Be brief."),
    Message(Role.USER, "Hello, it's me."),
    Message(Role.ASSISTANT, "Hello."),
    Message(Role.USER, "Bye."),
)


@dataclass
class _Run:
    """One request in the native server. `aborted` is read by its thread: a bool, set once."""

    chunks: asyncio.Queue[Chunk | None]
    aborted: bool = False


class XllamacppEngine:
    """GGUF models through xllamacpp."""

    def __init__(self, settings: Settings, clock: Clock) -> None:
        self._settings = settings.llm
        self._clock = clock
        self._store = ModelStore(settings.models)
        self._entry = self._store.entry(settings.llm.model)
        self._threads = ThreadPoolExecutor(max_workers=settings.llm.slots, thread_name_prefix="llama")
        self._native: NativeServer | None = None
        self._template = ChatTemplate("")
        self._runs: dict[str, _Run] = {}
        self._residency = Residency()

    @property
    def context_tokens(self) -> int:
        """Per slot."""
        return self._settings.context_tokens

    @property
    def slots(self) -> int:
        """As set."""
        return self._settings.slots

    async def start(self) -> None:
        """Load the weights (the library holds the interpreter meanwhile: 1 to 2 s) and read the chat template."""
        directory = self._store.path(self._settings.model)
        weights = max(directory.glob("*.gguf"), key=lambda path: path.stat().st_size)
        self._native = NativeServer(weights, self._settings)
        properties = await asyncio.to_thread(self._native.properties)
        self._template = ChatTemplate(
            str(properties["chat_template"]),
            bos_token=str(properties.get("bos_token", "")),
            eos_token=str(properties.get("eos_token", "")),
        )
        await self._check_template(self._native)

    async def close(self) -> None:
        """Abort, wait for the tokens in work, free the model."""
        for run in self._runs.values():
            run.aborted = True
        await asyncio.to_thread(self._threads.shutdown, cancel_futures=True)
        self._native = None

    async def generate(self, request: GenerationRequest) -> AsyncGenerator[Event, None]:
        """Prefill in steps, then stream."""
        began_ns = self._clock.now_ns()
        prompt = self._template.prompt(request.messages)
        run = self._new_run(request.request_id)
        text: list[str] = []
        started: Started | None = None
        try:
            warmed = await self._prefill(run, prompt)
            if run.aborted:
                return
            last: Chunk = {}
            async for chunk in self._stream(run, self._body(request, prompt)):
                last = chunk
                if started is None:
                    prefill_ms = (self._clock.now_ns() - began_ns) / 1e6
                    started = _started(chunk, warmed, prefill_ms)
                    yield started
                if piece := chunk["choices"][0]["text"]:
                    text.append(piece)
                    yield Delta(piece)
            if started is not None:
                yield _finished(last, started, aborted=run.aborted)
        finally:
            run.aborted = True
            del self._runs[request.request_id]
            if started is not None:
                self._residency.remember(prompt + "".join(text))

    def abort(self, request_id: str) -> None:
        """Seen after the token in work, or between two prefill steps."""
        if run := self._runs.get(request_id):
            run.aborted = True

    async def warm(self, request_id: str, messages: Sequence[Message], cache_salt: str) -> Warmed:
        """Prefill the common prefix. llama.cpp shares equal prefixes between all callers: the salt changes nothing."""
        prefix = self._template.prefix(messages)
        run = self._new_run(request_id)
        try:
            first = await self._prefill(run, prefix)
            if run.aborted:
                return first or Warmed(0, 0)
            last = await self._prefill_step(run, prefix)
            self._residency.remember(prefix)
            return Warmed(last.prompt_tokens, first.cached_tokens if first else last.cached_tokens)
        finally:
            del self._runs[request_id]

    async def count_tokens(self, messages: Sequence[Message], limit: int) -> int:
        """A token is at least a byte, so most prompts need no tokenizer."""
        prompt = self._template.prompt(messages)
        size = len(prompt.encode())
        if size <= limit:
            return size
        return await asyncio.to_thread(self._loaded().token_count, prompt)

    def describe(self) -> Description:
        """llama.cpp as built, and the settings that decide its speed."""
        native = self._native
        return Description(
            engine="xllamacpp",
            engine_version=native.version if native else "not loaded",
            device="cpu",
            model=self._entry.name,
            model_version=self._entry.version,
            model_sha256=self._entry.sha256,
            model_licence=self._entry.licence,
            details={
                "threads": str(self._settings.threads),
                "context_tokens": str(self._settings.context_tokens),
                "cpu_features": _features(native.system_info) if native else "",
                # Equal prefixes are shared between callers: text cannot leak, that it was equal can (by timing).
                "cache_isolation": "none",
            },
        )

    async def _prefill(self, run: _Run, prompt: str) -> Warmed | None:
        """All of a long uncached prompt but its last step; None when there was nothing to do ahead."""
        known = self._residency.known_chars(prompt)
        first: Warmed | None = None
        for end in range(known + STEP_CHARS, len(prompt) - STEP_CHARS // 2, STEP_CHARS):
            if run.aborted:
                break
            step = await self._prefill_step(run, prompt[:end])
            self._residency.remember(prompt[:end])
            first = first or step
        return first

    async def _prefill_step(self, run: _Run, prompt: str) -> Warmed:
        last: Chunk = {}
        async for chunk in self._stream(run, {"prompt": prompt, "max_tokens": 0, "temperature": 0.0}):
            last = chunk
        if not last:
            return Warmed(0, 0)
        timings = last["timings"]
        return Warmed(int(timings["cache_n"] + timings["prompt_n"]), int(timings["cache_n"]))

    async def _stream(self, run: _Run, body: Mapping[str, Any]) -> AsyncGenerator[Chunk, None]:
        """Chunks as they come. Raises TrunklineError when the server refuses."""
        loop = asyncio.get_running_loop()
        native = self._loaded()

        def on_chunk(chunk: Chunk) -> bool:
            loop.call_soon_threadsafe(run.chunks.put_nowait, chunk)
            return run.aborted

        def work() -> None:
            # Aborted while an earlier request finished its token: nothing is begun.
            if not run.aborted:
                native.complete({**body, "stream": True, "timings_per_token": True}, on_chunk)

        done = loop.run_in_executor(self._threads, work)
        done.add_done_callback(lambda _: run.chunks.put_nowait(None))
        while (chunk := await run.chunks.get()) is not None:
            if error := chunk.get("error"):
                raise _engine_error(error)
            yield chunk
        done.result()

    def _new_run(self, request_id: str) -> _Run:
        # One chunk a token, then the last and the end mark: a full queue would be a fault of the library.
        run = self._runs[request_id] = _Run(asyncio.Queue(maxsize=self.context_tokens + 8))
        return run

    def _body(self, request: GenerationRequest, prompt: str) -> dict[str, Any]:
        body: dict[str, Any] = {
            "prompt": prompt,
            "max_tokens": request.max_tokens,
            "temperature": request.temperature,
            "stop": list(request.stop),
        }
        if request.seed is not None:
            body["seed"] = request.seed % 2**32
        if request.schema is not None:
            # Compact JSON: with free white space a small model writes blanks until its limit (seen at 0.5B).
            body["json_schema"] = {**request.schema, "x-guidance": {"whitespace_flexible": False}}
        return body

    async def _check_template(self, native: NativeServer) -> None:
        """Our rendering must be the library's, or warmed prefixes and prompts would be another model's."""
        plain = [{"role": message.role.value, "content": message.content} for message in _PROBE]
        expected = await asyncio.to_thread(native.apply_template, plain)
        if self._template.prompt(_PROBE) != expected:
            raise TrunklineError(
                f"The chat template of {self._settings.model} renders differently in llama.cpp and here.",
                remedy="Report the model's name; until then use another model.",
            )

    def _loaded(self) -> NativeServer:
        if self._native is None:
            raise UnavailableError("The language model is not loaded.", remedy="Wait until the service is SERVING.")
        return self._native


def _started(chunk: Chunk, warmed: Warmed | None, prefill_ms: float) -> Started:
    timings = chunk["timings"]
    cached = int(timings["cache_n"])
    return Started(prefill_ms, cached + int(timings["prompt_n"]), warmed.cached_tokens if warmed else cached)


def _finished(chunk: Chunk, started: Started, *, aborted: bool) -> Finished:
    reason = chunk["choices"][0]["finish_reason"]
    if aborted and reason is None:
        ended = FinishReason.ABORTED
    else:
        ended = FinishReason.LENGTH if reason == "length" else FinishReason.STOP
    return Finished(ended, started.prompt_tokens, int(chunk["timings"]["predicted_n"]), started.cached_tokens)


def _engine_error(error: Mapping[str, Any]) -> TrunklineError:
    """The library's error by its type; its message may quote the prompt."""
    if error.get("type") == "exceed_context_size_error":
        return InvalidInputError(
            "messages",
            expected=f"at most {error.get('n_ctx')} tokens",
            got=str(error.get("n_prompt_tokens")),
            remedy="Drop the oldest turns.",
        )
    return TrunklineError(f"llama.cpp refused the request: {error.get('type')} (code {error.get('code')}).")


def _features(system_info: str) -> str:
    return " ".join(part.split("=")[0].strip() for part in system_info.split("|") if part.strip().endswith("= 1"))
