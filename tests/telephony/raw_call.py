"""A SIP caller made of two UDP sockets: sends exactly the packets a test or a benchmark wants, and times each one.

G.711 µ-law only. It knows as much SIP as one answered call needs.
"""

import asyncio
import random
import re
import socket
import struct
import time
from collections.abc import Callable

import numpy as np

PTIME_MS = 20
SAMPLES = 160


def _ulaw_table() -> np.ndarray:
    """ITU-T G.711: the 256 µ-law codes as 16-bit linear."""
    code = ~np.arange(256, dtype=np.int32) & 0xFF
    magnitude = (((code & 0x0F) << 3) + 0x84) << ((code & 0x70) >> 4)
    return np.where(code & 0x80, 0x84 - magnitude, magnitude - 0x84).astype(np.int16)


ULAW = _ulaw_table()
# 0xFF and 0x7F are silence.
MARKS = [code for code in range(256) if abs(int(ULAW[code])) > 200]
MARK_OF_SAMPLE = {int(ULAW[code]): code for code in MARKS}
SILENCE = b"\xff" * SAMPLES


class RawCall(asyncio.DatagramProtocol):
    """One call to `target` ("host:port"). `on_rtp(payload, at_ns)` sees every RTP packet that comes back."""

    def __init__(self, target: str, *, on_rtp: Callable[[bytes, int], None] | None = None) -> None:
        host, port = target.rsplit(":", 1)
        self.target = (host, int(port))
        self.on_rtp = on_rtp
        self.responses: list[tuple[int, str]] = []
        self.requests: list[str] = []
        self._changed = asyncio.Event()
        self._id = f"{random.getrandbits(64):x}"
        self._tag = f"{random.getrandbits(32):x}"
        self._to = ""
        self._cseq = 1
        self._seq = random.getrandbits(15)
        self._ts = random.getrandbits(31)
        self._ssrc = random.getrandbits(32)
        self.remote_rtp = ("", 0)
        self.arrivals: list[int] = []

    async def open(self) -> None:
        """Bind the sockets."""
        loop = asyncio.get_running_loop()
        self._sip, _ = await loop.create_datagram_endpoint(lambda: self, local_addr=("127.0.0.1", 0))
        self.address = self._sip.get_extra_info("sockname")
        self._rtp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._rtp.bind(("127.0.0.1", 0))
        self._rtp.setblocking(False)
        loop.add_reader(self._rtp, self._on_rtp)

    def close(self) -> None:
        """Free the sockets."""
        asyncio.get_running_loop().remove_reader(self._rtp)
        self._rtp.close()
        self._sip.close()

    def sdp(self, extra: str = "") -> str:
        """An offer of µ-law and telephone-event."""
        return (
            f"v=0\r\no=- 1 {self._cseq} IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n"
            f"m=audio {self._rtp.getsockname()[1]} RTP/AVP 0 101\r\na=rtpmap:0 PCMU/8000\r\n"
            f"a=rtpmap:101 telephone-event/8000\r\na=ptime:20\r\n{extra}"
        )

    def request(self, method: str, body: str = "", *, cseq: int | None = None) -> str:
        """One request of this dialog."""
        number = self._cseq if cseq is None else cseq
        host, port = self.target
        content = f"Content-Type: application/sdp\r\nContent-Length: {len(body)}\r\n\r\n{body}"
        return (
            f"{method} sip:bot@{host}:{port} SIP/2.0\r\n"
            f"Via: SIP/2.0/UDP 127.0.0.1:{self.address[1]};branch=z9hG4bK{self._id}{method}{number}\r\n"
            f"From: <sip:raw@127.0.0.1>;tag={self._tag}\r\nTo: {self._to or f'<sip:bot@{host}>'}\r\n"
            f"Call-ID: {self._id}\r\nCSeq: {number} {method}\r\nMax-Forwards: 70\r\n"
            f"Contact: <sip:raw@127.0.0.1:{self.address[1]}>\r\n{content}"
        )

    def send(self, text: str | bytes) -> None:
        """Anything, to the SIP port."""
        self._sip.sendto(text.encode() if isinstance(text, str) else text, self.target)

    async def final(self, method: str = "INVITE", timeout_s: float = 5.0) -> int:
        """The status of the final response to the latest request of a method."""
        async with asyncio.timeout(timeout_s):
            while True:
                for status, text in self.responses:
                    if status >= 200 and re.search(rf"^CSeq:\s*{self._cseq}\s+{method}", text, re.I | re.M):
                        return status
                self._changed.clear()
                await self._changed.wait()

    async def invite(self, body: str | None = None, timeout_s: float = 5.0) -> int:
        """INVITE and ACK; returns the status."""
        self.send(self.request("INVITE", self.sdp() if body is None else body))
        status = await self.final(timeout_s=timeout_s)
        self.send(self.request("ACK"))
        if status == 200:
            answer = next(text for code, text in self.responses if code == 200)
            self.remote_rtp = ("127.0.0.1", int(re.search(r"^m=audio (\d+)", answer, re.M)[1]))  # type: ignore[index]
        return status

    async def bye(self) -> int:
        """Hang up."""
        self._cseq += 1
        self.send(self.request("BYE"))
        return await self.final("BYE")

    def rtp(self, payload: bytes = SILENCE, *, pt: int = 0) -> int:
        """Send one 20 ms packet; returns when, in monotonic ns."""
        self._seq = (self._seq + 1) & 0xFFFF
        self._ts = (self._ts + SAMPLES) & 0xFFFFFFFF
        packet = struct.pack(">BBHII", 0x80, pt, self._seq, self._ts, self._ssrc) + payload
        at_ns = time.monotonic_ns()
        self._rtp.sendto(packet, self.remote_rtp)
        return at_ns

    def rtp_bytes(self, data: bytes) -> None:
        """Anything, to the far end's RTP port."""
        self._rtp.sendto(data, self.remote_rtp)

    # ---- what comes back ----

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        """A SIP message."""
        text = data.decode("utf-8", "replace")
        if match := re.match(r"SIP/2\.0 (\d{3})", text):
            self.responses.append((int(match[1]), text))
            if to := re.search(r"^(?:To|t):\s*(.+)$", text, re.I | re.M):
                self._to = to[1].strip()
        else:
            self.requests.append(text)
            self._answer(text)
        self._changed.set()

    def _answer(self, text: str) -> None:
        """200 to whatever the far end asks (BYE, OPTIONS, re-INVITE with our SDP)."""
        head = [line for line in text.split("\r\n") if re.match(r"(Via|From|To|Call-ID|CSeq):", line, re.I)]
        if text.startswith("ACK"):
            return
        body = self.sdp() if text.startswith("INVITE") else ""
        contact = f"Contact: <sip:raw@127.0.0.1:{self.address[1]}>"
        kind = "Content-Type: application/sdp"
        self.send("\r\n".join(["SIP/2.0 200 OK", *head, contact, kind, f"Content-Length: {len(body)}", "", body]))

    def _on_rtp(self) -> None:
        while True:
            try:
                data = self._rtp.recv(2048)
            except BlockingIOError:
                return
            at_ns = time.monotonic_ns()
            if len(data) < 12 or data[1] & 0x7F != 0:
                continue
            self.arrivals.append(at_ns)
            if self.on_rtp is not None:
                self.on_rtp(data[12:], at_ns)


async def pace(seconds: float, each: Callable[[int], None], *, offset_ms: float = 0.0) -> None:
    """Call `each(n)` every 20 ms, without drift."""
    start = time.monotonic() + offset_ms / 1000
    for n in range(int(seconds * 1000 / PTIME_MS)):
        await asyncio.sleep(max(0.0, start + n * PTIME_MS / 1000 - time.monotonic()))
        each(n)
