"""The espeak front end and a voice's configuration: any text gives ids the model knows; a bad file is named."""

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.common.errors import MissingModelError
from services.tts.phonemes import EspeakPhonemizer, VoiceConfig, is_sound, load_voice_config
from services.tts.spoken import spoken_words
from services.tts.timing import assign_words

CONFIG = {
    "audio": {"sample_rate": 22050},
    "espeak": {"voice": "en-us"},
    "inference": {"noise_scale": 0.6, "length_scale": 1, "noise_w": 0.8},
    "phoneme_id_map": {"_": [0], "^": [1], "$": [2], " ": [3], "a": [14], "b": [15], ".": [10]},
    "num_speakers": 1,
    "language": {"code": "en_GB"},
}


@pytest.fixture(scope="module")
def phonemizer() -> EspeakPhonemizer:
    return EspeakPhonemizer("en-us")


def written(path: Path, **changes: object) -> Path:
    file = path / "voice.onnx.json"
    file.write_text(json.dumps({**CONFIG, **changes}))
    return file


def test_every_id_is_owned_by_the_phoneme_it_came_from_and_unknown_symbols_are_left_out(tmp_path: Path) -> None:
    config: VoiceConfig = load_voice_config(written(tmp_path))
    ids, owners = config.ids(["a", "☃", "b", "."])
    assert ids == [1, 0, 14, 0, 15, 0, 10, 0, 2]
    assert owners == [None, None, 0, 0, 2, 2, 3, 3, None]
    assert config.locale == "en-GB"


@pytest.mark.parametrize(
    "changes", [{"audio": {}}, {"phoneme_type": "pinyin"}, {"num_speakers": 904}, {"phoneme_id_map": []}, {"espeak": 1}]
)
def test_a_configuration_that_cannot_be_used_is_refused_by_name(tmp_path: Path, changes: dict[str, object]) -> None:
    with pytest.raises(MissingModelError, match=r"voice\.onnx\.json"):
        load_voice_config(written(tmp_path, **changes))


def test_a_file_that_is_not_json_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "voice.onnx.json").write_text("{")
    with pytest.raises(MissingModelError, match=r"voice\.onnx\.json"):
        load_voice_config(tmp_path / "voice.onnx.json")


@settings(max_examples=60, deadline=None)
@given(st.text(max_size=80))
def test_any_text_can_be_phonemized_and_each_sound_belongs_to_a_word(text: str) -> None:
    phonemizer = EspeakPhonemizer("en-us")
    words = spoken_words(text)
    phonemes = phonemizer.phonemes(" ".join(word.spoken for word in words))
    assigned = assign_words(phonemes, [phonemizer.word(word.spoken) for word in words])
    if words:
        assert sum(map(len, assigned)) == sum(is_sound(phoneme) for phoneme in phonemes)


def test_sentences_within_a_clause_are_joined_and_punctuation_is_kept(phonemizer: EspeakPhonemizer) -> None:
    phonemes = phonemizer.phonemes("Yes. Of course, I can!")
    assert phonemes.count(".") == 1
    assert phonemes.count(",") == 1
    assert phonemes[-1] == "!"


def test_a_word_alone_has_no_punctuation(phonemizer: EspeakPhonemizer) -> None:
    assert all(is_sound(phoneme) for phoneme in phonemizer.word("Hello,"))
