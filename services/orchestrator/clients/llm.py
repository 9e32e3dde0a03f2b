"""The language model: a stream of text, cancelled with the task that reads it; and warming of the prefix."""

from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass
from typing import Literal

import grpc.aio

from services.common.clock import Clock
from services.common.deadline import deadline
from services.common.errors import DeadlineError, UnavailableError
from services.common.rpc_client import from_rpc_error
from services.orchestrator.clients.wire import receive
from services.orchestrator.dialogue.history import Message
from services.pb.trunkline.llm.v1 import llm_pb2 as pb
from services.pb.trunkline.llm.v1 import llm_pb2_grpc as rpc

# A reply that is not complete by then is of no use on a telephone.
GENERATE_DEADLINE_S = 60.0
WARM_DEADLINE_S = 10.0
WAITING_CALLER = 0
SPECULATION = 10

_ROLES = {
    "system": pb.Message.ROLE_SYSTEM,
    "user": pb.Message.ROLE_USER,
    "assistant": pb.Message.ROLE_ASSISTANT,
}


@dataclass(frozen=True, slots=True)
class LlmReply:
    """One item of a reply: a piece of text, or its end and why."""

    text: str = ""
    ended: Literal["", "stop", "length", "aborted"] = ""


class LlmClient:
    """Shared by all calls."""

    def __init__(self, channel: grpc.aio.Channel, clock: Clock, first_token_deadline_ms: int) -> None:
        self._stub = rpc.LlmServiceStub(channel)
        self._clock = clock
        self._first_s = first_token_deadline_ms / 1000

    async def generate(
        self,
        call_id: str,
        messages: Sequence[Message],
        priority: int,
        *,
        json_schema: str = "",
        max_tokens: int = 0,
        temperature: float | None = None,
    ) -> AsyncGenerator[LlmReply, None]:
        """Text as it comes, as `json_schema` allows where there is one. Closing the iterator cancels the RPC.

        Raises DeadlineError without a first token in time, OverloadedError, UnavailableError and other TrunklineErrors.
        """
        request = pb.GenerateRequest(
            call_id=call_id,
            messages=_to_wire(messages),
            priority=priority,
            cache_salt=call_id,
            json_schema=json_schema,
            max_tokens=max_tokens,
            temperature=temperature,
        )
        stream = self._stub.Generate(request, timeout=GENERATE_DEADLINE_S)
        try:
            response = await self._first(stream)
            while response is not None:
                item = _item(response)
                if item is not None:
                    yield item
                    if item.ended:
                        return
                response = await receive(stream)
            raise UnavailableError("The language model broke off its answer.")
        except grpc.aio.AioRpcError as error:
            raise from_rpc_error(error) from error
        finally:
            stream.cancel()

    async def _first(
        self, stream: "grpc.aio.UnaryStreamCall[pb.GenerateRequest, pb.GenerateResponse]"
    ) -> pb.GenerateResponse | None:
        """The first response that carries text or the end."""
        try:
            async with deadline(self._clock, self._first_s):
                while True:
                    response = await receive(stream)
                    if response is None or response.WhichOneof("payload") != "started":
                        return response
        except TimeoutError:
            raise DeadlineError(f"No first token within {self._first_s:.1f} s.") from None

    async def warm(self, call_id: str, messages: Sequence[Message]) -> None:
        """Fill the prefix cache. Raises TrunklineError; a failure costs time only."""
        request = pb.WarmRequest(call_id=call_id, messages=_to_wire(messages), cache_salt=call_id)
        try:
            await self._stub.Warm(request, timeout=WARM_DEADLINE_S)
        except grpc.aio.AioRpcError as error:
            raise from_rpc_error(error) from error


def _to_wire(messages: Sequence[Message]) -> list[pb.Message]:
    return [pb.Message(role=_ROLES[message.role], content=message.text) for message in messages]


def _item(response: pb.GenerateResponse) -> LlmReply | None:
    match response.WhichOneof("payload"):
        case "delta":
            return LlmReply(text=response.delta.text)
        case "finished":
            reason = response.finished.reason
            if reason == pb.Finished.REASON_LENGTH:
                return LlmReply(ended="length")
            return LlmReply(ended="aborted" if reason == pb.Finished.REASON_ABORTED else "stop")
        case _:
            return None
