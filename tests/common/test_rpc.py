"""gRPC builders over real sockets: health, reflection, typed errors, mTLS with rotation, drain, retries."""

import asyncio
from collections.abc import AsyncIterator

import grpc
import pytest
import structlog.testing
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from services.common.clock import SystemClock
from services.common.errors import InvalidInputError, OverloadedError, SettingsError, UnavailableError
from services.common.rpc_client import from_rpc_error, open_channel
from services.common.rpc_server import GrpcService, serve
from services.common.settings import RpcSettings, TlsSettings
from services.orchestrator.clients.wire import why_ended
from services.pb.trunkline.vad.v1 import vad_pb2, vad_pb2_grpc
from tests.common.certificates import write_certificates

NAME = "trunkline.vad.v1.VadService"
PLAIN = RpcSettings()


class EchoVad(vad_pb2_grpc.VadServiceServicer):
    """A fake service that tests the builders: fails in each of the ways a service can."""

    def __init__(self):
        self.predictions = 0
        self.entered = asyncio.Event()
        self.release = asyncio.Event()

    async def PredictTurn(self, request, context):
        self.predictions += 1
        if request.call_id == "bad":
            raise InvalidInputError("pcm", expected="an even number of bytes", got="3")
        if request.call_id == "bug":
            raise ZeroDivisionError("secret text")
        if request.call_id == "flaky" and self.predictions < 3:
            await context.abort(grpc.StatusCode.UNAVAILABLE, "not yet")
        if request.call_id == "slow":
            self.entered.set()
            await self.release.wait()
        return vad_pb2.PredictTurnResponse(complete_probability=0.5)

    async def Detect(self, requests, context) -> AsyncIterator[vad_pb2.DetectResponse]:
        async for _ in requests:
            raise OverloadedError("vad", retry_after_s=0.25)
        raise InvalidInputError("frames", expected="some", got="nothing")
        yield vad_pb2.DetectResponse()


class Lab:
    """One server and one channel."""

    def __init__(self, servicer, server, channel):
        self.servicer, self.server, self.channel = servicer, server, channel
        self.stub = vad_pb2_grpc.VadServiceStub(channel)

    async def predict(self, call_id="x", timeout=5.0):
        return await self.stub.PredictTurn(vad_pb2.PredictTurnRequest(call_id=call_id), timeout=timeout)


@pytest.fixture
async def start():
    labs = []

    async def make(rpc=PLAIN):
        servicer = EchoVad()
        service = GrpcService("vad", [NAME], lambda s: vad_pb2_grpc.add_VadServiceServicer_to_server(servicer, s))
        server = await serve(service, rpc, SystemClock(), host="127.0.0.1", port=0)
        lab = Lab(servicer, server, open_channel(f"127.0.0.1:{server.port}", rpc))
        labs.append(lab)
        return lab

    yield make
    for lab in labs:
        lab.servicer.release.set()
        await lab.channel.close()
        await lab.server.stop()


async def _error(awaitable):
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await awaitable
    return from_rpc_error(raised.value)


async def test_a_typed_error_crosses_the_wire_as_itself(start):
    lab = await start()
    error = await _error(lab.predict("bad"))
    assert isinstance(error, InvalidInputError)
    assert error.field == "pcm"
    assert "expected an even number of bytes, got 3" in str(error)


async def test_what_a_server_refuses_stands_in_its_log_once_a_second_without_what_came(start):
    lab = await start()
    with structlog.testing.capture_logs() as logs:
        for _ in range(3):
            await _error(lab.predict("bad"))
    assert [line for line in logs if line["event"] == "rpc refused"] == [
        {
            "event": "rpc refused",
            "log_level": "warning",
            "method": "PredictTurn",
            "code": "INVALID_ARGUMENT",
            "error": "InvalidInputError",
            "field": "pcm",
        }
    ]


async def test_what_a_client_left_unfinished_is_not_told_and_what_it_ended_is(start):
    lab = await start()
    with structlog.testing.capture_logs() as logs:
        gone = lab.stub.Detect(timeout=5)
        await gone.wait_for_connection()
        gone.cancel()
        await asyncio.sleep(0.2)
        assert not [line for line in logs if line["event"] == "rpc refused"]
        ended = lab.stub.Detect(timeout=5)
        await ended.done_writing()
        with pytest.raises(grpc.aio.AioRpcError):
            [item async for item in ended]
    assert [line["field"] for line in logs if line["event"] == "rpc refused"] == ["frames"]


