"""The real engines, loaded once: tiny.en for most, base for several languages."""

import pytest

from services.asr.engine import WhisperEngine
from services.common.models import ModelStore
from services.common.settings import Settings, load_settings


@pytest.fixture(scope="session")
def settings() -> Settings:
    return load_settings(env={})


@pytest.fixture(scope="session")
def engine(settings: Settings) -> WhisperEngine:
    return WhisperEngine(settings.asr, ModelStore(settings.models).path(settings.asr.model))


@pytest.fixture(scope="session")
def base(settings: Settings) -> WhisperEngine:
    asr = settings.asr.model_copy(update={"model": "whisper-base"})
    return WhisperEngine(asr, ModelStore(settings.models).path("whisper-base"))
