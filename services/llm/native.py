"""llama.cpp's in-process server (xllamacpp), thinly: parameters, blocking calls, loopback endpoints, its manners.

Streaming goes through the library's callbacks, not its HTTP port: no connection to lose, and a callback that
returns True stops the slot after the token in work. The port is there whether wanted or not, so it gets a random
key; this class uses it for the tokenizer and the model's properties only, on a new connection each time.
"""

import json
import os
import secrets
import urllib.request
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

from services.common.errors import UnavailableError
from services.common.settings import LlmSettings

HTTP_TIMEOUT_S: Final = 10.0
# The library prints prompts when asked for more; below 0 it prints nothing at all.
QUIET: Final = -1
# Threads meet hundreds of times a token. Spinning for each other is 1.4 times as fast on an idle machine; where
# anything else wants a core it is 6 to 100 times as slow (docs/language-model.md).
WAIT_POLICY: Final = "passive"
Chunk = Mapping[str, Any]


class NativeServer:
    """A loaded model. Every method blocks: call them from a worker thread."""

    def __init__(self, weights: Path, settings: LlmSettings) -> None:
        # Read by libgomp when it is loaded, so before the import. An operator's own value wins.
        os.environ.setdefault("OMP_WAIT_POLICY", WAIT_POLICY)
        import xllamacpp

        self.version: str = xllamacpp.__version__
        self.system_info: str = xllamacpp.get_system_info()
        self._key = secrets.token_hex(16)
        try:
            self._server = xllamacpp.Server(_params(xllamacpp, weights, settings, self._key))
        except RuntimeError as error:
            raise UnavailableError(
                f"llama.cpp cannot load {weights.name}.", remedy="Check free memory and `trunkline models verify`."
            ) from error
        self._base: str = self._server.listening_address

    def complete(self, body: Mapping[str, Any], on_chunk: Callable[[Chunk], bool]) -> None:
        """Run /v1/completions; `on_chunk` gets each event on this thread and returns True to stop the slot."""
        self._server.handle_completions(dict(body), on_chunk)

    def properties(self) -> Mapping[str, Any]:
        """/props: among others chat_template, bos_token, eos_token."""
        return self._http("/props", None)

    def token_count(self, text: str) -> int:
        """Tokens of a prompt, control tokens read as such."""
        return len(self._http("/tokenize", {"content": text, "add_special": False, "parse_special": True})["tokens"])

    def apply_template(self, messages: list[dict[str, str]]) -> str:
        """The library's own rendering, to check ours against."""
        return str(self._http("/apply-template", {"messages": messages})["prompt"])

    def _http(self, path: str, body: Mapping[str, Any] | None) -> Mapping[str, Any]:
        request = urllib.request.Request(
            self._base + path,
            None if body is None else json.dumps(body).encode(),
            {"Content-Type": "application/json", "Authorization": f"Bearer {self._key}", "Connection": "close"},
        )
        try:
            with urllib.request.urlopen(request, timeout=HTTP_TIMEOUT_S) as response:
                answer: Mapping[str, Any] = json.loads(response.read())
        except OSError as error:
            raise UnavailableError(f"llama.cpp did not answer {path}.", remedy="Restart the llm service.") from error
        return answer


def _params(xllamacpp: Any, weights: Path, settings: LlmSettings, key: str) -> Any:
    params = xllamacpp.CommonParams()
    params.model.path = str(weights)
    params.n_parallel = settings.slots
    params.n_ctx = settings.context_tokens * settings.slots
    params.cpuparams.n_threads = settings.threads
    params.cpuparams_batch.n_threads = settings.threads
    # Only equal beginnings are reused. Moving later stretches (n_cache_reuse) would bring in what they were computed
    # after, and that may be another caller's words.
    params.n_cache_reuse = 0
    params.cache_ram_mib = settings.prompt_cache_mb
    params.verbosity = QUIET
    params.hostnames = ["127.0.0.1"]
    params.api_keys = [key]
    params.ui = False
    params.endpoint_slots = False
    params.n_threads_http = 1
    return params
