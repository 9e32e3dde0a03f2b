"""The vad contract against the real engines, over gRPC, with recorded speech."""

import asyncio

import grpc
import numpy as np
import pytest

from services.common.clock import SystemClock
from services.common.rpc_client import open_channel
from services.common.rpc_server import serve
from services.common.settings import load_settings
from services.pb.trunkline.common.v1 import common_pb2
from services.pb.trunkline.vad.v1 import vad_pb2, vad_pb2_grpc
from services.vad.server import build
from tests.vad.recorded import RATE_HZ, READINGS, frames, model_dir, over_g711, reading, silence


class Lab:
    """A served vad and one stub; `detect` runs a whole stream."""

    def __init__(self, server, channel):
        self.server, self.channel = server, channel
        self.stub = vad_pb2_grpc.VadServiceStub(channel)

    async def detect(self, requests):
        async def send():
            for request in requests:
                yield request

        return [response async for response in self.stub.Detect(send(), timeout=30)]

    async def probabilities(self, requests):
        by_call = {}
        for response in await self.detect(requests):
            assert not response.errors
            for d in response.detections:
                by_call.setdefault(d.call_id, []).append((d.seq, d.speech_probability))
        return by_call


async def start(**vad):
    settings = load_settings(env={}, overrides={"vad": vad})
    clock = SystemClock()
    server = await serve(build(settings, clock), settings.rpc, clock, host="127.0.0.1", port=0)
    return Lab(server, open_channel(f"127.0.0.1:{server.port}", settings.rpc))


async def stop(lab):
    await lab.channel.close()
    await lab.server.stop()


@pytest.fixture
async def real():
    for model in ("silero-vad-v6", "smart-turn-v3.2", "speech-test"):
        model_dir(model)
    lab = await start(turn_queue_ms=60_000)  # However busy the machine is: speed is not what these tests are about.
    yield lab
    await stop(lab)


@pytest.fixture
async def scripted():
    lab = await start(engine="scripted", max_calls=2)
    yield lab
    await stop(lab)


def each_frame(call):
    return [vad_pb2.DetectRequest(frames=[frame]) for frame in call]


@pytest.mark.models
async def test_speech_is_heard_and_the_silence_around_it_is_not(real):
    speech = np.concatenate([silence(640), reading("0870"), silence(960)])
    got = (await real.probabilities(each_frame(frames("a", speech))))["a"]
    p = np.array([probability for _, probability in got])
    assert [seq for seq, _ in got] == list(range(len(got)))
    assert p[:18].max() < 0.3
    assert p[-15:].max() < 0.3
    assert np.mean(p[25:-35] > 0.5) > 0.8


@pytest.mark.models
async def test_speech_of_a_telephone_line_is_heard_as_well(real):
    line = over_g711(np.concatenate([silence(640), reading("0870"), silence(960)]))
    p = np.array([probability for _, probability in (await real.probabilities(each_frame(frames("a", line))))["a"]])
    assert p[:18].max() < 0.3
    assert p[-15:].max() < 0.3
    assert np.mean(p[25:-35] > 0.5) > 0.8


@pytest.mark.models
async def test_a_tone_hum_and_hiss_are_not_speech(real):
    t = np.arange(RATE_HZ * 2) / RATE_HZ
    noises = {
        "hum": 0.1 * np.sin(2 * np.pi * 50 * t),
        "hiss": 0.02 * np.random.default_rng(0).standard_normal(len(t)),
    }
    for name, noise in noises.items():
        got = await real.probabilities(each_frame(frames(name, (noise * 32767).astype("<i2"))))
        assert np.mean([p > 0.5 for _, p in got[name]]) < 0.1, name


@pytest.mark.models
async def test_a_call_gives_exactly_the_same_answers_alone_and_among_others(real):
    calls = {number: frames(number, reading(number)) for number in READINGS}
    alone = {}
    for call in calls.values():
        alone |= await real.probabilities(each_frame(call))
    longest = max(len(call) for call in calls.values())
    ticks = [
        vad_pb2.DetectRequest(frames=[call[tick] for call in calls.values() if tick < len(call)])
        for tick in range(longest)
    ]
    assert await real.probabilities(ticks) == alone
    # All frames of all calls in one message: the pile-up is run in order and changes nothing either.
    heap = vad_pb2.DetectRequest(frames=[f for call in calls.values() for f in call])
    assert await real.probabilities([heap]) == alone
    # And as many client processes at once.
    streams = await asyncio.gather(*(real.probabilities(each_frame(call)) for call in calls.values()))
    assert {k: v for stream in streams for k, v in stream.items()} == alone


@pytest.mark.models
async def test_hanging_up_frees_the_state_so_that_the_next_call_of_that_name_starts_fresh(real):
    call = frames("a", reading("0890"))
    twice = [*each_frame(call[:60]), vad_pb2.DetectRequest(closed_call_ids=["a"]), *each_frame(call[:60])]
    got = (await real.probabilities(twice))["a"]
    assert got[:60] == got[60:]