async def test_overload_is_counted_and_not_told(start):
    lab = await start()
    with structlog.testing.capture_logs() as logs:
        call = lab.stub.Detect(iter([vad_pb2.DetectRequest()]), timeout=5)
        with pytest.raises(grpc.aio.AioRpcError):
            [item async for item in call]
    assert not [line for line in logs if line["event"] == "rpc refused"]


async def test_why_a_stream_ended_is_told_with_grpcs_words_and_without_those_of_a_bug(start, unused_tcp_port):
    lab = await start()
    nobody = vad_pb2_grpc.VadServiceStub(open_channel(f"127.0.0.1:{unused_tcp_port}", PLAIN))
    with pytest.raises(grpc.aio.AioRpcError) as away:
        await nobody.PredictTurn(vad_pb2.PredictTurnRequest(), timeout=5)
    assert why_ended(away.value).startswith("UNAVAILABLE: ")
    assert str(unused_tcp_port) in why_ended(away.value)
    with pytest.raises(grpc.aio.AioRpcError) as bug:
        await lab.predict("bug")
    assert why_ended(bug.value) == "UNKNOWN"


async def test_overload_carries_the_delay_after_which_to_retry(start):
    lab = await start()
    call = lab.stub.Detect(iter([vad_pb2.DetectRequest()]), timeout=5)
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        [item async for item in call]
    error = from_rpc_error(raised.value)
    assert isinstance(error, OverloadedError)
    assert error.retry_after_s == 0.25


async def test_a_bug_in_a_handler_is_an_error_for_one_call_only(start):
    lab = await start()
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await lab.predict("bug")
    assert raised.value.code() == grpc.StatusCode.UNKNOWN
    assert (await lab.predict()).complete_probability == 0.5


async def test_an_idempotent_call_is_retried_while_the_service_is_unavailable(start):
    lab = await start()
    await lab.predict("flaky")
    assert lab.servicer.predictions == 3


async def test_health_and_reflection_are_there_and_health_follows_drain(start):
    lab = await start()
    health = health_pb2_grpc.HealthStub(lab.channel)
    answer = await health.Check(health_pb2.HealthCheckRequest(service=NAME), timeout=5)
    assert answer.status == health_pb2.HealthCheckResponse.SERVING
    request = reflection_pb2.ServerReflectionRequest(list_services="")
    stream = reflection_pb2_grpc.ServerReflectionStub(lab.channel).ServerReflectionInfo(iter([request]), timeout=5)
    names = [s.name async for a in stream for s in a.list_services_response.service]
    assert {NAME, "grpc.health.v1.Health"} <= set(names)
    await lab.server.set_serving(False)
    answer = await health.Check(health_pb2.HealthCheckRequest(), timeout=5)
    assert answer.status == health_pb2.HealthCheckResponse.NOT_SERVING


async def test_draining_lets_a_call_in_progress_finish(start):
    lab = await start()
    pending = asyncio.ensure_future(lab.predict("slow"))
    await lab.servicer.entered.wait()
    stopping = asyncio.ensure_future(lab.server.stop(grace_s=5))
    lab.servicer.release.set()
    assert (await pending).complete_probability == 0.5
    await stopping


async def test_a_port_in_use_is_said_with_the_address(start):
    lab = await start()
    service = GrpcService("vad", [NAME], lambda s: None)
    with pytest.raises(UnavailableError, match=rf"127\.0\.0\.1:{lab.server.port}.*in use"):
        await serve(service, RpcSettings(), SystemClock(), host="127.0.0.1", port=lab.server.port)


async def test_mtls_requires_a_client_certificate_and_accepts_the_right_one(start, tmp_path):
    tls = TlsSettings(**write_certificates(tmp_path))
    lab = await start(RpcSettings(tls=tls))
    assert (await lab.predict()).complete_probability == 0.5
    async with open_channel(f"127.0.0.1:{lab.server.port}", RpcSettings()) as plain:
        stub = vad_pb2_grpc.VadServiceStub(plain)
        error = await _error(stub.PredictTurn(vad_pb2.PredictTurnRequest(), timeout=5))
    assert isinstance(error, UnavailableError)


async def test_rotated_certificates_are_picked_up_by_server_and_client_without_restart(start, tmp_path):
    files = write_certificates(tmp_path)
    lab = await start(RpcSettings(tls=TlsSettings(**files, reload_s=0)))
    await lab.predict()
    write_certificates(tmp_path)
    assert (await lab.predict()).complete_probability == 0.5


def test_half_an_mtls_configuration_is_refused_by_name(tmp_path):
    files = write_certificates(tmp_path)
    settings = RpcSettings(tls=TlsSettings(ca_file=files["ca_file"]))
    with pytest.raises(SettingsError, match="missing cert_file, key_file"):
        open_channel("127.0.0.1:1", settings)
