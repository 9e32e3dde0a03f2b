"""One typed tree of settings, documented by its own defaults.

Order, later wins: the defaults below, the profile's overlay (`cpu` or `nvidia`), a TOML file, the environment
(`TRUNKLINE__ASR__THREADS=2`), then command-line overrides. An unknown key is an error that names the nearest one.
"""

import os
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from rapidfuzz import process as fuzzy

from services.common.errors import SettingsError
from services.common.sentences import ENGLISH, sentences_of

ENV_PREFIX = "TRUNKLINE__"
Port = Annotated[int, Field(ge=0, le=65535)]
Positive = Annotated[int, Field(gt=0)]


class Section(BaseModel):
    """Base of every section: immutable, and no key but those named."""

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True)


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


class SipSettings(Section):
    """The trunk side of the telephony worker."""

    bind: str = "127.0.0.1"
    port: Port = 5060
    transport: Literal["udp", "tcp", "tls"] = "udp"
    # Registration with a registrar; empty: a peer trunk without registration.
    registrar: str = ""
    user: str = "trunkline"
    auth_user: str = ""
    password_file: Path | None = None
    codecs: tuple[Literal["opus", "g722", "pcmu", "pcma"], ...] = ("opus", "g722", "pcmu", "pcma")
    srtp: Literal["off", "sdes", "dtls"] = "off"
    cert_file: Path | None = None
    ca_file: Path | None = None
    rtp_ports: tuple[Port, Port] = (20_000, 21_999)
    expose_headers: tuple[str, ...] = ("P-Asserted-Identity", "Diversion", "User-to-User", "X-Tenant")


class TelephonySettings(ServiceSettings):
    """The SIP/RTP worker (baresip)."""

    port: Port = 50055
    metrics_port: Port = 9055
    engine: Literal["baresip"] = "baresip"
    sip: SipSettings = SipSettings()
    max_calls: Positive = 60
    # The engine loses calls at 40 a second; admit fewer (token bucket).
    max_calls_per_s: Annotated[float, Field(gt=0, le=30)] = 20.0
    # A voice agent has no loudspeaker to keep fed: the buffer only restores order, so it starts at no delay.
    jitter_buffer_ms: tuple[int, int] = (0, 60)
    # Jitter buffer off: for a test caller that measures arrival times.
    jitter_buffer: Literal["adaptive", "fixed", "off"] = "adaptive"
    # Received audio is looked for this often: the worker's share of rx latency, against its CPU time.
    poll_ms: Annotated[int, Field(ge=1, le=20)] = 5
    # Note when each packet leaves, for a test caller that measures; costs one native call per poll and leg.
    tx_times: bool = False
    # Most audio ever queued for the wire. More than 60 ms only for a test caller, which never has to flush.
    committed_ms: Annotated[int, Field(ge=20, le=400)] = 60
    # Scheduling priority where the process may have it: late media threads add 20 ms to a call for good. 0: as it is.
    nice: Annotated[int, Field(ge=-20, le=0)] = -10
    # An answer or dial that the rate limit would hold longer than this is refused.
    max_rate_wait_s: Annotated[float, Field(ge=0)] = 4.0
    # A client that is gone for so long does not come back: its callers hear its farewell, and the calls end.
    client_grace_s: float = 2.0
    ring_timeout_s: float = 10.0
    dial_timeout_s: float = 60.0
    # No RTP for this long ends the call; 0 turns it off.
    media_timeout_s: Annotated[float, Field(ge=0)] = 30.0


class DatabaseSettings(Section):
    """PostgreSQL. Without a DSN an embedded server is started under `data_dir`."""

    dsn: str = ""
    pool_size: Positive = 5
    statement_timeout_ms: Positive = 5000


class WebRtcSettings(Section):
    """Browser media."""

    enabled: bool = True
    ice_servers: tuple[str, ...] = ()
    turn_username: str = ""
    turn_password_file: Path | None = None
    max_calls: Positive = 30
    # A browser that got an answer has so long to connect (ICE, DTLS); then the call is torn down.
    connect_deadline_s: Annotated[float, Field(gt=0)] = 10.0
    # No packet for so long: the connection is lost.
    media_grace_s: Annotated[float, Field(gt=0)] = 12.0
    # Offers per client address (token bucket).
    offers_per_s: Annotated[float, Field(gt=0)] = 5.0
    offers_burst: Positive = 40


