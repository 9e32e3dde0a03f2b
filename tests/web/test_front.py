"""The front over real worker applications on unix sockets: routing, merging, and workers that refuse or are gone."""

import contextlib
import json
import tempfile
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.cli.webrtc_caller import WebRtcDialer
from services.common.clock import SystemClock
from services.common.settings import Settings, WebSettings, load_settings
from services.orchestrator.calls import CallHandle, CallRegistry, new_call_id
from services.orchestrator.events import StageMeasured
from services.orchestrator.front.app import create_front
from services.orchestrator.front.choice import WorkerState, by_preference
from services.orchestrator.front.workers import Workers
from services.orchestrator.media.leg import Leg
from services.orchestrator.node import metrics_port, prepare_socket, socket_path, worker_of
from services.orchestrator.web.app import create_app
from services.orchestrator.web.server import RunningWeb, start_web, start_web_on
from tests.web.harness import OPERATOR, FakeCall, about, until

CLOCK = SystemClock()
AUTH = {"Authorization": f"Bearer {OPERATOR}"}


@dataclass
class Worker:
    """One worker's registry behind its socket."""

    registry: CallRegistry
    web: RunningWeb
    calls: list[FakeCall]


@dataclass
class Node:
    """A front and its workers."""

    base: str
    http: aiohttp.ClientSession
    workers: dict[int, Worker] = field(default_factory=dict)

    async def call(self) -> tuple[dict[str, str], WebRtcDialer]:
        dialer = WebRtcDialer(CLOCK)
        leg = await dialer.dial(self.base)
        return {"call_id": leg.call_id, "token": leg.token}, dialer


async def start_worker(settings: Settings, number: int, max_calls: int) -> Worker:
    mine = settings.model_copy(update={"orchestrator": settings.orchestrator.model_copy(update={"worker": number})})
    calls: list[FakeCall] = []

    def create(handle: CallHandle, leg: Leg) -> FakeCall:
        calls.append(FakeCall(handle, leg, CLOCK))
        return calls[-1]

    registry = CallRegistry(CLOCK, max_calls, create, number)
    path = socket_path(settings, number)
    prepare_socket(path)
    web = await start_web_on(create_app(registry, mine, about, CLOCK, OPERATOR), path)
    return Worker(registry, web, calls)


@contextlib.asynccontextmanager
async def node(count: int = 2, max_calls: int = 4) -> AsyncIterator[Node]:
    with tempfile.TemporaryDirectory(prefix="tl") as folder:
        tree = {"data_dir": folder, "orchestrator": {"workers": count}}
        settings = load_settings(env={}, overrides=tree)
        running = {n: await start_worker(settings, n, max_calls) for n in range(1, count + 1)}
        async with Workers(settings) as workers, aiohttp.ClientSession() as http:
            front = await start_web(create_front(workers, settings, CLOCK), WebSettings(host="127.0.0.1", port=0))
            try:
                yield Node(f"http://127.0.0.1:{front.port}", http, running)
            finally:
                await front.stop()
                for worker in running.values():
                    await worker.web.stop()
                    await worker.registry.drain(1.0)


async def get(it: Node, path: str, **headers: str) -> tuple[int, dict[str, object]]:
    async with it.http.get(it.base + path, headers=headers) as answer:
        return answer.status, await answer.json()


async def test_calls_go_to_the_least_loaded_worker_and_their_requests_find_it() -> None:
    async with node() as it:
        made = [await it.call() for _ in range(4)]
        assert [worker_of(call["call_id"]) for call, _ in made] == [1, 2, 1, 2]
        for call, _ in made:
            status, body = await get(it, f"/api/calls/{call['call_id']}", Authorization=f"Bearer {call['token']}")
            assert (status, body["call_id"]) == (200, call["call_id"])
        # A call's token opens that call only, wherever it is.
        status, _ = await get(it, f"/api/calls/{made[0][0]['call_id']}", Authorization=f"Bearer {made[1][0]['token']}")
        assert status == 401
        for call, dialer in made:
            async with it.http.delete(f"{it.base}/api/calls/{call['call_id']}", headers=AUTH) as answer:
                assert answer.status == 200
            await dialer.close()
        await until(lambda: not any(worker.registry.live() for worker in it.workers.values()))


async def test_the_event_stream_is_passed_through_with_its_end() -> None:
    async with node() as it:
        _, spare = await it.call()
        call, dialer = await it.call()
        assert worker_of(call["call_id"]) == 2
        url = f"{it.base}/api/calls/{call['call_id']}/events"
        async with it.http.ws_connect(f"{url}?token={call['token']}") as socket:
            assert (await socket.receive_json())["type"] == "CallStarted"
            await dialer.close()
            last = [json.loads(message.data)["type"] async for message in socket][-1]
            assert last == "CallEnded"
            assert socket.close_code == 1000
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            await it.http.ws_connect(f"{url}?token=wrong")
        assert refused.value.status == 401
        await spare.close()


