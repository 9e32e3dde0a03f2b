"""A test caller: speaks recorded audio into a real leg, keeps what went out and what came back, with times.

One Protocol over SIP (`sip_caller`) and WebRTC (`webrtc_caller`), so that `trunkline call`, `demo` and
`bench` measure both the same way. All times are CLOCK_MONOTONIC nanoseconds: caller and stack are on one machine.
"""

import bisect
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from services.common.errors import InvalidInputError, UnavailableError

Pcm = NDArray[np.int16]
FRAME_MS = 20


class CallRefusedError(UnavailableError):
    """The stack said no: busy, overloaded, forbidden. The message names its status.

    `http_status` and `retry_after_s` (None: no such header) are those of an offer over HTTP; 0: refused over SIP.
    """

    def __init__(
        self, message: str, *, remedy: str = "", http_status: int = 0, retry_after_s: int | None = None
    ) -> None:
        super().__init__(message, remedy=remedy)
        self.http_status = http_status
        self.retry_after_s = retry_after_s


@dataclass(frozen=True, slots=True)
class Chunk:
    """Audio that passed the caller's network edge together (one packet)."""

    at_ns: int
    start: int
    pcm: Pcm


class Track:
    """One direction of a leg: chunks of s16 mono at `rate_hz`, each with the time it passed the network edge.

    Sample `k` of a chunk counts as heard at `at_ns + k / rate`: both directions by the same rule, so the
    packetization of 20 ms cancels out in a difference of the two.
    """

    def __init__(self, rate_hz: int, max_s: float = 3600.0) -> None:
        self.rate_hz = rate_hz
        self._limit = int(max_s * rate_hz)
        self._chunks: list[Chunk] = []
        self._starts: list[int] = []
        self._samples = 0

    @property
    def samples(self) -> int:
        """Samples so far."""
        return self._samples

    @property
    def chunks(self) -> list[Chunk]:
        """The packets, in order."""
        return list(self._chunks)

    def add(self, pcm: bytes | Pcm, at_ns: int) -> None:
        """Append a chunk. Raises InvalidInputError for half a sample or a track longer than its limit."""
        if isinstance(pcm, bytes) and len(pcm) % 2:
            raise InvalidInputError("pcm", expected="whole 16-bit samples", got=f"{len(pcm)} bytes")
        samples = np.frombuffer(pcm, dtype="<i2").astype(np.int16) if isinstance(pcm, bytes) else pcm
        if not len(samples):
            return
        if self._samples + len(samples) > self._limit:
            raise InvalidInputError("track", expected=f"at most {self._limit // self.rate_hz} s of audio", got="more")
        self._chunks.append(Chunk(at_ns, self._samples, samples))
        self._starts.append(self._samples)
        self._samples += len(samples)

    def from_chunk(self, index: int) -> list[Chunk]:
        """The packets from number `index` on: for a reader that follows the track."""
        return self._chunks[index:]

    def time_ns(self, sample: int) -> int:
        """When sample `sample` passed the edge; past the end it is extrapolated. Raises on an empty track."""
        if not self._chunks:
            raise InvalidInputError("track", expected="audio", got="none")
        chunk = self._chunks[max(0, bisect.bisect_right(self._starts, sample) - 1)]
        return chunk.at_ns + round((sample - chunk.start) * 1e9 / self.rate_hz)

    def since(self, sample: int) -> Pcm:
        """The audio from sample `sample` on."""
        first = max(0, bisect.bisect_right(self._starts, sample) - 1)
        if sample >= self._samples:
            return np.zeros(0, dtype=np.int16)
        tail = np.concatenate([chunk.pcm for chunk in self._chunks[first:]])
        return tail[sample - self._starts[first] :]

    def audio(self) -> Pcm:
        """All samples, one after the other (gaps in time are not shown; `on_timeline` shows them)."""
        return self.since(0)

    def on_timeline(self, start_ns: int, end_ns: int) -> Pcm:
        """The audio laid on real time from `start_ns` to `end_ns`; silence where nothing passed.

        Chunks follow one another without a seam as long as they arrive within two frames of where the last
        one ended, so that jitter of arrival is not heard as clicks.
        """
        line = np.zeros(max(0, (end_ns - start_ns) * self.rate_hz // 10**9), dtype=np.int16)
        slack = 2 * FRAME_MS * self.rate_hz // 1000
        # Before the first chunk nothing holds the next one back, however long before `start_ns` it passed.
        cursor = -(1 << 62)
        for chunk in self._chunks:
            due = (chunk.at_ns - start_ns) * self.rate_hz // 10**9
            at = cursor if abs(due - cursor) <= slack else max(due, cursor)
            lo, hi = max(0, at), min(len(line), at + len(chunk.pcm))
            if hi > lo:
                line[lo:hi] = chunk.pcm[lo - at : hi - at]
            cursor = at + len(chunk.pcm)
        return line


class CallerLeg(Protocol):
    """One established test call. Synchronous methods return at once; everything runs on one event loop."""

    @property
    def transport(self) -> Literal["sip", "webrtc"]: ...

    @property
    def peer_reference(self) -> str:
        """SIP Call-ID or WebRTC session id: finds the call in the stack's API. Empty when unknown."""
        ...

    @property
    def call_id(self) -> str:
        """The stack's id of the call and the token that opens its events, where the transport tells (a browser)."""
        ...

    @property
    def token(self) -> str: ...

    @property
    def codec(self) -> str: ...

    @property
    def sent(self) -> Track:
        """What left, as it left; between clips the leg sends silence, which is not in the track."""
        ...

    @property
    def heard(self) -> Track:
        """What came back, as it arrived (no jitter buffer, nothing concealed)."""
        ...

    @property
    def playing(self) -> bool:
        """Whether queued audio has not left yet."""
        ...

    @property
    def ended(self) -> str:
        """Why the call ended; empty while it lives."""
        ...

    @property
    def lost_packets(self) -> int:
        """Packets of the agent that never came (RTP sequence numbers); 0 where the transport cannot tell."""
        ...

    def play(self, pcm: Pcm) -> int:
        """Queue audio at `sent.rate_hz`. Returns the index its first sample will have in `sent`."""
        ...

    async def progress(self) -> None:
        """Return when audio went out or came in, or the call ended (about every 20 ms).

        Raises DeadlineError when nothing at all moved for some seconds.
        """
        ...

    async def hangup(self) -> None:
        """End the call; returns when it is gone, or after two seconds."""
        ...


class Dialer(Protocol):
    """Places test calls over one transport; `close` ends them all and stops what it started."""

    async def dial(self, target: str) -> CallerLeg:
        """Call `target` ("sip:…" or an http URL of the stack) and wait until media flows.

        Raises CallRefusedError (naming the status), UnavailableError, or DeadlineError when nobody answers.
        """
        ...

    async def close(self) -> None: ...
