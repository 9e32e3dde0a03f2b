"""The HTTP API as a client sees it: who may read what, typed errors, headers, events, limits."""

import asyncio
import json
from typing import Any

import pytest
from aiohttp import WSMsgType

from services.common.personal import Personal
from services.orchestrator.events import FinalTranscript, ReplyText, StageMeasured
from services.orchestrator.web.event_stream import STREAMS
from tests.web.harness import Site, site, until
from tests.web.test_real_call import call


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/api/calls"),
        ("GET", "/api/calls/x"),
        ("DELETE", "/api/calls/x"),
        ("GET", "/api/calls/x/events"),
        ("GET", "/api/calls/by-peer/x"),
        ("GET", "/api/stages"),
        ("GET", "/api/about"),
    ],
)
async def test_nothing_about_calls_is_told_without_a_token(method: str, path: str) -> None:
    async with site() as running:
        for headers in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": "Basic eA=="}):
            async with running.http.request(method, running.base + path, headers=headers) as response:
                assert response.status == 401
                assert (await response.json())["error"]["code"] == "unauthorized"


async def test_a_calls_token_opens_that_call_and_no_other() -> None:
    async with site() as running, call(running) as first, call(running) as second:
        for token, status in ((first.token, 200), (second.token, 401), ("", 401)):
            url = f"{running.base}/api/calls/{first.call_id}?token={token}"
            async with running.http.get(url) as response:
                assert response.status == status
        async with running.http.get(f"{running.base}/api/calls?token={first.token}") as response:
            assert response.status == 401


async def test_an_operator_lists_finds_reads_and_hangs_up_a_call() -> None:
    async with site() as running, call(running) as caller:
        listed = await get(running, "/api/calls")
        assert [c["call_id"] for c in listed["calls"]] == [caller.call_id]
        found = await get(running, f"/api/calls/by-peer/{caller.peer_reference}")
        assert found == {"call_id": caller.call_id}
        read = await get(running, f"/api/calls/{caller.call_id}")
        assert read["events"][0]["type"] == "CallStarted"
        url = f"{running.base}/api/calls/{caller.call_id}"
        async with running.http.delete(url, headers=running.operator) as response:
            assert response.status == 200
        await until(lambda: caller.ended != "")
        await until(lambda: running.calls[0].handle.ended)
        assert (await get(running, f"/api/calls/{caller.call_id}"))["ended"] is True


async def test_an_operators_hang_up_is_audited_before_it_is_done_and_not_done_when_it_cannot_be() -> None:
    async with site() as running, call(running) as caller:
        url = f"{running.base}/api/calls/{caller.call_id}"
        running.audit.away = True
        async with running.http.delete(url, headers=running.operator) as response:
            assert response.status == 503
        assert not running.calls[0].handle.ended
        running.audit.away = False
        async with running.http.delete(url, headers=running.operator) as response:
            assert response.status == 200
        (entry,) = running.audit.entries
        assert (entry.actor, entry.action, entry.call_id) == ("operator", "call.hangup", caller.call_id)
        await until(lambda: running.calls[0].handle.ended)


async def test_a_caller_who_hangs_up_its_own_call_is_no_operator() -> None:
    async with site() as running, call(running) as caller:
        url = f"{running.base}/api/calls/{caller.call_id}"
        async with running.http.delete(url, headers={"Authorization": f"Bearer {caller.token}"}) as response:
            assert response.status == 200
        await until(lambda: running.calls[0].handle.ended)
        assert running.audit.entries == []


async def test_events_come_from_the_start_and_then_live_until_the_call_ends() -> None:
    async with site() as running, call(running) as caller:
        fake = running.calls[0]
        url = f"{running.base}/api/calls/{caller.call_id}/events?token={caller.token}"
        async with running.http.ws_connect(url) as socket:
            assert (await socket.receive_json())["type"] == "CallStarted"
            fake.handle.events.append(
                FinalTranscript(
                    at_ns=5,
                    utterance=1,
                    provisional=False,
                    text=Personal("where is my order"),
                    avg_logprob=-0.1,
                    no_speech_prob=0.01,
                    language="en",
                    rejection="",
                )
            )
            seen: list[dict[str, Any]] = []
            while not seen or seen[-1]["type"] != "FinalTranscript":
                seen.append(await socket.receive_json())
            assert seen[-1]["text"] == "where is my order"
            fake.leg.hangup()
            types = [json.loads(message.data)["type"] async for message in socket if message.type == WSMsgType.TEXT]
            assert types[-1] == "CallEnded"
            assert socket.close_code == 1000