async def test_lists_are_merged_and_say_which_worker_did_not_answer() -> None:
    async with node() as it:
        made = [await it.call() for _ in range(2)]
        for number, (call, _) in enumerate(made):
            at_ns = 10 - number
            it.workers[number + 1].registry.stages.add(
                call["call_id"], StageMeasured(at_ns=at_ns, stage="endpoint", turn=1, ms=5.0)
            )
        _, calls = await get(it, "/api/calls", **AUTH)
        assert [entry["call_id"] for entry in calls["calls"]] == [call["call_id"] for call, _ in made]  # type: ignore[index,attr-defined]
        _, stages = await get(it, "/api/stages?since_ns=0", **AUTH)
        assert [sample["at_ns"] for sample in stages["samples"]] == [9, 10]  # type: ignore[index,attr-defined]
        reference = it.workers[2].registry.live()[0].info.peer_reference
        assert (await get(it, f"/api/calls/by-peer/{reference}", **AUTH))[1] == {"call_id": made[1][0]["call_id"]}
        assert (await get(it, "/api/calls/by-peer/nobody", **AUTH))[0] == 404
        assert (await get(it, "/api/calls"))[0] == 401
        assert (await get(it, "/api/stages?since_ns=x", **AUTH))[0] == 400
        await it.workers[1].web.stop()
        _, calls = await get(it, "/api/calls", **AUTH)
        assert calls["missing"] == [1]
        for _, dialer in made:
            await dialer.close()


async def test_a_worker_that_drains_or_is_gone_gets_no_calls_and_without_any_the_answer_is_503() -> None:
    async with node() as it:
        it.workers[1].registry.refuse_all()
        call, dialer = await it.call()
        assert worker_of(call["call_id"]) == 2
        status, body = await get(it, "/readyz")
        assert status == 200
        assert [worker["ready"] for worker in body["workers"]] == [False, True]  # type: ignore[index,attr-defined]
        await it.workers[2].web.stop()
        async with it.http.post(f"{it.base}/api/webrtc/offer", json={"sdp": "", "type": "offer"}) as answer:
            assert answer.status == 503
            assert answer.headers["Retry-After"]
        status, body = await get(it, "/readyz")
        assert status == 503
        assert "draining" in body["error"]["message"]  # type: ignore[index,call-overload]
        assert (await get(it, f"/api/calls/{call['call_id']}", **AUTH))[0] == 503
        await dialer.close()


async def test_the_page_the_headers_and_the_check_of_origins_are_those_of_a_single_orchestrator() -> None:
    async with node() as it:
        async with it.http.get(it.base) as page:
            assert page.status == 200
            assert "default-src 'none'" in page.headers["Content-Security-Policy"]
        assert (await get(it, "/api/about/public"))[1]["name"] == "Trunkline"
        assert (await get(it, "/api/about"))[0] == 401
        other = {"Origin": "https://elsewhere.example"}
        async with it.http.post(f"{it.base}/api/webrtc/offer", json={}, headers=other) as answer:
            assert answer.status == 403
        for unknown in ("0" * 32, new_call_id(CLOCK, 7), "short"):
            assert (await get(it, f"/api/calls/{unknown}", **AUTH))[0] == 404


def test_the_worker_s_number_is_in_the_call_s_id() -> None:
    assert worker_of(new_call_id(CLOCK, 63)) == 63
    assert worker_of("x" * 32) is None
    assert new_call_id(CLOCK, 1)[12] == "7"


def test_metrics_ports_of_workers_are_clear_of_the_other_services() -> None:
    settings = load_settings(env={})
    ports = [metrics_port(settings, worker) for worker in range(65)]
    taken = {getattr(settings, name).metrics_port for name in ("vad", "asr", "llm", "tts", "telephony")}
    assert ports[0] == settings.orchestrator.metrics_port
    assert not taken & set(ports)
    off = load_settings(env={}, overrides={"orchestrator": {"metrics_port": 0}})
    assert metrics_port(off, 3) == 0


def test_a_long_data_dir_still_has_a_socket(tmp_path: Path) -> None:
    settings = load_settings(
        env={}, overrides={"data_dir": str(tmp_path / ("x" * 120)), "orchestrator": {"workers": 2}}
    )
    assert len(str(socket_path(settings, 1))) <= 100


states = st.builds(
    WorkerState,
    worker=st.integers(1, 9),
    ready=st.booleans(),
    calls=st.integers(0, 60),
    capacity=st.integers(1, 60),
    refusing=st.sampled_from(["", "overload"]),
)


@given(st.lists(states, max_size=6, unique_by=lambda state: state.worker))
def test_only_ready_workers_are_asked_and_those_that_refuse_come_last(found: list[WorkerState]) -> None:
    known = {state.worker: state for state in found}
    ranked = [known[worker] for worker in by_preference(found)]
    assert {state.worker for state in ranked} == {state.worker for state in found if state.ready}
    keys = [(bool(state.refusing), state.calls / state.capacity) for state in ranked]
    assert keys == sorted(keys)
