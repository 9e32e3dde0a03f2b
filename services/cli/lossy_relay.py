"""A bad line for real SIP calls: a UDP relay between caller and stack that loses and delays RTP as `lossy` decides.

    caller ── SIP ──▶ relay ── SIP ──▶ stack        INVITE and its answer pass through; their SDP is rewritten
    caller ══ RTP ══▶ relay ══ RTP ══▶ stack        so that both ends send media to the relay
    caller ◀═ RTP ══ relay ◀═ RTP ═══ stack

Only media suffers; signalling is never lost, and later requests (ACK, BYE) take the straight way by their Contact.
UDP, IPv4 and one audio stream: enough for test callers on one machine, needs no root and harms no other traffic.
"""

import asyncio
import re
import socket
from collections.abc import Callable
from dataclasses import dataclass, field

from services.cli.lossy import LineQuality, LossyLine
from services.common.clock import Clock
from services.common.errors import InvalidInputError, UnavailableError

Address = tuple[str, int]
_HOST = "127.0.0.1"
_PORTS = range(44_000, 47_998, 2)
# Packets on their way in one direction; what a jitter of seconds would need is not a telephone line.
_MAX_HELD = 500


class SipRelay:
    """Dial `relay.address` instead of the stack's. Use `async with`. `calls` holds a `MediaPath` per call, in order."""

    def __init__(
        self,
        target: Address,
        clock: Clock,
        to_stack: LineQuality,
        to_caller: LineQuality = LineQuality(),  # noqa: B008  # frozen
    ) -> None:
        self._target = target
        self._clock = clock
        self._qualities = (to_stack, to_caller)
        self._front: asyncio.DatagramTransport | None = None
        self._clients: dict[Address, _Client] = {}
        self._by_call_id: dict[str, MediaPath] = {}
        self.calls: list[MediaPath] = []

    @property
    def address(self) -> str:
        """host:port for a SIP URI."""
        if self._front is None:
            raise UnavailableError("The relay is not started.")
        host, port = self._front.get_extra_info("sockname")[:2]
        return f"{host}:{port}"

    async def __aenter__(self) -> "SipRelay":
        self._front = await _bind(_HOST, 0, self._from_caller)
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._front is not None:
            self._front.close()
        for client in self._clients.values():
            client.close()
        for path in self.calls:
            path.close()

    def _from_caller(self, data: bytes, source: Address) -> None:
        client = self._clients.get(source)
        if client is None:
            client = self._clients[source] = _Client()
            client.opening = asyncio.create_task(self._open(client, source))
        client.send(self._with_media(data, from_caller=True), self._target)

    async def _open(self, client: "_Client", source: Address) -> None:
        """What the stack sees as the peer of one caller: its answers come back here."""

        def back(data: bytes, _from: Address) -> None:
            if self._front is not None:
                self._front.sendto(self._with_media(data, from_caller=False), source)

        client.opened(await _bind(_HOST, 0, back))

    def _with_media(self, message: bytes, *, from_caller: bool) -> bytes:
        """The message with the relay in its SDP; unchanged when it has none."""
        head, found, body = message.partition(b"\r\n\r\n")
        call_id = re.search(rb"(?im)^(?:call-id|i)\s*:\s*(\S+)", head)
        port = re.search(rb"(?m)^m=audio (\d+) ", body)
        if not found or call_id is None or port is None:
            return message
        path = self._path(call_id.group(1).decode("latin-1"))
        address = re.search(rb"(?m)^c=IN IP4 (\S+)", body)
        host = address.group(1).decode("ascii") if address else _HOST
        own = path.learn((host, int(port.group(1))), from_caller=from_caller)
        body = re.sub(rb"(?m)^m=audio \d+ ", b"m=audio %d " % own, body)
        body = re.sub(rb"(?m)^c=IN IP4 \S+", b"c=IN IP4 " + _HOST.encode(), body)
        body = re.sub(rb"(?m)^a=rtcp:\d+[^\r\n]*\r\n", b"", body)
        head = re.sub(rb"(?im)^(content-length|l)\s*:\s*\d+", rb"\1: %d" % len(body), head)
        return head + found + body

    def _path(self, call_id: str) -> "MediaPath":
        path = self._by_call_id.get(call_id)
        if path is None:
            number = len(self.calls)
            lines = [LossyLine(_seeded(quality, number)) for quality in self._qualities]
            path = self._by_call_id[call_id] = MediaPath(call_id, self._clock, lines[0], lines[1])
            self.calls.append(path)
        return path


@dataclass(slots=True)
class _Client:
    """One caller's socket towards the stack; what comes before it is open waits."""

    transport: asyncio.DatagramTransport | None = None
    opening: "asyncio.Task[None] | None" = None
    waiting: list[tuple[bytes, Address]] = field(default_factory=list)

    def send(self, data: bytes, target: Address) -> None:
        if self.transport is None:
            self.waiting.append((data, target))
        else:
            self.transport.sendto(data, target)

    def opened(self, transport: asyncio.DatagramTransport) -> None:
        self.transport = transport
        for data, target in self.waiting:
            transport.sendto(data, target)
        self.waiting.clear()

    def close(self) -> None:
        if self.opening is not None:
            self.opening.cancel()
        if self.transport is not None:
            self.transport.close()


