"""The asr contract against the real engine, over a real channel, with recorded human speech."""

import asyncio
from collections.abc import AsyncIterator

import grpc
import grpc.aio
import numpy as np
import pytest
import pytest_asyncio

from services.common.clock import VirtualClock
from services.common.settings import Settings
from services.pb.trunkline.asr.v1 import asr_pb2 as pb
from services.pb.trunkline.asr.v1 import asr_pb2_grpc
from services.pb.trunkline.common.v1 import common_pb2
from tests.asr.speech import card, clips, librivox, noises, telephone, wer
from tests.asr.wire import DISCARD, FINALIZE, PAUSED, RESUMED, STARTED, Stream, serving

pytestmark = [pytest.mark.models, pytest.mark.asyncio(loop_scope="module")]
Stub = asr_pb2_grpc.AsrServiceStub


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def stub(settings: Settings) -> AsyncIterator[Stub]:
    # A busy machine must not turn a test of the contract into one of overload.
    patient = settings.asr.model_copy(update={"max_queue_ms": 60_000})
    async with serving(settings.model_copy(update={"asr": patient})) as stub:
        yield stub


async def test_describe_names_the_engine_the_model_its_hash_and_the_device(stub: Stub) -> None:
    answer = await stub.Describe(common_pb2.DescribeRequest(), timeout=5)
    assert (answer.service, answer.engine, answer.device) == ("asr", "ctranslate2", "cpu")
    assert answer.models[0].name == "whisper-tiny.en"
    assert answer.models[1].name == "all-minilm-l6-v2-int8"
    assert [len(model.sha256) for model in answer.models] == [64, 64]
    assert answer.details["compute_type"].startswith("int8")


@pytest.mark.parametrize("rate", [16_000, 8_000])
async def test_recorded_speech_is_understood_at_both_rates(stub: Stub, rate: int) -> None:
    stream = Stream(stub, rate, locale="en-US")
    pairs = []
    for number, clip in enumerate(clips()):
        final = await stream.say(clip.pcm if rate == 16_000 else telephone(clip.pcm), number)
        assert final.rejection == pb.Final.REJECTION_UNSPECIFIED
        assert abs(final.audio_ms - clip.ms) <= 100 or number
        pairs.append((clip.words, final.text))
    assert await stream.rest() == []
    assert wer(pairs) < 0.25


async def test_a_final_carries_words_in_order_scores_language_and_times(stub: Stub) -> None:
    clip = librivox()[0]
    stream = Stream(stub, locale="en-US")
    await stream.mark(STARTED)
    await stream.audio(clip.pcm)
    await stream.mark(FINALIZE)
    final = await stream.answer("final")
    times = [t for word in final.words for t in (word.start_ms, word.end_ms)]
    assert " ".join(word.text for word in final.words) == final.text
    assert times == sorted(times)
    assert times[-1] <= final.audio_ms == clip.ms
    assert all(0 < word.probability <= 1 for word in final.words)
    assert -1 < final.avg_logprob < 0
    assert final.no_speech_prob < 0.3
    assert final.HasField("ending_log_odds")
    assert (final.language, final.language_probability) == ("en", 1.0)
    assert final.timings.compute_ms > 0
    assert final.timings.total_ms >= final.timings.compute_ms + final.timings.queue_ms


async def test_the_provisional_final_is_the_final_when_nothing_was_voiced_since(stub: Stub) -> None:
    stream = Stream(stub)
    await stream.mark(STARTED)
    await stream.audio(librivox()[4].pcm)
    await stream.mark(PAUSED)
    provisional = await stream.answer("final")
    assert provisional.provisional
    await stream.audio(np.zeros(4800, dtype=np.int16))
    await stream.mark(FINALIZE)
    final = await stream.answer("final")
    assert not final.provisional
    assert final.text == provisional.text
    # The text of a provisional final does not wait for word times; the final has them.
    assert not provisional.words
    assert " ".join(word.text for word in final.words) == final.text


async def test_speech_that_goes_on_after_a_pause_is_in_the_final(stub: Stub) -> None:
    first, second = librivox()[4], librivox()[1]
    stream = Stream(stub)
    await stream.mark(STARTED)
    await stream.audio(first.pcm)
    await stream.mark(PAUSED)
    await stream.mark(RESUMED)
    await stream.audio(second.pcm)
    await stream.mark(PAUSED)
    await stream.mark(FINALIZE)
    finals = [r.final for r in await stream.rest() if r.WhichOneof("payload") == "final" and not r.final.provisional]
    assert len(finals) == 1
    assert wer([(f"{first.words} {second.words}", finals[0].text)]) < 0.3


