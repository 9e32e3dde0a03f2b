"""The client side of the Media stream: what a caller, a test or a benchmark needs to speak to one worker.

One task reads; whatever comes is handed to a callback at once, and events are kept for `expect`.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from types import TracebackType
from typing import Self

import grpc.aio

from services.common.errors import DeadlineError
from services.pb.trunkline.common.v1 import common_pb2
from services.pb.trunkline.telephony.v1 import telephony_pb2 as pb
from services.pb.trunkline.telephony.v1 import telephony_pb2_grpc as pb_grpc

_MAX_OUT = 4096
_ATTACH_S = 5.0
_MAX_EVENTS = 4096
_END = pb.MediaRequest()


class WorkerClient:
    """An open Media stream. Use as an async context manager; `on_response` runs on the event loop, per message."""

    def __init__(
        self,
        channel: grpc.aio.Channel,
        on_response: Callable[[pb.MediaResponse], None] | None = None,
        attach: pb.Attach | None = None,
    ) -> None:
        self._stub = pb_grpc.TelephonyServiceStub(channel)
        self._on_response = on_response
        self._attach = attach or pb.Attach()
        self._out: asyncio.Queue[pb.MediaRequest] = asyncio.Queue(_MAX_OUT)
        self._changed = asyncio.Condition()
        self._reader: asyncio.Task[None] | None = None
        self._attached = asyncio.Event()
        self._dials = 0
        # Oldest first; bounded, so that a long run does not grow it.
        self.events: list[pb.LegEvent] = []

    async def __aenter__(self) -> Self:
        self._reader = asyncio.create_task(self._read())
        attached = asyncio.create_task(self._attached.wait())
        await asyncio.wait({self._reader, attached}, timeout=_ATTACH_S, return_when=asyncio.FIRST_COMPLETED)
        attached.cancel()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._reader is not None
        self._out.put_nowait(_END)
        done, _ = await asyncio.wait({self._reader}, timeout=2.0)
        if not done:
            self._reader.cancel()
            await asyncio.wait({self._reader})

    async def run_once(self) -> None:
        """Read until the worker ends the stream. Raises grpc.aio.AioRpcError, e.g. for a second client."""
        await self._read()

    async def describe(self) -> common_pb2.DescribeResponse:
        """Who the worker is; `details["sip_uri"]` is where it is called."""
        return await self._stub.Describe(common_pb2.DescribeRequest(), timeout=5.0)

    # ---- out ----

    def send(self, request: pb.MediaRequest) -> None:
        """Queue one request. Raises asyncio.QueueFull when the worker does not take them."""
        self._out.put_nowait(request)

    def command(self, leg_id: int, **command: object) -> None:
        """`client.command(3, answer=pb.Answer())`."""
        self.send(pb.MediaRequest(commands=[pb.Command(leg_id=leg_id, **command)]))  # type: ignore[arg-type]

    def play(self, leg_id: int, pcm: bytes) -> None:
        """Frames for one leg."""
        self.send(pb.MediaRequest(frames=[pb.PlayFrame(leg_id=leg_id, pcm=pcm)]))

    async def dial(self, target_uri: str, headers: Mapping[str, str] | None = None, *, timeout_s: float = 10.0) -> int:
        """Dial and return the new leg's id. Raises DeadlineError, or ConnectionError with the worker's words."""
        self._dials += 1
        dial_id = self._dials
        self.command(0, dial=pb.Dial(dial_id=dial_id, target_uri=target_uri, headers=headers or {}))
        event = await self.expect(
            lambda e: (
                (e.HasField("dialed") and e.dialed.dial_id == dial_id)
                or (e.HasField("command_failed") and e.command_failed.dial_id == dial_id)
            ),
            timeout_s=timeout_s,
        )
        if event.HasField("command_failed"):
            raise ConnectionError(event.command_failed.message)
        return event.leg_id

    # ---- in ----

    async def expect(self, match: Callable[[pb.LegEvent], bool], *, timeout_s: float = 5.0) -> pb.LegEvent:
        """The first event seen or still to come that matches; it is taken out. Raises DeadlineError."""

        def find() -> pb.LegEvent | None:
            return next((event for event in self.events if match(event)), None)

        try:
            # Loop clock: a client of tests and callers, whose events come from another process in real time.
            async with asyncio.timeout(timeout_s), self._changed:
                await self._changed.wait_for(lambda: find() is not None or self._ended())
        except TimeoutError:
            kinds = [event.WhichOneof("event") for event in self.events]
            raise DeadlineError(f"No such event within {timeout_s:g} s; there are {kinds}.") from None
        event = find()
        if event is None:
            raise ConnectionError("the Media stream ended")
        self.events.remove(event)
        return event

    async def event(self, leg_id: int, kind: str, *, timeout_s: float = 5.0) -> pb.LegEvent:
        """The next event of `kind` ("established", "ended", …) of a leg; leg 0 means any."""
        return await self.expect(
            lambda e: e.WhichOneof("event") == kind and leg_id in (0, e.leg_id), timeout_s=timeout_s
        )

    def _ended(self) -> bool:
        return self._reader is None or self._reader.done()

    async def _requests(self) -> AsyncIterator[pb.MediaRequest]:
        yield pb.MediaRequest(attach=self._attach)
        while (request := await self._out.get()) is not _END:
            yield request

    async def _read(self) -> None:
        try:
            async for response in self._stub.Media(self._requests()):
                self._attached.set()
                if self._on_response is not None:
                    self._on_response(response)
                if response.events:
                    async with self._changed:
                        self.events.extend(response.events)
                        del self.events[:-_MAX_EVENTS]
                        self._changed.notify_all()
        finally:
            asyncio.get_running_loop().call_soon(asyncio.ensure_future, self._wake())

    async def _wake(self) -> None:
        async with self._changed:
            self._changed.notify_all()