class WebSettings(Section):
    """HTTP API and the talk page."""

    host: str = "127.0.0.1"
    port: Port = 8080
    # PEM files for HTTPS. Browsers give the microphone to https:// pages and to localhost only.
    cert_file: Path | None = None
    key_file: Path | None = None


class TurnSettings(Section):
    """The turn-taker's constants (ms); decisions themselves are in services.orchestrator.turns."""

    speech_threshold: float = 0.5
    silence_threshold: float = 0.35
    min_speech_ms: Positive = 64
    # First dip: provisional final and PredictTurn are asked.
    pause_ms: Positive = 128
    # What kind of caller to expect; the waits follow each caller's own pauses from there (turns/profile.py).
    profile: Literal["default", "elderly", "noisy", "dictation"] = "default"
    # End of turn: the shortest wait, the wait at even odds, the longest wait (turns/endpoint.py).
    endpoint_complete_ms: Positive = 220
    endpoint_unsure_ms: Positive = 1400
    endpoint_incomplete_ms: Positive = 2000
    # Moves every wait: later is safer, earlier is quicker.
    endpoint_shift_ms: int = 0
    # Replies prepared before the turn is over: at most so many for one utterance.
    max_speculations: Annotated[int, Field(ge=0)] = 3
    # Barge-in: playout pauses after so much speech; short sounds are given back by the second time, clear words stop
    # at once, and a sound that is neither has until the last time to become words (twice that while it goes on).
    barge_in_pause_ms: Positive = 64
    barge_in_decide_ms: Positive = 500
    barge_in_stop_speech_ms: Positive = 350
    barge_in_words_ms: Positive = 1000
    silence_reprompt_ms: Positive = 12_000
    # Silence is asked about so often (again, simpler, with an offer of keys or a person); then the call ends.
    max_reprompts: Annotated[int, Field(ge=0)] = 3
    # An answer that takes longer after the turn was decided gets a word of patience, and one more; 0: none.
    filler_ms: Annotated[int, Field(ge=0)] = 800
    filler_again_ms: Positive = 5_000
    # What the recogniser doubts is asked again, not acted upon (log-probability per token, p(no speech)); so often,
    # then help is offered.
    low_score_logprob: float = -0.9
    low_score_no_speech: Annotated[float, Field(ge=0, le=1)] = 0.6
    foreign_language_probability: Annotated[float, Field(ge=0, le=1)] = 0.8
    max_clarifications: Annotated[int, Field(ge=0)] = 2


class FrontEndSettings(Section):
    """What is done to the caller's audio before anything hears it. Measured in benchmarks/README.md."""

    # "vad": while the agent speaks, the voice detector hears the caller without the echo of the agent's voice, where
    # there is one (a speakerphone); the recogniser hears the line as it is. Costs nothing while the agent is silent.
    aec: Literal["off", "vad"] = "vad"


