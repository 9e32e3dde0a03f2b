"""One call of a test caller over SIP: what it sends and hears, with the times the worker saw."""

import asyncio
from collections import deque
from typing import Any, Literal

import numpy as np

from services.cli.caller import FRAME_MS, Pcm, Track
from services.common.errors import DeadlineError, InvalidInputError, UnavailableError
from services.common.personal import Personal
from services.pb.trunkline.telephony.v1 import telephony_pb2 as pb

HANGUP_DEADLINE_S = 2.0
STALL_DEADLINE_S = 5.0
END_TOLD_S = 1.0
# A caller flushes nothing: its worker holds enough that a late event loop here leaves no gap in what is said.
COMMITTED_MS = 240
_MAX_QUEUED_S = 600
_KEYS = frozenset("0123456789*#ABCD")
# Later than this is a gap, whatever the counters say: they do not count long ones.
_SEEN_LATE_NS = 150_000_000


class SipLeg:
    """One call over SIP; see `CallerLeg`. Made by `SipDialer.dial`."""

    def __init__(self, leg_id: int) -> None:
        self.leg_id = leg_id
        self.codec = ""
        self.peer_reference = ""
        # SIP tells neither: the API finds the call by its Call-ID.
        self.call_id = ""
        self.token = ""
        self.ended = ""
        self.lost_packets = 0
        # Audio the worker would not take: our accounting of what was sent is void.
        self.fault = ""
        self.sent = Track(8000)
        self.heard = Track(8000)
        self._queue: deque[Pcm] = deque()
        self._queued = 0
        self._committed: deque[Pcm] = deque()
        self._in_worker = 0
        self._sent_total = 0
        self._starved_total = 0
        self._clip_starts: set[int] = set()
        self._sent_until_ns = 0
        self._moved = asyncio.Event()
        self.established = asyncio.Event()
        self.gone = asyncio.Event()
        self.close_leg: Any = None
        self.press_keys: Any = None

    @property
    def transport(self) -> Literal["sip", "webrtc"]:
        """Always sip."""
        return "sip"

    @property
    def playing(self) -> bool:
        """Whether queued audio has not left yet."""
        return self._queued + self._in_worker > 0

    def play(self, pcm: Pcm) -> int:
        """Queue audio at the tx rate, padded to whole frames. Returns the index of its first sample in `sent`."""
        frame = self.sent.rate_hz * FRAME_MS // 1000
        if self._queued + len(pcm) > _MAX_QUEUED_S * self.sent.rate_hz:
            raise InvalidInputError("pcm", expected=f"at most {_MAX_QUEUED_S} s queued", got="more")
        start = self.sent.samples + self._in_worker + self._queued
        self._clip_starts.add(start)
        padded = np.pad(pcm, (0, -len(pcm) % frame))
        for at in range(0, len(padded), frame):
            self._queue.append(padded[at : at + frame])
        self._queued += len(padded)
        return start

    async def progress(self) -> None:
        """See `CallerLeg.progress`."""
        if self.ended:
            return
        self._moved.clear()
        try:
            async with asyncio.timeout(STALL_DEADLINE_S):
                await self._moved.wait()
        except TimeoutError:
            raise DeadlineError(f"No audio moved in either direction for {STALL_DEADLINE_S:.0f} s.") from None
        if self.fault and not await self._ended_meanwhile():
            raise UnavailableError(f"The caller's own worker could not go on: {self.fault}.")

    async def _ended_meanwhile(self) -> bool:
        """A call that is ending takes no more audio a little before its end is told: then that is the reason."""
        try:
            async with asyncio.timeout(END_TOLD_S):
                await self.gone.wait()
        except TimeoutError:
            return False
        return True

    async def send_keys(self, keys: Personal[str]) -> None:
        """Key `keys` (0-9 * # A-D) as RFC 4733 events, one every 200 ms; returns when they are on their way."""
        if strange := sorted(set(keys.reveal()) - _KEYS):
            raise InvalidInputError("keys", expected="0-9, *, #, A-D", got=f"{len(strange)} other characters")
        await self.press_keys(self.leg_id, keys.reveal())

    async def hangup(self) -> None:
        """BYE; returns when the call is gone, or after two seconds."""
        if self.ended:
            return
        await self.close_leg(self.leg_id)
        try:
            async with asyncio.timeout(HANGUP_DEADLINE_S):
                await self.gone.wait()
        except TimeoutError:
            self.end("local_hangup, BYE unanswered")

    # ---- fed by the dialer ----

    def start(self, established: pb.Established) -> None:
        """Media flows. A change of rate in mid-call ends the test call: its tracks have one rate."""
        rates = (established.tx_sample_rate_hz, established.rx_sample_rate_hz)
        if self.established.is_set() and rates != (self.sent.rate_hz, self.heard.rate_hz):
            self.fault = f"the rates changed to {rates[0]} and {rates[1]} Hz in mid-call"
            return
        if not self.established.is_set():
            self.codec = established.codec
            self.peer_reference = established.sip_call_id
            self.sent, self.heard = Track(rates[0]), Track(rates[1])
            self.established.set()

    def on_frame(self, frame: pb.LegFrame, at_ns: int) -> None:
        """What came (at `at_ns`), and how far sending has come (known to the worker's 2 ms)."""
        grown = frame.tx_samples_sent - self._sent_total
        self._sent_total = frame.tx_samples_sent
        starved = frame.tx_samples_starved != self._starved_total
        self._starved_total = frame.tx_samples_starved
        sent_ns = frame.tx_sent_ns or at_ns
        while grown > 0 and self._committed:
            chunk = self._committed.popleft()
            if len(chunk) > grown:
                self._committed.appendleft(chunk[grown:])
                chunk = chunk[:grown]
            grown -= len(chunk)
            self._in_worker -= len(chunk)
            # What left together was seen when the last of it had left.
            self._left(chunk, sent_ns - self._length_ns(grown), starved)
        if frame.pcm:
            self.heard.add(frame.pcm, at_ns)
        self._moved.set()

    def _left(self, chunk: Pcm, seen_ns: int, starved: bool) -> None:
        """Packets of one clip leave 20 ms apart by the sender's own clock, unless its queue ran dry, which it counts.

        So a packet that was seen late by a busy poll is given the time it was due; one after a real gap the time it
        was seen.
        """
        late_ns = seen_ns - self._sent_until_ns
        first = self.sent.samples in self._clip_starts
        at_ns = self._sent_until_ns if not (first or starved) and 0 < late_ns <= _SEEN_LATE_NS else seen_ns
        self.sent.add(chunk, at_ns)
        self._sent_until_ns = at_ns + self._length_ns(len(chunk))

    def _length_ns(self, samples: int) -> int:
        return samples * 1_000_000_000 // self.sent.rate_hz

    def due(self, request: pb.MediaRequest) -> None:
        """Add the frames for which the worker has room."""
        room = self.sent.rate_hz * COMMITTED_MS // 1000 - self._in_worker
        taken: list[Pcm] = []
        while self._queue and len(self._queue[0]) <= room:
            frame = self._queue.popleft()
            taken.append(frame)
            room -= len(frame)
            self._queued -= len(frame)
            self._in_worker += len(frame)
        if taken:
            self._committed.extend(taken)
            request.frames.add(leg_id=self.leg_id, pcm=np.concatenate(taken).astype("<i2").tobytes())

    def end(self, reason: str) -> None:
        """Nothing follows."""
        self.ended = self.ended or reason
        self.gone.set()
        self.established.set()
        self._moved.set()


def ended_reason(ended: pb.Ended) -> str:
    """ "rejected, SIP 486 Busy Here"; words of the contract, no personal data."""
    cause = pb.Ended.Cause.Name(ended.cause).removeprefix("CAUSE_").lower()
    status = f", SIP {ended.sip_status} {ended.reason}".rstrip() if ended.sip_status else ""
    return f"{cause}{status}"
