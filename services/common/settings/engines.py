"""Settings of the model services: vad, asr, llm, tts, and their scripted stand-ins."""

from typing import Annotated, Literal

from pydantic import Field

from services.common.settings.base import Port, Positive, Section
from services.common.settings.process import ServiceSettings


class VadSettings(ServiceSettings):
    """Silero VAD and the smart-turn detector."""

    port: Port = 50051
    metrics_port: Port = 9051
    engine: Literal["onnx", "scripted"] = "onnx"
    model: str = "silero-vad-v6"
    turn_model: str = "smart-turn-v3.2"
    # Over all client streams; each takes about 1.3 kB of recurrent state.
    max_calls: Positive = 500
    threads: Positive = 1
    # PredictTurn is refused when it could not start within this time, at the speed measured so far.
    turn_queue_ms: Positive = 400


class AsrSettings(ServiceSettings):
    """faster-whisper on CTranslate2."""

    port: Port = 50052
    metrics_port: Port = 9052
    engine: Literal["ctranslate2", "scripted"] = "ctranslate2"
    model: str = "whisper-tiny.en"
    device: Literal["cpu", "cuda"] = "cpu"
    compute_type: str = "int8"
    threads: Positive = 1
    max_batch: Positive = 8
    # Work whose predicted start is later than this is refused with RESOURCE_EXHAUSTED.
    max_queue_ms: Positive = 3000
    final_deadline_ms: Positive = 800
    partial_deadline_ms: Positive = 1500
    # What the encoder sees on a CPU: short = max(6 s, speech + 2 s), safe = max(10 s, speech + 4 s) at 1.4 times the
    # cost. Equal for tiny.en; base is better with safe in noise (10 dB, n = 50: 10 against 13 % of words differ from
    # what it hears in the clean recording).
    window: Literal["short", "safe"] = "short"
    # Audio kept from before SPEECH_STARTED: VAD onset and the client's least speech come late.
    preroll_ms: Annotated[int, Field(ge=0, le=2000)] = 400
    # Longer utterances are decoded in segments (Whisper's window is 30 s).
    max_utterance_ms: Annotated[int, Field(ge=5000, le=30_000)] = 30_000
    max_calls: Positive = 200
    # Rejection of invented text: both must hold (Whisper's own pair of scores).
    no_speech_threshold: float = 0.6
    logprob_threshold: float = -1.0
    compression_ratio_threshold: float = 2.4
    # Says of every text how likely an utterance ends with it (English). Empty: nothing is said.
    ending_model: str = "all-minilm-l6-v2-int8"


class LlmSettings(ServiceSettings):
    """The language model: llama.cpp (xllamacpp) on CPU, vLLM on GPUs."""

    port: Port = 50053
    metrics_port: Port = 9053
    engine: Literal["xllamacpp", "vllm", "scripted"] = "xllamacpp"
    model: str = "qwen2.5-coder-0.5b-instruct-q4_k_m"
    threads: Positive = 2
    slots: Positive = 1
    context_tokens: Positive = 4096
    max_tokens: Positive = 120
    temperature: float = 0.3
    max_queue: Positive = 32
    # Sentence embeddings: the second opinion on what a caller wants. Empty: none, and every turn is the model's alone.
    embedder: str = "all-minilm-l6-v2-int8"
    # llama.cpp only: memory for the prompts of calls that are not in a slot (12 kB a token for the default model).
    prompt_cache_mb: Positive = 256
    # vLLM only.
    gpu_memory_utilization: float = 0.85
    tensor_parallel_size: Positive = 1
    enforce_eager: bool = False
    dtype: str = "auto"


class TtsSettings(ServiceSettings):
    """Piper."""

    port: Port = 50054
    metrics_port: Port = 9054
    engine: Literal["piper", "scripted"] = "piper"
    voices: tuple[str, ...] = ("piper-en_US-joe-medium",)
    threads: Positive = 1
    cuda: bool = False
    first_clause_chars: Positive = 25
    # An answer begins to be spoken after so many words, if the last can end a phrase. 0: not before a clause.
    first_words: Annotated[int, Field(ge=0, le=10)] = 3
    # 0: nothing is kept (benchmarks that repeat their phrases).
    cache_mb: Annotated[int, Field(ge=0)] = 64
    max_streams: Positive = 64
    # New streams are refused while audio that is due waits longer than this for a thread.
    max_late_ms: Positive = 1000
    # Clauses computed at once, each on `threads` threads.
    workers: Positive = 2
    # Audio made beyond what the listener can have heard by now: what a barge-in may waste at most.
    ahead_ms: Positive = 3000
    # A stream that gets no text for so long is ended.
    idle_s: Positive = 60


class ScriptedSettings(Section):
    """Declared, fixed latencies of the scripted models (`--models scripted`): our own overhead alone is left."""

    asr_final_ms: Positive = 50
    llm_ttft_ms: Positive = 100
    llm_tokens_per_s: Positive = 100
    # Replies at once; 0: no call waits for another.
    llm_slots: Annotated[int, Field(ge=0)] = 0
    tts_ttfa_ms: Positive = 50
