"""The wire: TelephonyService over one worker."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from typing import Any, cast

from services import __version__
from services.common.clock import Clock
from services.common.deadline import deadline
from services.common.errors import DeadlineError, UnavailableError
from services.common.rpc_server import GrpcService
from services.common.settings import Settings, TelephonySettings
from services.pb.trunkline.common.v1 import common_pb2
from services.pb.trunkline.telephony.v1 import telephony_pb2 as pb
from services.pb.trunkline.telephony.v1 import telephony_pb2_grpc as pb_grpc
from services.telephony.clients import Client
from services.telephony.engine import Engine
from services.telephony.engine_log import capture_stderr
from services.telephony.priority import raise_priority
from services.telephony.worker import Worker

FULL_NAME = "trunkline.telephony.v1.TelephonyService"
ATTACH_DEADLINE_S = 10.0


class TelephonyServicer(pb_grpc.TelephonyServiceServicer):
    """Media for the clients (orchestrator workers), Describe for anybody."""

    def __init__(self, worker: Worker, engine: Engine, settings: TelephonySettings, clock: Clock) -> None:
        self._worker = worker
        self._clock = clock
        self._engine = engine
        self._settings = settings

    async def Media(self, request_iterator: Any, context: Any) -> AsyncIterator[pb.MediaResponse]:
        """One message per poll that has something to say; ends when the client half-closes.

        Raises DeadlineError for a client that does not attach, ClientExistsError for a second one of the same name,
        UnavailableError for one that does not read.
        """
        first = await self._first(request_iterator)
        client = self._worker.attach(first.attach)
        outbox = client.outbox
        assert outbox is not None  # attach made it
        self._worker.request(client, first)
        reader = asyncio.create_task(self._read(client, request_iterator))
        reader.add_done_callback(lambda _task: outbox.end())
        try:
            # The answer to Attach: from here on calls may come.
            yield pb.MediaResponse(monotonic_ns=self._clock.now_ns())
            while (message := await outbox.take()) is not None:
                yield message
            if outbox.failed:
                raise UnavailableError("The client does not read its events.", remedy="Attach again.")
        finally:
            self._worker.detach(client)
            reader.cancel()
            await asyncio.wait({reader})

    async def _first(self, requests: Any) -> pb.MediaRequest:
        try:
            async with deadline(self._clock, ATTACH_DEADLINE_S):
                return cast("pb.MediaRequest", await anext(aiter(requests)))
        except (TimeoutError, StopAsyncIteration):
            raise DeadlineError(
                f"The client did not attach within {ATTACH_DEADLINE_S:.0f} s.", remedy="Send Attach first."
            ) from None

    async def _read(self, client: Client, requests: AsyncIterator[pb.MediaRequest]) -> None:
        async for request in requests:
            self._worker.request(client, request)

    async def Describe(self, request: common_pb2.DescribeRequest, context: Any) -> common_pb2.DescribeResponse:
        """What runs here; `details.sip_uri` is where it is called."""
        facts = {
            **self._engine.facts(),
            "max_calls": str(self._settings.max_calls),
            "max_calls_per_s": f"{self._settings.max_calls_per_s:g}",
            "active_legs": str(self._worker.active_legs),
            "clients": str(self._worker.attached_clients),
            "poll_ms": str(self._settings.poll_ms),
        }
        return common_pb2.DescribeResponse(
            service="telephony",
            version=__version__,
            engine=self._engine.name,
            engine_version=self._engine.version,
            device="cpu",
            details=facts,
        )


def build(settings: Settings, clock: Clock, engine: Engine | None = None) -> GrpcService:
    """The service of a process of its own; the engine starts in `warm`, so readiness means SIP is listening."""
    if engine is None:
        # Imported here: a test with its own engine needs no native stack.
        from services.telephony.baresip_engine import BaresipEngine

        raise_priority(settings.telephony.nice)
        capture_stderr()
        engine = BaresipEngine(settings.telephony, clock)
    worker = Worker(settings.telephony, engine, clock)
    worker.on_fatal = _end_process
    servicer = TelephonyServicer(worker, engine, settings.telephony, clock)
    return GrpcService(
        name="telephony",
        full_names=(FULL_NAME,),
        register=lambda server: pb_grpc.add_TelephonyServiceServicer_to_server(servicer, server),
        warm=worker.start,
        close=worker.close,
        drain=worker.drain,
    )


def _end_process() -> None:
    """A dead stack cannot be started again in the same process: drain and let the supervisor start a new one."""
    os.kill(os.getpid(), signal.SIGTERM)
