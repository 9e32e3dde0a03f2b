"""The whole tree of settings, and what a profile changes in it."""

from pathlib import Path
from typing import Any, Literal

from services.common.settings.agent import AgentSettings
from services.common.settings.base import Section
from services.common.settings.business import BundlesSettings, ControlSettings, RecordsSettings
from services.common.settings.calls import OrchestratorSettings
from services.common.settings.engines import AsrSettings, LlmSettings, ScriptedSettings, TtsSettings, VadSettings
from services.common.settings.media import TelephonySettings
from services.common.settings.process import (
    DatabaseSettings,
    LogSettings,
    MetricsSettings,
    ModelsSettings,
    RpcSettings,
    TracingSettings,
    WebSettings,
)


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
