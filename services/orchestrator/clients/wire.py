"""Reading a gRPC stream with types: None at its end, never grpc's untyped EOF."""

import asyncio
from typing import Any, TypeVar

import grpc.aio

from services.common.errors import UnavailableError

T = TypeVar("T")
# Their details are gRPC's words about the connection or a typed error's, which hold nothing personal; an UNKNOWN's may
# quote anything.
_EXPLAINED = (grpc.StatusCode.INTERNAL, grpc.StatusCode.UNAVAILABLE)


def why_ended(error: grpc.aio.AioRpcError) -> str:
    """For a log line: the status, and what is said of it where that is fit for one."""
    code = error.code()
    details = error.details() if code in _EXPLAINED else ""
    return f"{code.name}: {details}" if details else code.name


async def receive(call: "grpc.aio.StreamStreamCall[Any, T] | grpc.aio.UnaryStreamCall[Any, T]") -> T | None:
    """The next message, None after the last. Raises AioRpcError, and UnavailableError when we cancelled the call."""
    try:
        item: Any = await call.read()
    except asyncio.CancelledError:
        task = asyncio.current_task()
        if call.cancelled() and not (task is not None and task.cancelling()):
            # grpc.aio reports a call that was cancelled elsewhere as if this task were.
            raise UnavailableError("The call was cancelled.") from None
        raise
    return None if item is grpc.aio.EOF else item