async def test_partials_grow_and_their_stable_words_never_change(settings: Settings) -> None:
    # On a clock that stands still the decoder is never busy, so that every hop gives its partial.
    async with serving(settings, VirtualClock()) as stub:
        stream = Stream(stub, partial_interval_ms=500)
        await stream.mark(STARTED)
        stable = [""]
        pcm = librivox()[3].pcm
        for start in range(0, len(pcm) - 8000, 8000):
            await stream.audio(pcm[start : start + 8000])
            partial = await stream.answer("partial")
            assert partial.stable_text.startswith(stable[-1])
            stable.append(partial.stable_text)
        await stream.mark(FINALIZE)
        final = await stream.answer("final")
    assert len(stable[-1].split()) >= len(final.text.split()) // 2


async def test_hotwords_decide_between_what_sounds_alike(stub: Stub) -> None:
    clip = card(2)
    without = await Stream(stub).say(clip.pcm)
    favoured = await Stream(stub, hotwords=["queen of clubs"]).say(clip.pcm)
    assert "clubs" not in without.text.lower()
    assert "queen of clubs" in favoured.text.lower()


async def test_an_utterance_can_do_without_the_hotwords_of_its_call(stub: Stub) -> None:
    stream = Stream(stub, hotwords=["queen of clubs"])
    narrow = await stream.say(card(2).pcm, 1, without_hotwords=True)
    wide = await stream.say(card(2).pcm, 2)
    assert "clubs" not in narrow.text.lower()
    assert "queen of clubs" in wide.text.lower()


async def test_n_best_alternatives_differ_and_begin_with_the_text(stub: Stub) -> None:
    final = await Stream(stub, max_alternatives=4).say(card(2).pcm)
    texts = [alternative.text for alternative in final.alternatives]
    assert texts[0] == final.text
    assert 2 <= len(texts) == len(set(texts)) <= 4


async def test_calls_at_the_same_time_hear_the_same_as_alone(stub: Stub) -> None:
    chosen = [card(1), card(3), card(5), librivox()[1], librivox()[4]]
    alone = [(await Stream(stub).say(clip.pcm, pause=False)).text for clip in chosen]
    together = await asyncio.gather(*(Stream(stub).say(clip.pcm, pause=False) for clip in chosen))
    assert [final.text for final in together] == alone


async def test_noise_is_rejected_with_its_reason_and_without_text(stub: Stub) -> None:
    stream = Stream(stub)
    for number, (name, pcm) in enumerate(noises(1.0).items()):
        final = await stream.say(pcm, number, pause=False)
        assert final.rejection != pb.Final.REJECTION_UNSPECIFIED, name
        assert (final.text, list(final.words), list(final.alternatives)) == ("", [], [])


async def test_an_utterance_past_the_bound_loses_no_words(settings: Settings) -> None:
    asr = settings.asr.model_copy(update={"max_utterance_ms": 8000})
    gap = np.zeros(8000, dtype=np.int16)
    pcm = np.concatenate([part for clip in librivox() for part in (clip.pcm, gap)])
    async with serving(settings.model_copy(update={"asr": asr})) as stub:
        final = await Stream(stub).say(pcm, pause=False)
    assert final.audio_ms == len(pcm) // 16
    assert wer([(" ".join(clip.words for clip in librivox()), final.text)]) < 0.25
    assert final.words[-1].start_ms > 20_000


async def test_a_discarded_utterance_is_not_answered(stub: Stub) -> None:
    stream = Stream(stub)
    await stream.mark(STARTED, 1)
    await stream.audio(card(1).pcm)
    await stream.mark(DISCARD, 1)
    final = await stream.say(card(3).pcm, 2, pause=False)
    assert final.utterance_id == 2
    assert await stream.rest() == []


async def test_half_closing_after_finalize_still_gives_the_final(stub: Stub) -> None:
    stream = Stream(stub)
    await stream.mark(STARTED)
    await stream.audio(card(1).pcm)
    await stream.mark(FINALIZE)
    answers = await stream.rest()
    assert [answer.final.provisional for answer in answers] == [False]


async def test_a_mark_out_of_order_is_an_error_of_its_utterance_and_the_stream_lives(stub: Stub) -> None:
    stream = Stream(stub)
    await stream.mark(FINALIZE, 7)
    error = await stream.answer("error")
    assert (error.utterance_id, error.code) == (7, grpc.StatusCode.INVALID_ARGUMENT.value[0])
    assert "SPEECH_STARTED" in error.message
    await stream.mark(pb.Mark.KIND_UNSPECIFIED, 8)
    assert (await stream.answer("error")).utterance_id == 8
    await stream.mark(STARTED, 8, deadline_ms=10_000_000)
    assert "deadline_ms" in (await stream.answer("error")).message
    assert (await stream.say(card(1).pcm, 9)).text


