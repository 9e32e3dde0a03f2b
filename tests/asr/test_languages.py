"""Several languages with the multilingual base model: detection, a fixed locale, words."""

import pytest

from services.asr.engine import WhisperEngine
from services.asr.hypothesis import Recognition
from services.common.errors import InvalidInputError
from tests.asr.speech import card, decode, librivox, wer

pytestmark = pytest.mark.models


def test_an_empty_locale_is_detected_with_probabilities(base: WhisperEngine) -> None:
    found = decode(base, librivox()[0].pcm, locale="")
    assert found.language == "en"
    assert found.language_probability > 0.8
    assert len(found.languages) == 3
    assert found.languages[0] == (found.language, found.language_probability)
    assert wer([(librivox()[0].words, found.text.reveal())]) < 0.2


def test_base_gives_words_with_times_and_probabilities(base: WhisperEngine) -> None:
    found = decode(base, card(5).pcm, locale="en-GB")
    times = [t for word in found.words for t in (word.start_ms, word.end_ms)]
    assert " ".join(word.text.reveal() for word in found.words) == found.text.reveal()
    assert times == sorted(times)
    assert (found.language, found.language_probability) == ("en", 1.0)


def test_calls_of_different_languages_share_a_batch_and_each_keeps_its_own(base: WhisperEngine) -> None:
    from services.asr.hypothesis import DecodeRequest

    requests = [DecodeRequest(card(1).pcm, Recognition(locale=locale), words=True) for locale in ("de", "", "en-US")]
    assert len({base.group(request) for request in requests}) == 1
    german, detected, english = base.recognise(requests)
    assert (german.language, german.language_probability) == ("de", 1.0)
    assert detected.languages[0][1] < 1
    assert english.text.reveal() == decode(base, card(1).pcm).text.reveal()


@pytest.mark.parametrize("locale", ["xx", "tlh"])
def test_a_language_that_whisper_does_not_know_is_refused(base: WhisperEngine, locale: str) -> None:
    with pytest.raises(InvalidInputError) as refused:
        base.check(Recognition(locale=locale))
    assert refused.value.field == "config.locale"


def test_norwegian_bokmal_is_whispers_norwegian(base: WhisperEngine) -> None:
    base.check(Recognition(locale="nb-NO"))
