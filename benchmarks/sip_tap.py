"""Reads along what a stack answers to INVITEs: a UDP relay for signalling between test callers and stack.

    caller ── SIP ──▶ tap ── SIP ──▶ stack      messages pass unchanged, so media and later requests go straight
    caller ◀── SIP ── tap ◀── SIP ── stack      final answers to INVITEs are noted: status and Retry-After

A caller's own SIP stack tells the status of a refusal but not its headers.
"""

import asyncio
import re
from collections.abc import Callable
from dataclasses import dataclass

from services.common.errors import UnavailableError

Address = tuple[str, int]
OnDatagram = Callable[[bytes, Address], None]
_HOST = "127.0.0.1"
_CALL_ID = re.compile(rb"(?im)^(?:call-id|i)\s*:\s*(\S+)")
# RFC 3261 §20.33: delta-seconds, then perhaps a comment and parameters.
_RETRY_AFTER = re.compile(rb"(?im)^retry-after\s*:\s*(\d+)\s*(?:[(;].*)?\r?$")


@dataclass(frozen=True, slots=True)
class FinalAnswer:
    """To one INVITE. `retry_after_s` None: there was no such header, or no number in it."""

    call_id: str
    status: int
    retry_after_s: int | None


def final_answer(message: bytes) -> FinalAnswer | None:
    """Of a SIP message that is a final answer to an INVITE; None for every other."""
    head = message.partition(b"\r\n\r\n")[0]
    status = re.match(rb"SIP/2\.0 ([2-6]\d\d) ", head)
    call_id = _CALL_ID.search(head)
    if status is None or call_id is None or not re.search(rb"(?im)^cseq\s*:\s*\d+\s+INVITE\s*$", head):
        return None
    retry_after = _RETRY_AFTER.search(head)
    return FinalAnswer(call_id[1].decode("latin-1"), int(status[1]), int(retry_after[1]) if retry_after else None)


class SipTap:
    """Dial `tap.uri` instead of the stack's. Use `async with`. `answers` has the first final answer of each call."""

    def __init__(self, target: Address) -> None:
        self._target = target
        self._front: asyncio.DatagramTransport | None = None
        # Towards the stack, one socket per caller's address: its answers come back by that.
        self._back: dict[Address, asyncio.Task[asyncio.DatagramTransport]] = {}
        self._sending: set[asyncio.Task[None]] = set()
        self.answers: dict[str, FinalAnswer] = {}

    @property
    def uri(self) -> str:
        """Raises UnavailableError before it is started."""
        if self._front is None:
            raise UnavailableError("The tap is not started.")
        host, port = self._front.get_extra_info("sockname")[:2]
        return f"sip:agent@{host}:{port}"

    def refusals(self) -> list[FinalAnswer]:
        """Final answers that are no success."""
        return [answer for answer in self.answers.values() if answer.status >= 300]

    async def __aenter__(self) -> "SipTap":
        self._front = await _bind(self._from_caller)
        return self

    async def __aexit__(self, *_: object) -> None:
        for sending in self._sending:
            sending.cancel()
        for opening in self._back.values():
            (await opening).close()
        if self._front is not None:
            self._front.close()

    def _from_caller(self, message: bytes, caller: Address) -> None:
        if caller not in self._back:
            self._back[caller] = asyncio.create_task(_bind(lambda answer, _: self._from_stack(answer, caller)))
        sending = asyncio.create_task(self._forward(message, caller))
        self._sending.add(sending)
        sending.add_done_callback(self._sending.discard)

    async def _forward(self, message: bytes, caller: Address) -> None:
        (await self._back[caller]).sendto(message, self._target)

    def _from_stack(self, message: bytes, caller: Address) -> None:
        if (answer := final_answer(message)) is not None:
            self.answers.setdefault(answer.call_id, answer)
        if self._front is not None:
            self._front.sendto(message, caller)


class _Datagrams(asyncio.DatagramProtocol):
    def __init__(self, on_datagram: OnDatagram) -> None:
        self._on_datagram = on_datagram

    def datagram_received(self, data: bytes, addr: Address) -> None:
        self._on_datagram(data, addr)


async def _bind(on_datagram: OnDatagram) -> asyncio.DatagramTransport:
    transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(
        lambda: _Datagrams(on_datagram), local_addr=(_HOST, 0)
    )
    return transport
