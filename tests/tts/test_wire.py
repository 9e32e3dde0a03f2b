"""The wire with the scripted engine: validation, admission, description, order."""

import asyncio
from collections.abc import AsyncIterator

import grpc
import grpc.aio
import pytest

from services.common.clock import SystemClock
from services.common.errors import InvalidInputError, OverloadedError, TrunklineError, UnavailableError
from services.common.rpc_client import REFUSED_WHILE_WRITING, from_rpc_error
from services.common.settings import ScriptedSettings
from services.pb.trunkline.common.v1 import common_pb2
from services.pb.trunkline.tts.v1 import tts_pb2
from services.tts.metrics import CLAUSES, STREAMS
from services.tts.scripted import ScriptedEngine, ScriptedRunner
from services.tts.server import TtsServicer, service_of
from tests.tts.conftest import TtsClient, collect, running, tts_settings

SCRIPTED = tts_settings(engine="scripted")


async def failure(client: TtsClient, *requests: tts_pb2.SynthesizeRequest) -> TrunklineError:
    async def send() -> AsyncIterator[tts_pb2.SynthesizeRequest]:
        for request in requests:
            yield request

    while True:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await collect(client.stub.Synthesize(send(), timeout=10))
        # A client that still writes when the refusal comes sees this in place of the status: ask again.
        if caught.value.details() != REFUSED_WHILE_WRITING:
            return from_rpc_error(caught.value)


def config(**fields: object) -> tts_pb2.SynthesizeRequest:
    return tts_pb2.SynthesizeRequest(config=tts_pb2.SynthesizeConfig(**{"sample_rate_hz": 16000, **fields}))


END = tts_pb2.SynthesizeRequest(end=tts_pb2.End())
TEXT = tts_pb2.SynthesizeRequest(text="Hello! ")


@pytest.mark.parametrize(
    ("requests", "field", "says"),
    [
        ([TEXT], "payload", "config first, got text"),
        ([], "payload", "config first, got nothing"),
        ([tts_pb2.SynthesizeRequest()], "payload", "config first"),
        ([config(sample_rate_hz=11025)], "config.sample_rate_hz", "8000, 16000, 22050, 24000, 48000, got 11025"),
        ([config(sample_rate_hz=0)], "config.sample_rate_hz", "got 0"),
        ([config(speaking_rate=9.0)], "config.speaking_rate", "0.5 to 2.0, got 9"),
        ([config(speaking_rate=float("nan"))], "config.speaking_rate", "got nan"),
        ([config(say={"two words": "x"})], "config.say", "single words of 1 to 40 characters"),
        ([config(say={"word": " … "})], "config.say", "what is said, 1 to 80 characters"),
        ([config(say={f"w{n}": "x" for n in range(65)})], "config.say", "at most 64 words, got 65"),
        ([config(voice="nobody")], "config.voice", "one of scripted, got 'nobody'"),
        ([config(locale="xx-XX")], "config.locale", "en-US"),
        ([config(), config()], "payload", "text, flush or end, got config"),
        ([config(), tts_pb2.SynthesizeRequest()], "payload", "got nothing"),
        ([config(), TEXT, END, TEXT], "payload", "nothing after `end`"),
        ([config(), tts_pb2.SynthesizeRequest(text="x" * 30_000)], "text", "at most 20000"),
    ],
)
async def test_bad_input_is_refused_with_the_field_and_what_was_expected(
    requests: list[tts_pb2.SynthesizeRequest], field: str, says: str
) -> None:
    async with running(SCRIPTED) as client:
        error = await failure(client, *requests)
        assert isinstance(error, InvalidInputError)
        assert error.field == field
        assert says in str(error)
        # And no other call is harmed.
        assert (await client.say("Hello.")).finished is not None


async def test_one_stream_more_than_the_bound_is_refused_with_a_delay_and_the_others_go_on() -> None:
    async with running(tts_settings(engine="scripted", max_streams=2)) as client:
        held = [await client.open() for _ in range(2)]
        for call in held:
            await call.write(TEXT)
            await call.read()
        error = await failure(client, config(), END)
        assert isinstance(error, OverloadedError)
        assert error.retry_after_s > 0
        for call in held:
            await call.write(END)
            assert (await collect(call)).finished is not None
        assert (await client.say("Hello.")).finished is not None


class LateRunner(ScriptedRunner):
    """Has work that has been due for 1.5 s."""

    def lateness_ms(self) -> float:
        return 1500.0