class AgentSettings(Section):
    """The agent: a released bundle, or a system prompt and the sentences it says by itself.

    What is not set comes from the locale (services.common.sentences); the defaults shown are those of en-US.
    """

    # An agent by its bundle (docs/bundles.md): the id, and the label whose release new calls get. Empty: what follows.
    bundle: str = ""
    label: str = "prod"
    locale: str = "en-US"
    voice: str = ""
    system_prompt: str = str(ENGLISH["system_prompt"])
    greeting: str = str(ENGLISH["greeting"])
    # Legal text, said before the greeting: it is finished whoever speaks. Empty: nothing.
    disclosure: str = ""
    apology_retry: str = str(ENGLISH["apology_retry"])
    apology_goodbye: str = str(ENGLISH["apology_goodbye"])
    # Nobody says anything: asked, asked more simply, offered help.
    reprompt: str = str(ENGLISH["reprompt"])
    reprompt_simpler: str = str(ENGLISH["reprompt_simpler"])
    reprompt_offer: str = str(ENGLISH["reprompt_offer"])
    goodbye: str = str(ENGLISH["goodbye"])
    time_over: str = str(ENGLISH["time_over"])
    # Words that did not come, came too doubtful, came in another language.
    not_understood: str = str(ENGLISH["not_understood"])
    not_understood_score: str = str(ENGLISH["not_understood_score"])
    not_understood_language: str = str(ENGLISH["not_understood_language"])
    # Said one after the other while an answer takes long; empty: silence.
    fillers: tuple[str, ...] = tuple(ENGLISH["fillers"])
    # How the model is told what the caller keyed.
    keyed: Annotated[str, Field(pattern=r"\{keys\}")] = str(ENGLISH["keyed"])
    # A person was asked for and could not be reached: with a call back, and when even that could not be noted.
    call_back: str = str(ENGLISH["call_back"])
    nobody_there: str = str(ENGLISH["nobody_there"])
    max_history_turns: Positive = 12

    @model_validator(mode="before")
    @classmethod
    def _from_locale(cls, values: Any) -> Any:
        """Sentences that are not set are those of the locale."""
        if not isinstance(values, Mapping):
            return values
        return {**sentences_of(str(values.get("locale", "en-US"))), **values}

    def sentences(self) -> tuple[str, ...]:
        """Everything said as it stands, whatever the caller says: made before it is needed."""
        said = (
            self.greeting,
            self.disclosure,
            self.apology_retry,
            self.apology_goodbye,
            self.reprompt,
            self.reprompt_simpler,
            self.reprompt_offer,
            self.goodbye,
            self.time_over,
            self.not_understood,
            self.not_understood_score,
            self.not_understood_language,
            self.call_back,
            self.nobody_there,
            *self.fillers,
        )
        return tuple(dict.fromkeys(text for text in said if text.strip()))


class AuditSettings(Section):
    """The audit log (docs/audit.md). Its keys lie under `data_dir`/audit unless named here; `trunkline audit init`."""

    # What is kept of personal data beside its commitments. none: they can never be opened.
    personal: Literal["none", "sealed", "plain"] = "none"
    # Credentials that may only insert; empty: database.dsn with the role trunkline_audit_writer.
    dsn: str = ""
    log_key_file: Path | None = None
    seal_key_file: Path | None = None
    # A signed checkpoint after so long, when there is something new.
    checkpoint_s: Annotated[float, Field(gt=0)] = 60.0
    # "<url> <public key>" of every witness, e.g. "http://127.0.0.1:8095 witness.example/w1+abcd1234+BA…".
    witnesses: tuple[str, ...] = ()


class RecordsSettings(Section):
    """What of a call's words is stored. Consent comes with the records room; until then: nothing by default."""

    transcripts: Literal["none", "all"] = "none"
    audit: AuditSettings = AuditSettings()


class AdmissionSettings(Section):
    """New calls are refused (HTTP 503, SIP 486) when one more would make callers wait too long for an answer."""

    enabled: bool = True
    # Most that the predicted P95 of voice-to-voice may be. The cpu profile: one call alone has 1.5 s on two cores, and
    # a caller who waits 2.5 s asks whether somebody is there. nvidia: 800 ms.
    target_p95_ms: Positive = 2500
    # Turns and queues of so many seconds are looked at.
    window_s: Annotated[float, Field(ge=1, le=600)] = 30.0
    # With fewer turns in the window nothing is predicted from them, and only so many calls are taken.
    least_turns: Positive = 12
    cold_calls: Positive = 4
    # Once refusing, calls are taken again when the prediction is below this share of the target.
    resume_ratio: Annotated[float, Field(gt=0, le=1)] = 0.85
    # What refused callers are told (Retry-After).
    retry_after_s: Annotated[float, Field(gt=0)] = 5.0


class BundlesSettings(Section):
    """Agents as published bundles (docs/bundles.md)."""

    # Ed25519 key of the people who publish; `trunkline bundle keygen` makes one.
    signing_key: Path = Path("~/.config/trunkline/bundle-key.pem")
    # Public keys (hex) that may publish; empty: the key stored with a bundle is believed (integrity, not origin).
    trusted_keys: tuple[Annotated[str, Field(pattern="^[0-9a-f]{64}$")], ...] = ()

    def trusted(self) -> frozenset[bytes] | None:
        """The keys as bytes; None when none is named."""
        return frozenset(bytes.fromhex(key) for key in self.trusted_keys) or None


