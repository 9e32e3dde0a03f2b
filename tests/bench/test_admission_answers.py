"""What refused callers were told is read from the wire, and what is missing is found."""

import asyncio
from typing import cast

import pytest

from benchmarks.admission import told_rightly
from benchmarks.sip_tap import FinalAnswer, SipTap, final_answer

REFUSAL = (
    b"SIP/2.0 503 Service Unavailable\r\nVia: SIP/2.0/UDP 127.0.0.1:5060;branch=z9hG4bK1\r\nCall-ID: abc@here\r\n"
    b"CSeq: 1 INVITE\r\nRetry-After: 5\r\nContent-Length: 0\r\n\r\n"
)


def test_a_final_answer_to_an_invite_is_read_with_its_retry_after() -> None:
    assert final_answer(REFUSAL) == FinalAnswer("abc@here", 503, 5)
    commented = REFUSAL.replace(b"Retry-After: 5", b"retry-after : 120 (busy);duration=60")
    assert final_answer(commented) == FinalAnswer("abc@here", 503, 120)
    assert final_answer(REFUSAL.replace(b"Retry-After: 5\r\n", b"")) == FinalAnswer("abc@here", 503, None)
    assert final_answer(REFUSAL.replace(b"Retry-After: 5", b"Retry-After: soon")) == FinalAnswer("abc@here", 503, None)


@pytest.mark.parametrize(
    "message",
    [
        REFUSAL.replace(b"503 Service Unavailable", b"180 Ringing"),
        REFUSAL.replace(b"1 INVITE", b"2 BYE"),
        REFUSAL.replace(b"SIP/2.0 503 Service Unavailable", b"INVITE sip:agent@127.0.0.1 SIP/2.0"),
        REFUSAL.replace(b"Call-ID: abc@here\r\n", b""),
        b"",
        b"\xff\x00",
    ],
)
def test_nothing_else_is_taken_for_one(message: bytes) -> None:
    assert final_answer(message) is None


@pytest.mark.parametrize(
    ("answer", "offer", "right"),
    [
        (FinalAnswer("a", 503, 5), (503, 5), True),
        (FinalAnswer("a", 503, None), (503, 5), False),
        (FinalAnswer("a", 486, 5), (503, 5), False),
        (FinalAnswer("a", 503, 0), (503, 5), False),
        (FinalAnswer("a", 503, 86_400), (503, 5), False),
        (FinalAnswer("a", 503, 5), (503, None), False),
        (FinalAnswer("a", 503, 5), (429, 5), False),
    ],
)
def test_a_refusal_is_503_with_a_sane_retry_after_or_it_is_named(
    answer: FinalAnswer, offer: tuple[int, int | None], right: bool
) -> None:
    assert (told_rightly(1, [answer], [offer]) == []) == right


def test_a_refused_caller_whose_answer_nobody_saw_is_named() -> None:
    assert told_rightly(2, [FinalAnswer("a", 503, 5)], []) != []


class Peer(asyncio.DatagramProtocol):
    """Keeps what comes, and answers a message with the refusal."""

    def __init__(self, answers: bool) -> None:
        self.answers = answers
        self.came: asyncio.Queue[bytes] = asyncio.Queue()
        self.transport: asyncio.DatagramTransport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.DatagramTransport", transport)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        self.came.put_nowait(data)
        if self.answers:
            self.transport.sendto(REFUSAL, addr)


async def peer(*, answers: bool) -> Peer:
    loop = asyncio.get_running_loop()
    _, made = await loop.create_datagram_endpoint(lambda: Peer(answers), local_addr=("127.0.0.1", 0))
    return made


async def test_messages_pass_the_tap_unchanged_both_ways_and_a_repeated_answer_counts_once() -> None:
    stack, caller = await peer(answers=True), await peer(answers=False)
    async with SipTap(stack.transport.get_extra_info("sockname")) as tap:
        host, port = tap.uri.rpartition("@")[2].split(":")
        for invite in (b"INVITE one", b"INVITE one"):
            caller.transport.sendto(invite, (host, int(port)))
            assert await asyncio.wait_for(stack.came.get(), 5) == invite
            assert await asyncio.wait_for(caller.came.get(), 5) == REFUSAL
        assert tap.refusals() == [FinalAnswer("abc@here", 503, 5)]
    stack.transport.close()
    caller.transport.close()