class MediaPath:
    """RTP and RTCP of one call, both ways. `to_stack` and `to_caller` count what happened to the packets."""

    def __init__(self, call_id: str, clock: Clock, to_stack: LossyLine, to_caller: LossyLine) -> None:
        self.call_id = call_id
        self.to_stack, self.to_caller = to_stack, to_caller
        self._clock = clock
        # Where each side wants its media, as its SDP said.
        self._caller: Address | None = None
        self._stack: Address | None = None
        self._held = 0
        # RTP and RTCP sockets that face the caller, and those that face the stack.
        self._faces_caller = _socket_pair()
        self._faces_stack = _socket_pair()
        self._loop = asyncio.get_running_loop()
        for index in (0, 1):
            self._loop.add_reader(self._faces_caller[index], self._forward, index, True)
            self._loop.add_reader(self._faces_stack[index], self._forward, index, False)

    def learn(self, address: Address, *, from_caller: bool) -> int:
        """A side said where it wants media; returns the port to tell the other side instead."""
        if from_caller:
            self._caller = address
            return int(self._faces_stack[0].getsockname()[1])
        self._stack = address
        return int(self._faces_caller[0].getsockname()[1])

    def close(self) -> None:
        """Packets that are held are dropped."""
        for one in (*self._faces_caller, *self._faces_stack):
            self._loop.remove_reader(one)
            one.close()

    def _forward(self, index: int, from_caller: bool) -> None:
        source = (self._faces_caller if from_caller else self._faces_stack)[index]
        out = (self._faces_stack if from_caller else self._faces_caller)[index]
        target = self._stack if from_caller else self._caller
        line = self.to_stack if from_caller else self.to_caller
        while True:
            try:
                packet = source.recv(2048)
            except (BlockingIOError, ConnectionError):
                return
            if target is None:
                continue
            to = (target[0], target[1] + index)
            if index == 1:
                _send(out, packet, to)
            else:
                self._pass(line, out, packet, to)

    def _pass(self, line: LossyLine, out: socket.socket, packet: bytes, to: Address) -> None:
        now_ns = self._clock.now_ns()
        wanted = line.sent(packet)
        due_ns = line.due_ns(now_ns) if wanted is not None else None
        if wanted is None or due_ns is None:
            return
        if due_ns <= now_ns and not self._held:
            _send(out, wanted, to)
        elif self._held < _MAX_HELD:
            self._held += 1
            self._loop.call_later((due_ns - now_ns) / 1e9, self._release, out, wanted, to)

    def _release(self, out: socket.socket, packet: bytes, to: Address) -> None:
        self._held -= 1
        _send(out, packet, to)


def _send(out: socket.socket, packet: bytes, to: Address) -> None:
    """The far end may have closed its port already, the relay its own: a line loses such packets."""
    if out.fileno() >= 0:
        try:
            out.sendto(packet, to)
        except (BlockingIOError, ConnectionError):
            return


def _seeded(quality: LineQuality, number: int) -> LineQuality:
    """Each call loses other packets."""
    return LineQuality(
        quality.loss, quality.burst_packets, quality.jitter_ms, quality.reorder, quality.dtx, quality.seed + number
    )


def _socket_pair() -> tuple[socket.socket, socket.socket]:
    """Sockets on an even port and the next one (RFC 3550 §11)."""
    for port in _PORTS:
        pair = (socket.socket(socket.AF_INET, socket.SOCK_DGRAM), socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        try:
            for index, one in enumerate(pair):
                one.setblocking(False)
                one.bind((_HOST, port + index))
        except OSError:
            for one in pair:
                one.close()
            continue
        return pair
    raise UnavailableError(f"No two free UDP ports in {_PORTS.start}-{_PORTS.stop} for the relay.")


class _Datagrams(asyncio.DatagramProtocol):
    def __init__(self, on_datagram: Callable[[bytes, Address], None]) -> None:
        self._on_datagram = on_datagram

    def datagram_received(self, data: bytes, addr: Address) -> None:
        self._on_datagram(data, addr)


async def _bind(host: str, port: int, on_datagram: Callable[[bytes, Address], None]) -> asyncio.DatagramTransport:
    transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(
        lambda: _Datagrams(on_datagram), local_addr=(host, port)
    )
    return transport


def target_of(uri: str) -> Address:
    """Where `sip:agent@host:port` leads. Raises InvalidInputError for anything the relay cannot carry."""
    match = re.fullmatch(r"sip:(?:[^@;]+@)?(\d+\.\d+\.\d+\.\d+):(\d+)", uri)
    if match is None:
        raise InvalidInputError("target", expected="sip:name@IPv4:port over UDP", got="another URI")
    return match.group(1), int(match.group(2))
