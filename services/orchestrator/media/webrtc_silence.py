"""The time of a caller who sends nothing. Sans-I/O.

A browser with discontinuous transmission (DTX, RFC 7587 §3.1.3) sends a packet every 400 ms while nobody speaks, and
one whose microphone was taken away sends none at all. Endpointing waits for silence that must come from somewhere:
here it is made, by the clock, a little behind, so that a packet on its way is not overtaken.
"""

import re
from typing import Final

from services.orchestrator.media.opus_packet import says_pause

# A packet and its jitter, at least; two packets, so that one that was lost at the end of a pause still has its place.
# A sender that did not announce a pause has lost packets, or is late: patience.
_BEHIND_NS: Final = 40_000_000
_PATIENCE_NS: Final = 200_000_000
_FRAME_NS: Final = 20_000_000
_ASKED: Final = "usedtx=1;useinbandfec=1"


class SilenceFill:
    """How much silence one leg is owed. Samples are at 48 kHz."""

    def __init__(self) -> None:
        self._until_ns: int | None = None
        self._paused = False
        self._filled = False
        self._behind_ns = _BEHIND_NS

    @property
    def announced(self) -> bool:
        """The sender said that it pauses."""
        return self._paused

    def begin(self, now_ns: int) -> None:
        """Media flows from here."""
        self._until_ns = now_ns

    def due(self, now_ns: int) -> int:
        """The ticker: silence to deliver now, in whole frames; 0 for none."""
        if self._until_ns is None:
            return 0
        waited_ns = now_ns - self._until_ns
        behind_ns = self._behind_ns if self._paused or self._filled else _PATIENCE_NS
        frames = (waited_ns - behind_ns) // _FRAME_NS
        if frames <= 0:
            return 0
        self._filled = True
        self._until_ns += frames * _FRAME_NS
        return frames * 960

    def gap(self, samples: int, following_samples: int, received_ns: int) -> int:
        """RTP time is missing before a packet of `following_samples`, come at `received_ns`: what to deliver for it.

        In a pause, and where silence was made already, the clock tells it. Otherwise RTP time does, up to 200 ms or
        what has passed: beyond that a sender's clock jumped.
        """
        if self._until_ns is None:
            return min(samples, _PATIENCE_NS * 48 // 1_000_000)
        passed = self._missing(following_samples, received_ns)
        if self._paused or self._filled:
            self._until_ns += passed * 1_000_000 // 48
            return passed
        return min(samples, max(passed, _PATIENCE_NS * 48 // 1_000_000))

    def audio(self, payload: bytes, samples: int, received_ns: int) -> int:
        """A packet of `samples` came: the silence to deliver before it, so that no time is missing."""
        missing = self._missing(samples, received_ns) if self._paused or self._filled else 0
        self._paused, self._filled = says_pause(payload), False
        self._until_ns = received_ns
        self._behind_ns = max(_BEHIND_NS, 2 * samples * 1_000_000 // 48)
        return missing

    def _missing(self, samples: int, received_ns: int) -> int:
        if self._until_ns is None:
            return 0
        began_ns = received_ns - samples * 1_000_000 // 48
        # Whole milliseconds: a multiple of every decimation.
        return max(0, began_ns - self._until_ns) // 1_000_000 * 48


def ask_for(sdp: str) -> str:
    """The answer with `usedtx=1;useinbandfec=1` for Opus (RFC 7587 §6.1): the browser may leave silence out, and
    should send a copy of each packet in the next one when it sees loss."""
    found = re.search(r"^a=rtpmap:(\d+) opus/48000/2\r?$", sdp, re.IGNORECASE | re.MULTILINE)
    if found is None:
        return sdp
    fmtp = re.compile(rf"^(a=fmtp:{found[1]} [^\r\n]*)", re.MULTILINE)
    if (said := fmtp.search(sdp)) is not None:
        head, _, given = said[1].partition(" ")
        wishes = _ASKED.split(";")
        names = {wish.partition("=")[0] for wish in wishes}
        # A parameter that stands twice is the reader's guess: one of ours with another value gives way.
        kept = [one for one in map(str.strip, given.split(";")) if one in wishes or one.partition("=")[0] not in names]
        return fmtp.sub(
            lambda _: f"{head} {';'.join([*kept, *(one for one in wishes if one not in kept)])}", sdp, count=1
        )
    line = found[0].rstrip("\r")
    return sdp.replace(line, f"{line}\r\na=fmtp:{found[1]} {_ASKED}", 1)
