"""A bad line for a WebRTC test caller: its RTP packets are lost or delayed on their way into SRTP.

The receiver sees what it would see after a real loss: sequence numbers are given before, SRTP after this point.
"""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from services.cli.lossy import LossyLine
from services.common.clock import Clock
from services.common.errors import TrunklineError

_SEND = "_send_rtp"


def _is_rtcp(packet: bytes) -> bool:
    """RFC 5761 §4."""
    return len(packet) > 1 and 192 <= packet[1] <= 223


def make_lossy(sender: Any, line: LossyLine, clock: Clock) -> None:
    """From now on what `sender` (an RTCRtpSender whose transport exists) sends passes through `line`.

    Raises TrunklineError when this aiortc sends another way.
    """
    transport = sender.transport
    send: Callable[[bytes], Coroutine[Any, Any, None]] | None = getattr(transport, _SEND, None)
    if send is None:
        raise TrunklineError(f"This aiortc sends another way ({_SEND} is gone).")
    held: set[asyncio.Task[None]] = set()

    async def later(packet: bytes, due_ns: int) -> None:
        await clock.sleep_until_ns(due_ns)
        try:
            await send(packet)
        except ConnectionError:
            # Hung up meanwhile.
            return

    async def lossy(packet: bytes) -> None:
        now_ns = clock.now_ns()
        due_ns = now_ns if _is_rtcp(packet) else line.due_ns(now_ns)
        if due_ns is None:
            return
        if due_ns <= now_ns and not held:
            await send(packet)
            return
        task = asyncio.create_task(later(packet, due_ns))
        held.add(task)
        task.add_done_callback(held.discard)

    setattr(transport, _SEND, lossy)
