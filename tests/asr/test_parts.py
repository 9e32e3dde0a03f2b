"""The small pure parts: agreement, tape, word times, joined segments, the cost of nothing."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from services.asr.agreement import LocalAgreement
from services.asr.audio import to_model_rate
from services.asr.hypothesis import DecodeRequest, Hypothesis, Recognition, Rejection, Word
from services.asr.segments import join
from services.asr.tape import Tape
from services.asr.words import align_words
from services.common.personal import Personal

SENTENCES = st.lists(st.sampled_from(["yes", "no", "pay", "bill", "Pay,", "the"]), max_size=8).map(" ".join)


def heard(text: str, audio_ms: int = 1000, **changes: object) -> Hypothesis:
    words = (Word(Personal(text), 10, 200, 0.5),)
    values: dict[str, object] = {"avg_logprob": -0.2, "no_speech_prob": 0.1, "language": "en", "words": words}
    return Hypothesis(Personal(text), language_probability=1.0, audio_ms=audio_ms, **(values | changes))  # type: ignore[arg-type]


def test_two_hypotheses_that_agree_make_words_stable_whatever_their_punctuation() -> None:
    agreement = LocalAgreement()
    assert agreement.update("I would like") == ("", "I would like")
    assert agreement.update("I would, like to pay") == ("I would, like", "to pay")
    assert agreement.update("I would like to play chess") == ("I would, like to", "play chess")


def test_a_word_that_vanishes_from_what_is_stable_repeats_nothing() -> None:
    agreement = LocalAgreement()
    for text in ("mister John", "mister John had", "mister John had then", "mister John Dashwood had then leisure"):
        stable, unstable = agreement.update(text)
    assert (stable, unstable) == ("mister John had then", "leisure")


@given(st.lists(SENTENCES, max_size=8))
def test_stable_text_only_grows(hypotheses: list[str]) -> None:
    agreement = LocalAgreement()
    before = ""
    for hypothesis in hypotheses:
        stable, _ = agreement.update(hypothesis)
        assert stable.startswith(before)
        before = stable


@given(
    st.lists(st.tuples(st.integers(0, 50), st.integers(0, 400)), max_size=30), st.integers(0, 300), st.integers(0, 99)
)
def test_a_tape_gives_back_exactly_what_is_not_forgotten(steps: list[tuple[int, int]], start: int, length: int) -> None:
    tape = Tape()
    for size, forget in steps:
        tape.append(np.arange(tape.end, tape.end + size, dtype=np.int16))
        tape.forget_before(forget)
        assert tape.start <= tape.end
    got = tape.read(start, start + length)
    begin, end = max(start, tape.start), min(start + length, tape.end)
    assert got.tolist() == list(range(begin, end))


def test_eight_kilohertz_becomes_sixteen_and_sixteen_stays() -> None:
    pcm = np.full(800, 16384, dtype=np.int16)
    assert len(to_model_rate(pcm, 8000)) == 1600
    assert to_model_rate(pcm, 16_000).tolist() == [0.5] * 800


def test_joined_segments_keep_order_times_and_weight() -> None:
    joined = join([(0, heard("one", 1000, avg_logprob=-0.2)), (1000, heard("two", 3000, avg_logprob=-0.6))])
    assert joined.text.reveal() == "one two"
    assert joined.audio_ms == 4000
    assert abs(joined.avg_logprob + 0.5) < 1e-9
    assert [word.start_ms for word in joined.words] == [10, 1010]


def test_how_joined_segments_end_is_said_of_the_last_with_words() -> None:
    first, last = heard("one", 3000, ending_log_odds=-2.0), heard("two", 1000, ending_log_odds=1.5)
    assert join([(0, first), (3000, last)]).ending_log_odds == 1.5
    silent = heard("", 1000).rejected(Rejection.NO_SPEECH)
    assert join([(0, first), (3000, last), (4000, silent)]).ending_log_odds == 1.5


def test_a_rejected_segment_adds_no_text_and_two_of_them_are_a_rejection() -> None:
    silent = heard("x").rejected(Rejection.NO_SPEECH)
    assert join([(0, heard("one")), (1000, silent)]).text.reveal() == "one"
    assert join([(0, silent), (1000, heard("two"))]).words[0].start_ms == 1010
    assert join([(0, silent), (1000, silent)]).rejection is Rejection.NO_SPEECH


class SpacedTokens:
    """One token per piece of a text; pieces begin with a space where a word begins."""

    eot = 999
    language_code = "en"

    def __init__(self, *pieces: str) -> None:
        self.pieces = pieces

    def split_to_word_tokens(self, tokens: list[int]) -> tuple[list[str], list[list[int]]]:
        return [*self.pieces, ""], [[token] for token in tokens]


def test_word_times_come_from_the_alignment_and_punctuation_belongs_to_its_word() -> None:
    tokenizer = SpacedTokens(" “", "yes", ",", " I", " do", "-", "n't")
    path = [(0, 0), (1, 5), (2, 20), (3, 25), (4, 40), (6, 50), (7, 60), (7, 61)]
    words = align_words(tokenizer, list(range(7)), path, [0.5] * 7, audio_ms=1100)
    assert [word.text.reveal() for word in words] == ["“yes,", "I", "do-n't"]
    assert [(word.start_ms, word.end_ms) for word in words] == [(0, 500), (500, 800), (800, 1100)]


def test_what_callers_say_is_in_no_repr() -> None:
    request = DecodeRequest(np.zeros(16, dtype=np.int16), Recognition())
    assert "secret" not in repr(heard("secret"))
    assert "array" not in repr(request)
    assert request.audio_ms == 1
