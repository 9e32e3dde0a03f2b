"""One leg of a call, whatever carries it: SIP through the telephony worker, or a browser over WebRTC.

A leg is fed by the ticker with 20 ms frames and reports, per direction, what really left and what came in.
Everything is called on the event loop; nothing here blocks. Audio is PCM s16le mono at the declared rates.
"""

from dataclasses import dataclass
from typing import Literal, Protocol

from services.common.personal import Personal

FRAME_MS = 20


@dataclass(frozen=True, slots=True)
class LegInfo:
    """Fixed facts of a leg. URIs are personal data; a browser has none."""

    leg_id: str
    transport: Literal["sip", "webrtc"]
    caller: Personal[str]
    callee: Personal[str]
    # SIP Call-ID or WebRTC session id: lets a test caller find its call.
    peer_reference: str


@dataclass(frozen=True, slots=True)
class LegFormat:
    """Rates in Hz; they can change in mid-call (re-INVITE)."""

    codec: str
    rx_rate_hz: int
    tx_rate_hz: int


@dataclass(frozen=True, slots=True)
class Playout:
    """How far playing has come, in samples at the tx rate, counted over the whole leg.

    `sent` is audio of ours that left for the wire (flushed audio never counts), `queued` is committed but not yet
    sent, `starved` is silence the caller heard because we were late in the middle of an utterance.
    """

    sent: int
    queued: int
    starved: int


class LegSink(Protocol):
    """Where a leg delivers; implemented by the call. All synchronous, called on the event loop."""

    def on_audio(self, pcm: bytes, received_ns: int) -> None:
        """20 ms (or what came) of the caller's audio at the rx rate; `received_ns` is when it reached this machine."""
        ...

    def on_playout(self, playout: Playout, at_ns: int) -> None:
        """Progress of what was sent; at least once per tick while audio is queued or moving."""
        ...

    def on_established(self, fmt: LegFormat) -> None:
        """Media flows; again after a change of codec."""
        ...

    def on_dtmf(self, digit: Personal[str], duration_ms: int) -> None:
        """One key, RFC 4733."""
        ...

    def on_hold(self, held: bool) -> None:
        """The far end put us on hold, or took us back."""
        ...

    def on_ended(self, cause: str, detail: str) -> None:
        """The leg is gone; nothing follows."""
        ...


class Leg(Protocol):
    """What the call asks of a leg. Commands return at once; their effect comes as a sink event."""

    @property
    def info(self) -> LegInfo: ...

    def bind(self, sink: LegSink) -> None:
        """Deliver to `sink` from now on; what came before is delivered first, in order."""
        ...

    def answer(self) -> None: ...

    def reject(self, sip_status: int, retry_after_s: float = 0) -> None:
        """Refuse before `answer`; `retry_after_s` > 0 tells the caller when to try again."""
        ...

    def play(self, frame: bytes) -> None:
        """Commit exactly 20 ms at the tx rate. Only the mouth calls this, and never beyond 60 ms queued."""
        ...

    def clear(self) -> None:
        """Throw away what is queued: silence on the wire within 25 ms.

        The first `on_playout` after this call counts nothing that was thrown away: it tells what was sent.
        """
        ...

    def hangup(self) -> None: ...

    def send_dtmf(self, digits: Personal[str]) -> None: ...

    def hold(self, on: bool) -> None: ...

    def transfer(self, target: Personal[str], consult: "Leg | None" = None) -> None: ...