async def test_while_due_audio_waits_new_streams_are_refused_for_as_long() -> None:
    clock = SystemClock()
    servicer = TtsServicer(SCRIPTED, ScriptedEngine(ScriptedSettings()), LateRunner(1, clock), clock)
    async with running(SCRIPTED, service=service_of(servicer)) as client:
        error = await failure(client, config(), END)
        assert isinstance(error, OverloadedError)
        assert error.retry_after_s == 1.5


async def test_before_the_voices_are_loaded_a_stream_is_refused_as_unavailable() -> None:
    async with running(SCRIPTED, warm=False) as client:
        assert isinstance(await failure(client, config(), END), UnavailableError)
        assert len((await client.stub.ListVoices(tts_pb2.ListVoicesRequest())).voices) == 1


async def test_no_log_line_holds_what_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    async with running(SCRIPTED) as client:
        await client.say("Your password is marmalade.")
        await failure(client, config(), tts_pb2.SynthesizeRequest(text="marmalade " * 3000))
    captured = capsys.readouterr()
    assert "tts warm" in captured.out + captured.err
    assert "marmalade" not in captured.out + captured.err


async def test_a_cancelled_stream_gives_its_place_back() -> None:
    async with running(tts_settings(engine="scripted", max_streams=1)) as client:
        for _ in range(5):
            call = await client.open()
            await call.write(TEXT)
            await call.read()
            call.cancel()
            async with asyncio.timeout(5):
                while not await admitted(client):
                    # The server hears of the cancellation when it hears of it.
                    continue


async def admitted(client: TtsClient) -> bool:
    try:
        return (await client.say("Hello!")).finished is not None
    except grpc.aio.AioRpcError as error:
        if error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED or error.details() == REFUSED_WHILE_WRITING:
            return False
        raise


async def test_a_client_that_reads_nothing_and_leaves_frees_its_place() -> None:
    """Audio nobody reads stops at the flow-control window; cancelling then ends a handler that waits to write."""
    async with running(tts_settings(engine="scripted", max_streams=1, ahead_ms=3_600_000)) as client:
        call = await client.open(sample_rate_hz=48000)
        await call.write(tts_pb2.SynthesizeRequest(text="Internationalisation! " * 600))
        await call.write(END)
        async with asyncio.timeout(10):
            made = -1.0
            while (clauses := CLAUSES.labels(source="model")._value.get()) != made:
                made = clauses
                for _ in range(30):
                    await client.stub.ListVoices(tts_pb2.ListVoicesRequest())
            assert STREAMS._value.get() == 1
            call.cancel()
            while not await admitted(client):
                continue


async def test_each_clause_is_announced_before_its_audio_and_finished_comes_last() -> None:
    async with running(SCRIPTED) as client:
        spoken = await client.say(["Hel", "lo, this is", " a test. And", " more."])
        assert spoken.order[0] == "clause"
        assert spoken.order[-1] == "finished"
        assert spoken.order.count("finished") == 1
        assert "".join(clause.text for clause in spoken.clauses) == "Hello, this is a test. And more."
        assert [clause.index for clause in spoken.clauses] == list(range(len(spoken.clauses)))
        assert spoken.finished is not None
        assert spoken.finished.samples * 2 == len(spoken.pcm)


async def test_a_half_closed_stream_counts_as_ended() -> None:
    async with running(SCRIPTED) as client:
        call = await client.open()
        await call.write(tts_pb2.SynthesizeRequest(text="Hello there"))
        await call.done_writing()
        assert [clause.text for clause in (await collect(call)).clauses] == ["Hello there"]


async def test_the_scripted_engine_says_what_it_is() -> None:
    async with running(SCRIPTED) as client:
        described = await client.stub.Describe(common_pb2.DescribeRequest())
        assert (described.service, described.engine) == ("tts", "scripted")
        assert described.details["tts_ttfa_ms"] == "50"
        assert not (await client.stub.Load(common_pb2.LoadRequest())).queues
        voices = (await client.stub.ListVoices(tts_pb2.ListVoicesRequest())).voices
        assert [(voice.name, voice.default_for_locale) for voice in voices] == [("scripted", True)]


async def test_the_scripted_engine_takes_the_agents_voice_and_locale() -> None:
    async with running(tts_settings(engine="scripted", voice="piper-de", locale="de-DE")) as client:
        assert (await client.say("Hallo!", voice="piper-de", locale="de-DE")).finished is not None


async def test_the_scripted_latency_holds_for_repeated_phrases_too() -> None:
    async with running(SCRIPTED) as client:
        for _ in range(2):
            spoken = await client.say("Hello again.")
            assert not spoken.clauses[0].cached
            assert spoken.clauses[0].timings.total_ms >= 50