@pytest.mark.models
async def test_a_finished_sentence_is_more_complete_than_one_cut_in_the_middle(real):
    finished, cut = [], []
    for number in READINGS:
        whole = np.concatenate([reading(number), silence(200)])
        half = np.concatenate([reading(number)[: len(reading(number)) // 2], silence(200)])
        for samples, into in ((whole, finished), (half, cut)):
            request = vad_pb2.PredictTurnRequest(call_id="a", pcm=samples.tobytes(), sample_rate_hz=RATE_HZ)
            into.append((await real.stub.PredictTurn(request, timeout=10)).complete_probability)
    assert np.median(finished) > 0.6
    assert np.median(cut) < 0.5
    assert np.mean(finished) > np.mean(cut) + 0.2


@pytest.mark.models
async def test_eight_kilohertz_audio_gives_nearly_the_same_turn_probability(real):
    samples = np.concatenate([reading("0870"), silence(200)])
    wide = await real.stub.PredictTurn(vad_pb2.PredictTurnRequest(pcm=samples.tobytes(), sample_rate_hz=16_000))
    half = over_g711(samples)[::2].tobytes()
    narrow = await real.stub.PredictTurn(vad_pb2.PredictTurnRequest(pcm=half, sample_rate_hz=8_000))
    assert wide.complete_probability > 0.5
    assert narrow.complete_probability > 0.5


@pytest.mark.models
async def test_detect_answers_while_turns_are_being_predicted(real):
    samples = reading("0870").tobytes()
    turns = [
        asyncio.ensure_future(
            real.stub.PredictTurn(vad_pb2.PredictTurnRequest(pcm=samples, sample_rate_hz=16_000), timeout=20)
        )
        for _ in range(4)
    ]
    await asyncio.sleep(0)
    got = await real.probabilities(each_frame(frames("a", reading("0880")[: 512 * 5])))
    assert len(got["a"]) == 5
    assert not all(turn.done() for turn in turns)
    await asyncio.gather(*turns)


@pytest.mark.models
async def test_describe_names_engine_models_and_hashes(real):
    facts = await real.stub.Describe(common_pb2.DescribeRequest(), timeout=5)
    assert (facts.service, facts.engine, facts.device) == ("vad", "onnxruntime", "cpu")
    assert [m.name for m in facts.models] == ["silero-vad-v6", "smart-turn-v3.2"]
    assert all(len(m.sha256) == 64 for m in facts.models)


async def test_bad_frames_are_answered_one_by_one_and_harm_no_other_call(scripted):
    good = frames("good", (np.ones(512 * 3) * 8000).astype("<i2"))
    requests = [
        vad_pb2.DetectRequest(frames=[good[0], vad_pb2.Frame(call_id="bad", seq=0, pcm=b"abc")]),
        vad_pb2.DetectRequest(frames=[good[0], good[1], vad_pb2.Frame(call_id="", pcm=good[0].pcm)]),
        vad_pb2.DetectRequest(frames=[good[2]]),
    ]
    first, second, third = await scripted.detect(requests)
    assert [(e.call_id, e.seq) for e in first.errors] == [("bad", 0)]
    assert "expected 1024 bytes" in first.errors[0].message
    assert ["step back" in e.message or "call_id" in e.message for e in second.errors] == [True, True]
    assert [d.seq for r in (first, second, third) for d in r.detections] == [0, 1, 2]
    assert first.detections[0].speech_probability == 1.0


async def test_a_call_too_many_is_refused_by_name_and_the_others_go_on(scripted):
    requests = [vad_pb2.DetectRequest(frames=[f for n in "abc" for f in frames(n, silence(32))])]
    (response,) = await scripted.detect(requests)
    assert [d.call_id for d in response.detections] == ["a", "b"]
    assert [e.call_id for e in response.errors] == ["c"]
    assert "RESOURCE_EXHAUSTED" in response.errors[0].message
    # The stream above has ended, so its calls are free again.
    (response,) = await scripted.detect([vad_pb2.DetectRequest(frames=frames("c", silence(32)))])
    assert not response.errors


async def test_scripted_engine_says_so_and_every_turn_is_complete(scripted):
    facts = await scripted.stub.Describe(common_pb2.DescribeRequest(), timeout=5)
    assert facts.engine == "scripted"
    reply = await scripted.stub.PredictTurn(vad_pb2.PredictTurnRequest(pcm=bytes(640), sample_rate_hz=16_000))
    assert reply.complete_probability == 1.0


async def test_audio_at_an_unknown_rate_is_invalid_argument(scripted):
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await scripted.stub.PredictTurn(vad_pb2.PredictTurnRequest(pcm=bytes(640), sample_rate_hz=44_100))
    assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert "sample_rate_hz" in refused.value.details()


async def test_bytes_that_are_no_protobuf_end_their_own_rpc_only(scripted):
    method = "/trunkline.vad.v1.VadService"
    garbage = b"\xff\xfe\xfd not a message"
    good = scripted.stub.Detect(timeout=10)
    await good.write(vad_pb2.DetectRequest(frames=frames("good", silence(32))))
    assert (await good.read()).detections
    with pytest.raises(grpc.aio.AioRpcError) as unary:
        await scripted.channel.unary_unary(f"{method}/PredictTurn")(garbage, timeout=5)
    bad = scripted.channel.stream_stream(f"{method}/Detect")(timeout=5)
    await bad.write(garbage)
    with pytest.raises(grpc.aio.AioRpcError) as streamed:
        await bad.read()
    for refused in (unary, streamed):
        assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    await good.write(vad_pb2.DetectRequest(frames=frames("good", silence(32), first_seq=1)))
    assert (await good.read()).detections[0].seq == 1
    good.cancel()


async def test_a_client_that_vanishes_leaves_no_call_behind(scripted):
    for _ in range(5):
        stream = scripted.stub.Detect(timeout=10)
        await stream.write(vad_pb2.DetectRequest(frames=[*frames("a", silence(32)), *frames("b", silence(32))]))
        assert len((await stream.read()).detections) == 2
        stream.cancel()
        # The service hears of it a moment later: with two places, the next client must find both free again.
        await until_free(scripted)


async def until_free(lab):
    for _ in range(200):
        (response,) = await lab.detect(
            [vad_pb2.DetectRequest(frames=[*frames("x", silence(32)), *frames("y", silence(32))])]
        )
        if not response.errors:
            return
    raise AssertionError("the calls of a vanished client were not freed")
