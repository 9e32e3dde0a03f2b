"""One typed tree of settings, documented by its own defaults.

Order, later wins: the defaults below, the profile's overlay (`cpu` or `nvidia`), a TOML file, the environment
(`TRUNKLINE__ASR__THREADS=2`), then command-line overrides. An unknown key is an error that names the nearest one.
"""

from services.common.settings.agent import AgentSettings
from services.common.settings.base import Section
from services.common.settings.business import AuditSettings, BundlesSettings, ControlSettings, RecordsSettings
from services.common.settings.calls import AdmissionSettings, OrchestratorSettings, TurnSettings
from services.common.settings.engines import AsrSettings, LlmSettings, ScriptedSettings, TtsSettings, VadSettings
from services.common.settings.load import ENV_PREFIX, env_tree, known_keys, load_settings
from services.common.settings.media import FrontEndSettings, SipSettings, TelephonySettings, WebRtcSettings
from services.common.settings.process import (
    DatabaseSettings,
    LogSettings,
    MetricsSettings,
    ModelsSettings,
    RpcSettings,
    ServiceSettings,
    TlsSettings,
    TracingSettings,
    WebSettings,
)
from services.common.settings.tree import PROFILES, Settings

__all__ = [
    "ENV_PREFIX",
    "PROFILES",
    "AdmissionSettings",
    "AgentSettings",
    "AsrSettings",
    "AuditSettings",
    "BundlesSettings",
    "ControlSettings",
    "DatabaseSettings",
    "FrontEndSettings",
    "LlmSettings",
    "LogSettings",
    "MetricsSettings",
    "ModelsSettings",
    "OrchestratorSettings",
    "RecordsSettings",
    "RpcSettings",
    "ScriptedSettings",
    "Section",
    "ServiceSettings",
    "Settings",
    "SipSettings",
    "TelephonySettings",
    "TlsSettings",
    "TracingSettings",
    "TtsSettings",
    "TurnSettings",
    "VadSettings",
    "WebRtcSettings",
    "WebSettings",
    "env_tree",
    "known_keys",
    "load_settings",
]
