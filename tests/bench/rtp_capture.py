"""RTP as it was on the wire: tcpdump on loopback, G.711 µ-law payloads as tracks. An opinion independent of ours."""

import asyncio
import contextlib
import struct
import time
from collections.abc import AsyncIterator
from pathlib import Path

import numpy as np

from services.cli.caller import Pcm, Track

_ETHERNET, _RTP_HEADER, _PCMU, _FRAME = 14, 12, 0, 160


def mulaw_decode(payload: bytes) -> Pcm:
    """ITU-T G.711."""
    code = ~np.frombuffer(payload, dtype=np.uint8)
    magnitude = (((code & 0x0F).astype(np.int32) << 3) + 0x84) << ((code & 0x70) >> 4).astype(np.int32)
    return np.where(code & 0x80, 0x84 - magnitude, magnitude - 0x84).astype(np.int16)


@contextlib.asynccontextmanager
async def capture(path: Path, ports: str) -> AsyncIterator[None]:
    """Capture UDP on loopback while inside. Needs the right to capture (root)."""
    process = await asyncio.create_subprocess_exec(
        "tcpdump", "-i", "lo", "-w", str(path), "-s", "400", "-B", "8192", "udp", "portrange", ports,
        stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    assert process.stderr is not None
    try:
        async with asyncio.timeout(10):
            while b"listening" not in (said := await process.stderr.readline()):
                assert said, "tcpdump ended"
        yield
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        await process.communicate()


def tracks(path: Path) -> dict[int, Track]:
    """By source port; times on CLOCK_MONOTONIC."""
    to_monotonic = time.monotonic_ns() - time.time_ns()
    raw, at = path.read_bytes(), 24
    found: dict[int, Track] = {}
    while at + 16 <= len(raw):
        seconds, micros, size, _ = struct.unpack_from("<IIII", raw, at)
        packet = raw[at + 16 + _ETHERNET : at + 16 + size]
        at += 16 + size
        udp = packet[(packet[0] & 15) * 4 :]
        rtp = udp[8:]
        if len(rtp) != _RTP_HEADER + _FRAME or rtp[1] & 0x7F != _PCMU:
            continue
        source = struct.unpack_from(">H", udp)[0]
        when_ns = seconds * 10**9 + micros * 1000 + to_monotonic
        found.setdefault(source, Track(8000)).add(mulaw_decode(rtp[_RTP_HEADER:]), when_ns)
    return found
