"""Whether an utterance ends with its words: what is asked, what is remembered, and (models) what MiniLM makes of it."""

from pathlib import Path

import numpy as np
import pytest

from services.asr.endings import MOST_LOG_ODDS, MOST_WORDS, Endings, Head, plain, shipped_head
from services.common.models import ModelStore
from services.common.settings import load_settings
from services.minilm import WIDTH, Floats


class ScriptedReader:
    """States of zeros but for the last, which is `value` everywhere."""

    def __init__(self, value: float) -> None:
        self.value = value
        self.seen: list[str] = []

    def states(self, text: str) -> Floats:
        self.seen.append(text)
        states = np.zeros((3, WIDTH), dtype=np.float32)
        states[-1] = self.value
        return states


def head(second_bias: float = 0.0) -> Head:
    """The mean of the state's numbers where it is positive."""
    first = np.full((WIDTH, 1), 1 / WIDTH, dtype=np.float32)
    return Head(first, np.zeros(1, dtype=np.float32), np.ones(1, dtype=np.float32), second_bias)


def test_the_last_state_is_judged_and_odds_beyond_what_was_learnt_are_cut() -> None:
    assert Endings(ScriptedReader(2.0), head(-0.5)).log_odds("That's all.", "en") == pytest.approx(1.5)
    assert Endings(ScriptedReader(90.0), head()).log_odds("That's all.", "en") == MOST_LOG_ODDS
    assert Endings(ScriptedReader(0.0), head(-90.0)).log_odds("That's all.", "en") == -MOST_LOG_ODDS


@pytest.mark.parametrize(("text", "language"), [("", "en"), ("…", "en"), ("Das ist alles.", "de")])
def test_no_words_and_other_languages_have_no_opinion(text: str, language: str) -> None:
    reader = ScriptedReader(1.0)
    assert Endings(reader, head()).log_odds(text, language) is None
    assert reader.seen == []


def test_the_recognisers_punctuation_is_not_read() -> None:
    reader = ScriptedReader(1.0)
    endings = Endings(reader, head())
    assert endings.log_odds("And then,", "en") == endings.log_odds("and then...", "en")
    assert reader.seen == ["and then", "and then"]


def test_of_a_long_text_the_end_is_read() -> None:
    text = " ".join(str(n) for n in range(100))
    assert plain(text).split() == [str(n) for n in range(100 - MOST_WORDS, 100)]


def test_a_head_is_read_as_it_was_saved(tmp_path: Path) -> None:
    head(0.25).save(tmp_path / "head.npz")
    read = Head.read(tmp_path / "head.npz")
    assert read.second_bias == 0.25
    assert read.log_odds(np.ones(WIDTH, dtype=np.float32)) == pytest.approx(1.25, abs=1e-3)


def test_the_shipped_head_fits_the_model() -> None:
    shipped = shipped_head()
    assert shipped.first.shape[0] == WIDTH
    assert shipped.log_odds(np.zeros((5, WIDTH), dtype=np.float32)).shape == (5,)


@pytest.fixture(scope="module")
def real() -> Endings:
    settings = load_settings(env={})
    return Endings.load(ModelStore(settings.models).path(settings.asr.ending_model))


@pytest.mark.models
@pytest.mark.parametrize(
    ("whole", "cut"),
    [
        ("I'd like to cancel my appointment.", "I'd like to cancel my."),
        ("Could you send the invoice to my office?", "Could you send the invoice to my?"),
        ("The train was late so I missed my flight.", "The train was late so I missed."),
        ("My neighbour says the gate is still locked.", "My neighbour says the gate is still."),
    ],
)
def test_whole_sentences_look_more_whole_than_cut_ones(real: Endings, whole: str, cut: str) -> None:
    of_whole, of_cut = real.log_odds(whole, "en"), real.log_odds(cut, "en")
    assert of_whole is not None
    assert of_cut is not None
    assert of_whole > of_cut + 0.5
