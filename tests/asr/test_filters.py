"""Invented text is rejected by the model's own scores; what people say is not."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.asr.engine import WhisperEngine
from services.asr.filters import Thresholds, compression_ratio, judge
from services.asr.hypothesis import Hypothesis, Rejection, Word
from services.common.personal import Personal
from tests.asr.speech import clips, decode, in_noise, noises, telephone, wer

LIMITS = Thresholds()


def heard(text: str, logprob: float = -0.2, no_speech: float = 0.05, audio_ms: int = 3000) -> Hypothesis:
    words = tuple(Word(Personal(word), 0, 0, 0.9) for word in text.split())
    return Hypothesis(Personal(text), logprob, no_speech, "en", 1.0, audio_ms, words=words)


@pytest.mark.parametrize(
    ("hypothesis", "reason"),
    [
        (heard("I am going to go to the ground.", -1.8, 0.95), Rejection.NO_SPEECH),
        (heard(".", -0.8, 0.96), Rejection.NO_SPEECH),
        (heard("", -0.1, 0.0), Rejection.NO_SPEECH),
        (heard("Thank you.", -0.6, 0.91), Rejection.NO_SPEECH),
        (heard("you", -1.1, 0.3), Rejection.NO_SPEECH),
        (heard("[Music]", -0.3, 0.2), Rejection.NO_SPEECH),
        (heard("♪♪", -0.3, 0.2), Rejection.NO_SPEECH),
        (heard("(applause) *beep*", -0.3, 0.2), Rejection.NO_SPEECH),
        (heard("Beep " * 56, -0.12, 0.86, 1000), Rejection.REPETITION),
        (heard("and then we go " * 12, -0.1, 0.05, 12_000), Rejection.REPETITION),
        (heard("a completely impossible amount of quick words in one second of audio", -0.2, 0.1, 600), "fast"),
        (heard("It's a bit like a little", -1.9, 0.3), Rejection.LOW_CONFIDENCE),
        (heard("sist", -1.6, 0.5), Rejection.LOW_CONFIDENCE),
    ],
)
def test_the_classic_faults_are_rejected_without_their_text(hypothesis: Hypothesis, reason: object) -> None:
    judged = judge(hypothesis, LIMITS)
    assert judged.rejection is (Rejection.REPETITION if reason == "fast" else reason)
    assert judged.text.reveal() == ""
    assert judged.words == ()


@pytest.mark.parametrize(
    "hypothesis",
    [
        heard("Thank you.", -0.3, 0.1),
        heard("You.", -0.5, 0.2),
        heard("Bye bye.", -0.4, 0.3),
        heard("2", -1.2, 0.16, 750),
        heard("No no no no no no.", -0.3, 0.1, 2500),
        heard("five five five five", -0.3, 0.1, 2000),
        heard("D", -0.6, 0.62, 720),
        heard("Yes.", -0.2, 0.05, 300),
    ],
)
def test_what_people_really_say_passes(hypothesis: Hypothesis) -> None:
    assert judge(hypothesis, LIMITS) == hypothesis


def test_a_loop_after_real_words_is_cut_to_its_first_occurrence() -> None:
    judged = judge(heard("I want to pay " + "my bill " * 30, audio_ms=3000), LIMITS)
    assert judged.rejection is None
    assert judged.text.reveal() == "I want to pay my bill"
    assert [word.text.reveal() for word in judged.words] == ["I", "want", "to", "pay", "my", "bill"]


def test_a_loop_that_breaks_off_in_the_middle_is_found_too() -> None:
    judged = judge(heard("Well, " + "one two three " * 12 + "one", audio_ms=2000), LIMITS)
    assert judged.text.reveal() == "Well, one two three"


def test_a_named_noise_beside_words_is_cut_out() -> None:
    assert judge(heard("[cough] my name is Ada (laughs)"), LIMITS).text.reveal() == "my name is Ada"


@given(st.text(max_size=200), st.floats(-5, 0), st.floats(0, 1), st.integers(0, 30_000))
def test_a_judgement_is_final_and_never_adds_words(text: str, logprob: float, no_speech: float, audio_ms: int) -> None:
    once = judge(heard(text, logprob, no_speech, audio_ms), LIMITS)
    assert len(once.text.reveal()) <= len(text)
    if once.rejection is None:
        assert judge(once, LIMITS).text == once.text
    else:
        assert not once.text.reveal()


def test_repetition_compresses_and_nothing_is_not_divided_by() -> None:
    assert compression_ratio("") == 0
    assert compression_ratio("na " * 100) > 10


@pytest.mark.models
@pytest.mark.parametrize("seconds", [0.5, 2.0, 6.0])
def test_nothing_is_heard_in_silence_noise_tones_hum_clicks_and_music(engine: WhisperEngine, seconds: float) -> None:
    invented = {
        name: judged.text.reveal()
        for name, pcm in noises(seconds).items()
        if (judged := judge(decode(engine, pcm), LIMITS)).rejection is None
    }
    assert not invented


@pytest.mark.models
@pytest.mark.parametrize("line", ["wide", "telephone"])
def test_recorded_speech_passes_the_filters_and_is_understood(engine: WhisperEngine, line: str) -> None:
    pairs = []
    for clip in clips():
        pcm, rate = (clip.pcm, 16_000) if line == "wide" else (telephone(clip.pcm), 8_000)
        judged = judge(decode(engine, pcm, sample_rate_hz=rate), LIMITS)
        assert judged.rejection is None, clip.name
        pairs.append((clip.words, judged.text.reveal()))
    assert wer(pairs) < 0.3


@pytest.mark.models
def test_hotwords_are_not_heard_where_nobody_speaks(engine: WhisperEngine) -> None:
    for name, pcm in noises(1.0).items():
        judged = judge(decode(engine, pcm, hotwords=("refund", "invoice number")), LIMITS)
        assert judged.rejection is not None, (name, judged.text.reveal())


@pytest.mark.models
def test_speech_in_loud_pink_noise_is_not_taken_for_noise(engine: WhisperEngine) -> None:
    pairs = []
    for clip in clips():
        judged = judge(decode(engine, in_noise(clip.pcm, snr_db=10)), LIMITS)
        assert judged.rejection is None, clip.name
        pairs.append((clip.words, judged.text.reveal()))
    assert wer(pairs) < 0.4
