"""Which engine the settings name. Engines import their libraries lazily: an image installs only what it runs."""

from services.common.clock import Clock
from services.common.settings import Settings
from services.llm.engine import Engine


def make_engine(settings: Settings, clock: Clock) -> Engine:
    """The engine, not yet started."""
    match settings.llm.engine:
        case "xllamacpp":
            from services.llm.xllamacpp_engine import XllamacppEngine

            return XllamacppEngine(settings, clock)
        case "vllm":
            from services.llm.vllm_engine import VllmEngine

            return VllmEngine(settings, clock)
        case "scripted":
            from services.llm.scripted import UNLIMITED_SLOTS, ScriptedEngine

            return ScriptedEngine(settings.scripted, clock, settings.scripted.llm_slots or UNLIMITED_SLOTS)
