"""What the engine itself promises: batches change nothing, bad decodes are tried again, missing parts are named."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from services.asr.engine import WhisperEngine
from services.asr.hypothesis import DecodeRequest, Hypothesis, Recognition
from services.common.errors import InvalidInputError, TrunklineError
from services.common.models import ModelStore
from services.common.settings import AsrSettings, Settings
from tests.asr.speech import Clip, card, librivox, noises

pytestmark = pytest.mark.models
EN = Recognition(locale="en")


def requests(chosen: list[Clip]) -> list[DecodeRequest]:
    return [DecodeRequest(clip.pcm, EN, words=True) for clip in chosen]


def test_one_batch_of_several_calls_gives_each_what_it_gets_alone(engine: WhisperEngine) -> None:
    batch = requests([card(1), card(2), card(3), librivox()[1]])
    assert len({engine.group(request) for request in batch}) == 1

    def essence(h: Hypothesis) -> tuple[str, list[tuple[str, int]]]:
        return h.text.reveal(), [(word.text.reveal(), word.start_ms) for word in h.words]

    alone = [essence(engine.recognise([request])[0]) for request in batch]
    assert [essence(h) for h in engine.recognise(batch)] == alone


def test_what_needs_another_window_prompt_or_beam_is_not_batched(engine: WhisperEngine) -> None:
    pcm = card(1).pcm
    different = [
        DecodeRequest(pcm, EN, words=True),
        DecodeRequest(pcm, EN, words=False),
        DecodeRequest(librivox()[0].pcm, EN, words=True),
        DecodeRequest(pcm, Recognition(hotwords=("clubs",)), words=True),
        DecodeRequest(pcm, Recognition(alternatives=3), words=True),
    ]
    assert len({engine.group(request) for request in different}) == len(different)


def test_the_window_is_short_and_never_longer_than_whispers(engine: WhisperEngine) -> None:
    seconds = {s: engine.window_ms(DecodeRequest(np.zeros(s * 16_000, np.int16), EN)) for s in (0, 3, 5, 12, 29)}
    assert seconds == {0: 6_000, 3: 6_000, 5: 8_000, 12: 14_000, 29: 30_000}


def test_the_safe_window_can_be_had_from_the_start(settings: Settings) -> None:
    asr = settings.asr.model_copy(update={"window": "safe"})
    engine = WhisperEngine(asr, ModelStore(settings.models).path(asr.model))
    assert engine.window_ms(DecodeRequest(np.zeros(16_000, np.int16), EN)) == 10_000
    assert engine.info.details["window"] == "max(10 s, speech + 4 s)"


@pytest.mark.parametrize(("sound", "windows"), [("breath", [6_000, 10_000]), ("speech", [6_000])])
def test_a_bad_decode_in_the_short_window_is_tried_again_in_the_safe_one(
    engine: WhisperEngine, monkeypatch: pytest.MonkeyPatch, sound: str, windows: list[int]
) -> None:
    pcm = card(5).pcm if sound == "speech" else noises(1.0)[sound]
    asked: list[int] = []
    encode = engine._encode

    def watched(batch: Sequence[DecodeRequest], window_ms: int) -> Any:
        asked.append(window_ms)
        return encode(batch, window_ms)

    monkeypatch.setattr(engine, "_encode", watched)
    engine.recognise([DecodeRequest(pcm, EN, words=True)])
    assert asked == windows


@pytest.mark.parametrize("samples", [0, 1, 100, 160, 3200])
def test_however_little_audio_there_is_the_engine_answers(engine: WhisperEngine, samples: int) -> None:
    found = engine.recognise([DecodeRequest(np.zeros(samples, np.int16), EN, words=True)])
    assert found[0].audio_ms == samples // 16


def test_full_scale_and_thirty_seconds_are_decoded_too(engine: WhisperEngine) -> None:
    rng = np.random.default_rng(1)
    loud = rng.choice(np.array([-32768, 32767], dtype=np.int16), 30 * 16_000)
    found = engine.recognise([DecodeRequest(loud, EN, words=True)])
    assert found[0].audio_ms == 30_000


def test_an_english_model_refuses_another_language_and_says_what_to_do(engine: WhisperEngine) -> None:
    with pytest.raises(InvalidInputError, match="multilingual"):
        engine.check(Recognition(locale="fr-FR"))
    engine.check(Recognition(locale="en-IN"))
    engine.check(Recognition(locale=""))


def test_an_unknown_compute_type_is_refused_naming_those_of_this_machine(settings: Settings) -> None:
    with pytest.raises(TrunklineError, match=r"asr\.compute_type: expected one of .*int8.*, got 'int3'"):
        WhisperEngine(AsrSettings(compute_type="int3"), Path("nowhere"))


def test_a_machine_without_a_gpu_says_so_and_what_to_set(settings: Settings) -> None:
    ctranslate2 = pytest.importorskip("ctranslate2")
    if ctranslate2.get_cuda_device_count():
        pytest.skip("this machine has a GPU")
    with pytest.raises(TrunklineError, match=r"asr\.device=cpu"):
        WhisperEngine(AsrSettings(device="cuda", compute_type="float16"), Path("nowhere"))
