"""The state machine of one call: marks and audio in, effects out, without a clock."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.asr.call import CallRecognition
from services.asr.effects import (
    Cancel,
    Decode,
    Effect,
    JobKind,
    Limits,
    MarkKind,
    Promote,
    SendError,
    SendFinal,
    SendPartial,
)
from services.asr.hypothesis import Hypothesis, Recognition, Rejection, Word
from services.common.errors import InvalidInputError, OverloadedError
from services.common.personal import Personal

RATE = 16_000
LIMITS = Limits(preroll_ms=400, max_utterance_ms=10_000, cut_search_ms=2_000)
M = MarkKind


def heard(text: str, audio_ms: int = 1000, **scores: float) -> Hypothesis:
    return Hypothesis(
        text=Personal(text),
        avg_logprob=scores.get("avg_logprob", -0.2),
        no_speech_prob=0.1,
        language="en",
        language_probability=1.0,
        audio_ms=audio_ms,
        words=tuple(Word(Personal(w), i * 100, i * 100 + 90, 0.9) for i, w in enumerate(text.split())),
    )


class Call:
    """Feeds a CallRecognition in ms of audio whose samples count their own position (modulo 2**15)."""

    def __init__(self, limits: Limits = LIMITS, rate: int = RATE) -> None:
        self.rate = rate
        self.sut = CallRecognition(Recognition(sample_rate_hz=rate), limits)
        self.at = 0

    def audio(self, ms: int, hop_ms: int | None = None) -> list[Effect]:
        effects: list[Effect] = []
        for _ in range(ms // 100):
            n = self.rate // 10
            pcm = ((np.arange(n) + self.at) % 32768).astype(np.int16)
            self.at += n
            effects += self.sut.audio(pcm, hop_ms)
        return effects

    def mark(self, kind: MarkKind, utterance: int = 1, deadline_ms: int = 0) -> list[Effect]:
        return self.sut.mark(kind, utterance, deadline_ms)


def only(effects: list[Effect]) -> Effect:
    assert len(effects) == 1, effects
    return effects[0]


def job(effects: list[Effect]) -> Decode:
    found = [effect for effect in effects if isinstance(effect, Decode)]
    assert len(found) == 1, effects
    return found[0]


def test_a_pause_is_decoded_at_once_with_the_preroll_and_answered_provisionally() -> None:
    call = Call()
    call.audio(2000)
    assert call.mark(M.SPEECH_STARTED) == []
    call.audio(1000)
    decode = job(call.mark(M.SPEECH_PAUSED, deadline_ms=300))
    assert (decode.kind, decode.deadline_ms, decode.request.words) == (JobKind.PROVISIONAL, 300, True)
    assert decode.request.audio_ms == 1400
    assert decode.request.pcm[0] == (2000 - 400) * 16 % 32768
    answer = only(call.sut.decoded(decode.job_id, heard("hello")))
    assert isinstance(answer, SendFinal)
    assert answer.provisional
    assert answer.hypothesis.text.reveal() == "hello"


def test_the_text_of_a_provisional_comes_before_its_words_and_only_once() -> None:
    call = Call()
    call.mark(M.SPEECH_STARTED)
    call.audio(1000)
    decode = job(call.mark(M.SPEECH_PAUSED))
    answer = only(call.sut.early(decode.job_id, heard("hello")))
    assert isinstance(answer, SendFinal)
    assert answer.provisional
    assert call.sut.decoded(decode.job_id, heard("hello")) == []
    assert isinstance(only(call.mark(M.FINALIZE)), SendFinal)


def test_finalize_between_a_text_and_its_words_waits_for_the_words() -> None:
    call = Call()
    call.mark(M.SPEECH_STARTED)
    call.audio(1000)
    decode = job(call.mark(M.SPEECH_PAUSED))
    call.sut.early(decode.job_id, heard("hello"))
    assert only(call.mark(M.FINALIZE)) == Promote(decode.job_id, 0)
    answer = only(call.sut.decoded(decode.job_id, heard("hello")))
    assert isinstance(answer, SendFinal)
    assert not answer.provisional


def test_after_a_resumption_the_next_pause_is_answered_again() -> None:
    call = Call()
    call.mark(M.SPEECH_STARTED)
    call.audio(1000)
    first = job(call.mark(M.SPEECH_PAUSED))
    call.sut.early(first.job_id, heard("one"))
    call.mark(M.SPEECH_RESUMED)
    assert call.sut.early(first.job_id, heard("one")) == []
    second = job(call.mark(M.SPEECH_PAUSED))
    assert len(call.sut.early(second.job_id, heard("one two"))) == 1


def test_finalize_after_a_pause_is_answered_by_the_provisional_without_work() -> None:
    call = Call()
    call.mark(M.SPEECH_STARTED)
    call.audio(1000)
    decode = job(call.mark(M.SPEECH_PAUSED))
    call.sut.decoded(decode.job_id, heard("hello"))
    call.audio(300)
    answer = only(call.mark(M.FINALIZE))
    assert isinstance(answer, SendFinal)
    assert (answer.provisional, answer.job_id) == (False, None)
    assert answer.hypothesis.text.reveal() == "hello"
    assert call.sut.idle()


def test_finalize_while_the_provisional_is_decoded_promotes_it_and_sends_one_final_only() -> None:
    call = Call()
    call.mark(M.SPEECH_STARTED)
    call.audio(1000)
    decode = job(call.mark(M.SPEECH_PAUSED))
    assert only(call.mark(M.FINALIZE, deadline_ms=200)) == Promote(decode.job_id, 200)
    answer = only(call.sut.decoded(decode.job_id, heard("hello")))
    assert isinstance(answer, SendFinal)
    assert not answer.provisional


def test_resumed_speech_voids_the_provisional_and_everything_is_decoded_at_the_next_pause() -> None:
    call = Call()
    call.mark(M.SPEECH_STARTED)
    call.audio(1000)
    first = job(call.mark(M.SPEECH_PAUSED))
    call.audio(200)
    assert only(call.mark(M.SPEECH_RESUMED)) == Cancel(first.job_id)
    assert call.sut.decoded(first.job_id, heard("half")) == []
    call.audio(800)
    second = job(call.mark(M.SPEECH_PAUSED))
    assert second.request.audio_ms == 2000
    call.sut.decoded(second.job_id, heard("half and whole"))
    answer = only(call.mark(M.FINALIZE))
    assert isinstance(answer, SendFinal)
    assert answer.hypothesis.text.reveal() == "half and whole"


def test_finalize_without_a_pause_decodes_all_of_it_as_a_final() -> None:
    call = Call()
    call.mark(M.SPEECH_STARTED)
    call.audio(700)
    decode = job(call.mark(M.FINALIZE))
    assert (decode.kind, decode.request.audio_ms) == (JobKind.FINAL, 700)
    assert not call.sut.idle()


def test_a_failed_provisional_is_reported_and_tried_again_at_finalize() -> None:
    call = Call()
    call.mark(M.SPEECH_STARTED)
    call.audio(700)
    decode = job(call.mark(M.SPEECH_PAUSED))
    error = OverloadedError("Recognition", retry_after_s=0.1)
    assert only(call.sut.failed(decode.job_id, error)) == SendError(1, error)
    again = job(call.mark(M.FINALIZE))
    assert again.request.audio_ms == 700
    assert isinstance(only(call.sut.decoded(again.job_id, heard("late"))), SendFinal)


def test_a_failed_final_ends_the_utterance_with_an_error_and_the_next_one_works() -> None:
    call = Call()
    call.mark(M.SPEECH_STARTED)
    call.audio(700)
    decode = job(call.mark(M.FINALIZE))
    error = OverloadedError("Recognition", retry_after_s=0.1)
    assert only(call.sut.failed(decode.job_id, error)) == SendError(1, error)
    assert call.sut.idle()
    assert call.mark(M.SPEECH_STARTED, 2) == []


def test_the_next_utterance_may_begin_while_the_last_one_waits_for_its_final() -> None:
    call = Call()
    call.mark(M.SPEECH_STARTED, 1)
    call.audio(500)
    first = job(call.mark(M.FINALIZE, 1))
    call.mark(M.SPEECH_STARTED, 2)
    call.audio(500)
    second = job(call.mark(M.SPEECH_PAUSED, 2))
    answer = only(call.sut.decoded(second.job_id, heard("two")))
    assert isinstance(answer, SendFinal)
    assert (answer.utterance_id, answer.provisional) == (2, True)
    answer = only(call.sut.decoded(first.job_id, heard("one")))
    assert isinstance(answer, SendFinal)
    assert (answer.utterance_id, answer.provisional) == (1, False)


def test_audio_after_the_pause_belongs_to_the_next_utterance_but_decoded_audio_never_does() -> None:
    call = Call()
    call.mark(M.SPEECH_STARTED, 1)
    call.audio(1000)
    call.mark(M.SPEECH_PAUSED, 1)
    call.audio(200)
    call.mark(M.FINALIZE, 1)
    call.mark(M.SPEECH_STARTED, 2)
    call.audio(500)
    assert job(call.mark(M.SPEECH_PAUSED, 2)).request.audio_ms == 700


def test_discard_cancels_the_work_and_forgets_the_audio() -> None:
    call = Call()
    call.mark(M.SPEECH_STARTED, 1)
    call.audio(500)
    decode = job(call.mark(M.SPEECH_PAUSED, 1))
    assert only(call.mark(M.DISCARD, 1)) == Cancel(decode.job_id)
    assert call.sut.idle()
    call.mark(M.SPEECH_STARTED, 2)
    call.audio(300)
    assert job(call.mark(M.FINALIZE, 2)).request.audio_ms == 300


def test_a_finalized_utterance_can_still_be_discarded() -> None:
    call = Call()
    call.mark(M.SPEECH_STARTED, 1)
    call.audio(500)
    decode = job(call.mark(M.FINALIZE, 1))
    assert only(call.mark(M.DISCARD, 1)) == Cancel(decode.job_id)
    assert call.sut.decoded(decode.job_id, heard("never said")) == []
    assert call.sut.idle()


@pytest.mark.parametrize(
    ("before", "mark"),
    [
        ([], M.SPEECH_PAUSED),
        ([], M.SPEECH_RESUMED),
        ([], M.FINALIZE),
        ([], M.DISCARD),
        ([M.SPEECH_STARTED], M.SPEECH_STARTED),
        ([M.SPEECH_STARTED], M.SPEECH_RESUMED),
        ([M.SPEECH_STARTED, M.SPEECH_PAUSED], M.SPEECH_PAUSED),
        ([M.SPEECH_STARTED, M.SPEECH_PAUSED], M.SPEECH_STARTED),
        ([M.SPEECH_STARTED, M.FINALIZE], M.FINALIZE),
        ([M.SPEECH_STARTED, M.DISCARD], M.SPEECH_STARTED),
    ],
)
def test_a_mark_out_of_order_is_a_typed_error_and_changes_nothing(before: list[MarkKind], mark: MarkKind) -> None:
    call = Call()
    for kind in before:
        call.mark(kind)
        call.audio(200)
    answer = only(call.mark(mark))
    assert isinstance(answer, SendError)
    assert isinstance(answer.error, InvalidInputError)
    assert answer.error.field in {"mark.kind", "mark.utterance_id"}


def test_partials_come_every_hop_and_show_what_two_hypotheses_agree_on() -> None:
    call = Call()
    call.mark(M.SPEECH_STARTED)
    first = job(call.audio(500, hop_ms=500))
    assert (first.kind, first.request.words) == (JobKind.PARTIAL, False)
    partial = only(call.sut.decoded(first.job_id, heard("I want")))
    assert isinstance(partial, SendPartial)
    assert (partial.stable.reveal(), partial.unstable.reveal()) == ("", "I want")
    second = job(call.audio(500, hop_ms=500))
    partial = only(call.sut.decoded(second.job_id, heard("I want to go")))
    assert isinstance(partial, SendPartial)
    assert (partial.stable.reveal(), partial.unstable.reveal()) == ("I want", "to go")


def test_no_partials_under_load_before_speech_or_in_a_pause() -> None:
    call = Call()
    assert call.audio(1000, hop_ms=500) == []
    call.mark(M.SPEECH_STARTED)
    assert call.audio(1000, hop_ms=None) == []
    call.mark(M.SPEECH_PAUSED)
    assert call.audio(1000, hop_ms=500) == []


def test_a_pause_cancels_the_partial_that_is_under_way() -> None:
    call = Call()
    call.mark(M.SPEECH_STARTED)
    partial = job(call.audio(500, hop_ms=500))
    assert Cancel(partial.job_id) in call.mark(M.SPEECH_PAUSED)


def test_a_rejected_partial_says_nothing() -> None:
    call = Call()
    call.mark(M.SPEECH_STARTED)
    partial = job(call.audio(500, hop_ms=500))
    assert call.sut.decoded(partial.job_id, heard("").rejected(Rejection.NO_SPEECH)) == []


def test_a_long_utterance_is_decoded_in_segments_that_its_final_joins_without_loss() -> None:
    call = Call()
    call.mark(M.SPEECH_STARTED)
    cut = job(call.audio(10_000))
    assert cut.kind is JobKind.SEGMENT
    assert call.sut.decoded(cut.job_id, heard("the first part", cut.request.audio_ms)) == []
    call.audio(3000)
    decode = job(call.mark(M.FINALIZE))
    assert cut.request.audio_ms + decode.request.audio_ms == 13_000
    answer = only(call.sut.decoded(decode.job_id, heard("and the rest", decode.request.audio_ms)))
    assert isinstance(answer, SendFinal)
    assert answer.hypothesis.text.reveal() == "the first part and the rest"
    assert answer.hypothesis.audio_ms == 13_000
    assert answer.hypothesis.words[3].start_ms == cut.request.audio_ms


def test_the_cut_is_made_at_the_quietest_place() -> None:
    sut = CallRecognition(Recognition(), LIMITS)
    sut.mark(M.SPEECH_STARTED, 1, 0)
    loud = np.full(RATE // 10, 8000, dtype=np.int16)
    effects: list[Effect] = []
    for i in range(100):
        effects += sut.audio(loud if i != 90 else np.zeros_like(loud), None)
    assert abs(job(effects).request.audio_ms - 9050) <= 50


def test_a_refused_segment_is_tried_again_and_its_words_are_not_lost() -> None:
    call = Call()
    call.mark(M.SPEECH_STARTED)
    cut = job(call.audio(10_000))
    assert call.sut.failed(cut.job_id, OverloadedError("Recognition", retry_after_s=0.1)) == []
    again = job(call.audio(100))
    assert np.array_equal(again.request.pcm, cut.request.pcm)
    call.sut.decoded(again.job_id, heard("first"))
    last = job(call.mark(M.FINALIZE))
    answer = only(call.sut.decoded(last.job_id, heard("last")))
    assert isinstance(answer, SendFinal)
    assert answer.hypothesis.text.reveal() == "first last"


def test_a_pause_longer_than_the_bound_keeps_its_text_and_no_silence() -> None:
    call = Call()
    call.mark(M.SPEECH_STARTED)
    call.audio(1000)
    decode = job(call.mark(M.SPEECH_PAUSED))
    call.sut.decoded(decode.job_id, heard("before"))
    call.audio(20_000)
    call.mark(M.SPEECH_RESUMED)
    call.audio(600)
    after = job(call.mark(M.SPEECH_PAUSED))
    assert after.request.audio_ms == 1000
    answer = only(call.sut.decoded(after.job_id, heard("after")))
    assert isinstance(answer, SendFinal)
    assert answer.hypothesis.text.reveal() == "before after"


def test_too_many_unanswered_utterances_are_refused() -> None:
    call = Call(Limits(max_finalizing=2))
    for n in range(2):
        call.mark(M.SPEECH_STARTED, n)
        call.audio(100)
        call.mark(M.FINALIZE, n)
    answer = only(call.mark(M.SPEECH_STARTED, 2))
    assert isinstance(answer, SendError)
    assert isinstance(answer.error, OverloadedError)


@given(
    st.lists(
        st.one_of(
            st.tuples(st.just("mark"), st.sampled_from(list(MarkKind)), st.integers(0, 4)),
            st.tuples(st.just("audio"), st.integers(1, 40), st.none()),
            st.tuples(st.just("done"), st.booleans(), st.none()),
        ),
        max_size=60,
    )
)
def test_whatever_comes_memory_is_bounded_and_every_utterance_gets_at_most_one_final(script: list[tuple]) -> None:
    call = Call(Limits(max_utterance_ms=2000, cut_search_ms=500))
    waiting: dict[int, Decode] = {}
    finals: list[int] = []

    def note(effects: list[Effect]) -> None:
        for effect in effects:
            match effect:
                case Decode():
                    assert effect.request.audio_ms <= 2000 + 400 + 100
                    waiting[effect.job_id] = effect
                case Cancel(job_id):
                    waiting.pop(job_id)
                case Promote(job_id, _):
                    assert job_id in waiting
                case SendFinal(utterance_id, False, _, _):
                    finals.append(utterance_id)
                case _:
                    pass

    for step, a, b in script:
        match step:
            case "mark":
                note(call.mark(a, b))
            case "audio":
                note(call.audio(a * 100, hop_ms=500))
            case "done" if waiting:
                decode = waiting.pop(min(waiting))
                if a:
                    note(call.sut.early(decode.job_id, heard("word", decode.request.audio_ms)))
                    note(call.sut.decoded(decode.job_id, heard("word", decode.request.audio_ms)))
                else:
                    note(call.sut.failed(decode.job_id, OverloadedError("Recognition", retry_after_s=1)))
        tape = call.sut._tape
        assert tape.end - tape.start <= (2000 + 500) * 16
    assert len(finals) == len(set(finals))
