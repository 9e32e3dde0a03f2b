"""The real engines, loaded once: tiny.en for most, base for several languages."""

from collections.abc import Callable

import pytest

from services.asr.engine import WhisperEngine
from services.asr.hypothesis import Engine
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


@pytest.fixture(scope="session")
def text_of(engine: Engine) -> Callable[..., str]:
    """Text of 16 kHz samples, decoded alone."""
    from tests.asr.speech import text

    return lambda pcm, **config: text(engine, pcm, **config)