CONFIG = {"call_id": "c", "sample_rate_hz": 16_000}


@pytest.mark.parametrize(
    ("request_", "field"),
    [
        ({"audio": pb.Audio(seq=0, pcm=b"\0\0")}, "config"),
        ({}, "config"),
        ({"config": pb.RecognizeConfig(sample_rate_hz=16_000)}, "config.call_id"),
        ({"config": pb.RecognizeConfig(call_id="c", sample_rate_hz=44_100)}, "config.sample_rate_hz"),
        ({"config": pb.RecognizeConfig(**CONFIG, locale="de-DE")}, "config.locale"),
        ({"config": pb.RecognizeConfig(**CONFIG, locale="../etc")}, "config.locale"),
        ({"config": pb.RecognizeConfig(**CONFIG, hotwords=["word"] * 33)}, "config.hotwords"),
        ({"config": pb.RecognizeConfig(**CONFIG, hotwords=["antidisestablishment"] * 32)}, "config.hotwords"),
        ({"config": pb.RecognizeConfig(**CONFIG, hotwords=[" "])}, "config.hotwords"),
        ({"config": pb.RecognizeConfig(**CONFIG, partial_interval_ms=5)}, "config.partial_interval_ms"),
        ({"config": pb.RecognizeConfig(**CONFIG, max_alternatives=50)}, "config.max_alternatives"),
    ],
)
async def test_a_bad_beginning_is_refused_naming_the_field(stub: Stub, request_: dict, field: str) -> None:
    rpc = stub.Recognize(iter([pb.RecognizeRequest(**request_)]), timeout=10)
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await rpc.read()
    assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert refused.value.details().startswith(f"{field}:")


@pytest.mark.parametrize(
    ("audio", "field"),
    [
        ({"seq": 1, "pcm": b"\0\0"}, "audio.seq"),
        ({"seq": 0, "pcm": b"\0\0\0"}, "audio.pcm"),
        ({"seq": 0, "pcm": b""}, "audio.pcm"),
        ({"seq": 0, "pcm": bytes(100_000)}, "audio.pcm"),
    ],
)
async def test_bad_audio_ends_its_stream_and_no_other(stub: Stub, audio: dict, field: str) -> None:
    other, bad = Stream(stub), Stream(stub)
    await other.mark(STARTED)
    await bad.send(audio=pb.Audio(**audio))
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await bad.answer()
    assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert refused.value.details().startswith(f"{field}:")
    await other.audio(card(1).pcm)
    await other.mark(FINALIZE)
    assert (await other.answer("final")).text


async def test_a_cancelled_call_leaves_nothing_behind_and_others_go_on(stub: Stub) -> None:
    gone, stays = Stream(stub, partial_interval_ms=200), Stream(stub)
    await gone.mark(STARTED)
    await gone.audio(librivox()[0].pcm)
    await gone.mark(PAUSED)
    gone.rpc.cancel()
    assert (await stays.say(card(1).pcm)).text


async def test_overload_is_an_error_of_the_utterance_with_a_time_to_retry_and_a_retry_works(settings: Settings) -> None:
    asr = settings.asr.model_copy(update={"max_queue_ms": 150, "max_batch": 1})
    async with serving(settings.model_copy(update={"asr": asr})) as stub:
        streams = [Stream(stub) for _ in range(8)]
        for stream in streams:
            await stream.mark(STARTED, 1)
            await stream.audio(card(5).pcm)
        for stream in streams:
            await stream.mark(FINALIZE, 1)
        answers = await asyncio.gather(*(stream.answer() for stream in streams))
        refused = [(s, a) for s, a in zip(streams, answers, strict=True) if isinstance(a, pb.UtteranceError)]
        assert 1 <= len(refused) < 8
        for _, error in refused:
            assert error.code == grpc.StatusCode.RESOURCE_EXHAUSTED.value[0]
            assert error.retry_after_ms > 0
        assert (await refused[0][0].say(card(1).pcm, 2, pause=False)).text


async def test_more_calls_than_allowed_are_refused(settings: Settings) -> None:
    scripted = settings.asr.model_copy(update={"engine": "scripted", "max_calls": 1})
    async with serving(settings.model_copy(update={"asr": scripted})) as stub:
        first = Stream(stub)
        await first.mark(FINALIZE)
        await first.answer("error")
        second = Stream(stub)
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await second.rpc.read()
        assert refused.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED


async def test_load_names_the_kinds_of_work_and_how_busy_finals_keep_the_decoder(stub: Stub) -> None:
    load = await stub.Load(common_pb2.LoadRequest(), timeout=5)
    assert {queue.kind for queue in load.queues} <= {"final", "partial"}
    assert 0 <= load.utilisation <= 1