class ControlSettings(Section):
    """What stands between a dialogue and systems of record (docs/control.md)."""

    # Agent id → base URL of its back end: backends.bank-retail = "http://127.0.0.1:8090".
    backends: dict[str, Annotated[str, Field(pattern=r"^https?://")]] = {}
    # Acts left open by a dead worker or a lost answer, and reviews past their deadline, are looked for so often.
    recover_every_s: Annotated[float, Field(gt=0)] = 5.0
    # An act that nobody has moved for so long was left: longer than any tool's deadline.
    left_open_s: Annotated[float, Field(gt=0)] = 40.0
    # An act that waits for its back end (degrade.queue) is given up after so long, or its idempotency window.
    queue_s: Positive = 4 * 3600
    # A reviewer has so long; then the caller is called back with a no.
    review_s: Positive = 4 * 3600
    # 32 bytes in hex that wrap the keys of what acts were asked with; empty: made under `data_dir`/control.
    seal_key_file: Path | None = None


class OrchestratorSettings(Section):
    """The process that owns calls."""

    metrics_port: Port = 9050
    # Processes that share the calls of this machine, each with an event loop of its own: about one per core that the
    # models leave free. Worker K's metrics are on metrics_port + 10 + K.
    workers: Annotated[int, Field(ge=1, le=64)] = 1
    # Which of them this process is; `trunkline up` says it. 0: the only one.
    worker: Annotated[int, Field(ge=0, le=64)] = 0
    # Of each worker.
    max_calls: Positive = 60
    # Most audio ever committed to the wire, so that a flush is immediate.
    committed_ms: Annotated[int, Field(ge=20, le=60)] = 60
    llm_first_token_deadline_ms: Positive = 5000
    asr_final_deadline_ms: Positive = 3000
    tts_first_audio_deadline_ms: Positive = 3000
    # A service that fails for so long ends the call, politely.
    give_up_ms: Positive = 12_000
    max_call_s: Positive = 3600
    admission: AdmissionSettings = AdmissionSettings()
    webrtc: WebRtcSettings = WebRtcSettings()
    front_end: FrontEndSettings = FrontEndSettings()
    turns: TurnSettings = TurnSettings()


class ModelsSettings(Section):
    """Where weights lie. Nothing is fetched at run time; `trunkline models fetch` fills the directory."""

    dir: Path = Path("~/.cache/trunkline/models")
    verify_on_start: bool = True
    # The site's own mirror of model repositories (Hugging Face layout); empty: sources of that kind are skipped.
    hub_url: str = ""


class ScriptedSettings(Section):
    """Declared, fixed latencies of the scripted models (`--models scripted`): our own overhead alone is left."""

    asr_final_ms: Positive = 50
    llm_ttft_ms: Positive = 100
    llm_tokens_per_s: Positive = 100
    # Replies at once; 0: no call waits for another.
    llm_slots: Annotated[int, Field(ge=0)] = 0
    tts_ttfa_ms: Positive = 50


class Settings(Section):
    """The whole tree."""

    profile: Literal["cpu", "nvidia"] = "cpu"
    data_dir: Path = Path("~/.local/share/trunkline")
    log: LogSettings = LogSettings()
    metrics: MetricsSettings = MetricsSettings()
    tracing: TracingSettings = TracingSettings()
    rpc: RpcSettings = RpcSettings()
    models: ModelsSettings = ModelsSettings()
    vad: VadSettings = VadSettings()
    asr: AsrSettings = AsrSettings()
    llm: LlmSettings = LlmSettings()
    tts: TtsSettings = TtsSettings()
    telephony: TelephonySettings = TelephonySettings()
    orchestrator: OrchestratorSettings = OrchestratorSettings()
    web: WebSettings = WebSettings()
    database: DatabaseSettings = DatabaseSettings()
    agent: AgentSettings = AgentSettings()
    records: RecordsSettings = RecordsSettings()
    bundles: BundlesSettings = BundlesSettings()
    control: ControlSettings = ControlSettings()
    scripted: ScriptedSettings = ScriptedSettings()