async def test_a_ninth_reader_of_a_call_is_refused_and_a_leaving_one_makes_room() -> None:
    async with site() as running, call(running) as caller:
        url = f"{running.base}/api/calls/{caller.call_id}/events?token={caller.token}"
        sockets = [await running.http.ws_connect(url) for _ in range(8)]
        async with running.http.get(url) as response:
            assert response.status == 429
        await sockets.pop().close()

        readers = running.web._runner.app[STREAMS]._readers
        await until(lambda: readers[caller.call_id] == 7)
        sockets.append(await running.http.ws_connect(url))
        await asyncio.gather(*(socket.close() for socket in sockets))


async def test_a_reader_that_does_not_read_is_cut_and_the_call_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("services.orchestrator.web.event_stream.SEND_DEADLINE_S", 0.2)
    async with site() as running, call(running) as caller:
        reader, writer = await asyncio.open_connection("127.0.0.1", running.web.port)
        path = f"/api/calls/{caller.call_id}/events?token={caller.token}"
        writer.write(
            f"GET {path} HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n".encode()
        )
        assert b"101" in await reader.readline()
        readers = running.web._runner.app[STREAMS]._readers
        log = running.calls[0].handle.events
        # The client takes nothing from its socket from here on.
        writer.transport.pause_reading()  # type: ignore[attr-defined]
        text = Personal("word " * 20_000)
        for turn in range(200):
            log.append(ReplyText(at_ns=turn, turn=turn, text=text))
        await until(lambda: not readers)
        assert caller.ended == ""
        writer.close()


async def test_stage_times_are_listed_since_a_moment() -> None:
    async with site() as running, call(running) as caller:
        log = running.calls[0].handle.events
        log.append(StageMeasured(at_ns=10, stage="endpoint", turn=1, ms=250.0))
        log.append(StageMeasured(at_ns=20, stage="voice_to_voice", turn=1, ms=800.0))
        samples = (await get(running, "/api/stages?since_ns=10"))["samples"]
        assert samples == [{"call_id": caller.call_id, "turn": 1, "stage": "voice_to_voice", "ms": 800.0, "at_ns": 20}]
        for bad in ("x", "-1", "1e3", "9" * 40, "٣"):
            url = f"{running.base}/api/stages?since_ns={bad}"
            async with running.http.get(url, headers=running.operator) as response:
                assert response.status == 400
                assert "since_ns" in (await response.json())["error"]["message"]


async def test_the_page_learns_which_models_answer_but_nothing_else() -> None:
    async with site() as running:
        async with running.http.get(f"{running.base}/api/about/public") as response:
            public = await response.json()
        assert public["services"] == {"asr": {"engine": "scripted", "models": ["none"], "device": "cpu"}}
        assert "secret" not in json.dumps(public)
        assert (await get(running, "/api/about"))["services"]["asr"]["details"] == {"path": "secret"}


async def test_health_and_readiness_tell_the_truth() -> None:
    async with site() as running:
        async with running.http.get(f"{running.base}/healthz") as response:
            assert response.status == 200
        async with running.http.get(f"{running.base}/readyz") as response:
            assert response.status == 200
        running.registry.set_ready("asr is loading")
        async with running.http.get(f"{running.base}/readyz") as response:
            assert response.status == 503
            assert "asr is loading" in (await response.json())["error"]["message"]


async def test_every_answer_forbids_foreign_assets_and_framing() -> None:
    async with site() as running:
        for path in ("/", "/static/app.js", "/api/about/public", "/nowhere", "/healthz"):
            async with running.http.get(running.base + path) as response:
                policy = response.headers["Content-Security-Policy"]
                assert "default-src 'none'" in policy
                assert "frame-ancestors 'none'" in policy
                assert response.headers["X-Content-Type-Options"] == "nosniff"


async def test_unknown_paths_and_methods_are_typed_json_too() -> None:
    async with site() as running:
        for method, path, status in (
            ("GET", "/nowhere", 404),
            ("PUT", "/api/calls", 405),
            ("GET", "/static/x.py", 404),
        ):
            async with running.http.request(method, running.base + path) as response:
                assert response.status == status
                assert set((await response.json())["error"]) == {"code", "message", "remedy"}


async def test_a_static_file_is_not_sent_twice() -> None:
    async with site() as running:
        async with running.http.get(f"{running.base}/static/style.css") as response:
            etag = response.headers["ETag"]
        headers = {"If-None-Match": etag}
        async with running.http.get(f"{running.base}/static/style.css", headers=headers) as response:
            assert response.status == 304


async def get(running: Site, path: str) -> Any:
    async with running.http.get(running.base + path, headers=running.operator) as response:
        assert response.status == 200, await response.text()
        return await response.json()