PROFILES: dict[str, dict[str, Any]] = {
    "cpu": {},
    "nvidia": {
        "asr": {
            "model": "whisper-large-v3-turbo",
            "device": "cuda",
            "compute_type": "float16",
            "max_batch": 16,
        },
        "llm": {"engine": "vllm", "model": "qwen3-8b-instruct", "slots": 64, "max_queue": 256},
        "orchestrator": {"admission": {"target_p95_ms": 800, "cold_calls": 16}},
        "tts": {"voices": ["piper-en_US-lessac-medium", "piper-en_GB-alba-medium", "piper-de_DE-thorsten-medium"]},
    },
}


def load_settings(
    path: Path | None = None,
    *,
    profile: str | None = None,
    env: Mapping[str, str] | None = None,
    overrides: Mapping[str, Any] | None = None,
) -> Settings:
    """Read the tree. Raises SettingsError naming the key, what was expected and the nearest known key."""
    from_file = _read_toml(path) if path else {}
    from_env = env_tree(os.environ if env is None else env)
    chosen = profile or (overrides or {}).get("profile") or from_env.get("profile") or from_file.get("profile") or "cpu"
    overlay = PROFILES.get(str(chosen))
    if overlay is None:
        raise SettingsError(f"profile: expected one of {', '.join(PROFILES)}, got {chosen!r}.")
    tree: dict[str, Any] = {}
    for layer in (
        {"profile": chosen},
        overlay,
        from_file,
        from_env,
        dict(overrides or {}),
        {"profile": chosen},
    ):
        tree = _merge(tree, layer)
    try:
        settings = Settings.model_validate(tree)
    except ValidationError as error:
        raise SettingsError("; ".join(_explain(error)), remedy=_where(path)) from None
    return settings


def known_keys(model: type[BaseModel] = Settings, prefix: str = "") -> Iterator[str]:
    """Every key of the tree, dotted."""
    for name, field in model.model_fields.items():
        yield f"{prefix}{name}"
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            yield from known_keys(field.annotation, f"{prefix}{name}.")


def _read_toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise SettingsError(
            f"Cannot read the settings file {path}: {error.strerror}.", remedy="Name a readable TOML file."
        ) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path} is not TOML: {error}.") from error


def env_tree(env: Mapping[str, str]) -> dict[str, Any]:
    """`TRUNKLINE__ASR__MAX_BATCH=4` → {"asr": {"max_batch": "4"}}; a list is written comma-separated."""
    tree: dict[str, Any] = {}
    for name, value in env.items():
        if not name.startswith(ENV_PREFIX):
            continue
        *parents, leaf = name[len(ENV_PREFIX) :].lower().split("__")
        node = tree
        for parent in parents:
            node = node.setdefault(parent, {})
            if not isinstance(node, dict):
                raise SettingsError(f"{name}: {parent} is set as a value and as a section.", remedy="Keep one of them.")
        node[leaf] = _env_value([*parents, leaf], value)
    return tree


def _env_value(path: list[str], value: str) -> Any:
    model: Any = Settings
    for key in path[:-1]:
        field = model.model_fields.get(key) if isinstance(model, type) and issubclass(model, BaseModel) else None
        model = field.annotation if field else None
    is_model = isinstance(model, type) and issubclass(model, BaseModel)
    field = model.model_fields.get(path[-1]) if is_model else None
    if field is not None and "tuple" in str(field.annotation):
        return [part.strip() for part in value.split(",") if part.strip()]
    return value


def _merge(base: dict[str, Any], layer: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for key, value in layer.items():
        old = merged.get(key)
        merged[key] = _merge(old, value) if isinstance(old, dict) and isinstance(value, Mapping) else value
    return merged


def _explain(error: ValidationError) -> Iterator[str]:
    keys = list(known_keys())
    for item in error.errors(include_url=False):
        key = ".".join(str(part) for part in item["loc"])
        if item["type"] == "extra_forbidden":
            nearest = fuzzy.extractOne(key, keys)
            hint = f" Did you mean {nearest[0]}?" if nearest else ""
            yield f"{key}: no such setting.{hint}"
        else:
            # The value may be a secret put in the wrong place: say its type, never the value.
            yield f"{key}: {item['msg']} (got {type(item['input']).__name__})."


def _where(path: Path | None) -> str:
    return f"Settings come from {path} and from {ENV_PREFIX}… in the environment." if path else ""
