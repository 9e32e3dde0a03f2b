"""The SIP/RTP engine as the worker sees it: events in, actions out, and one audio ring pair per call.

The worker knows nothing of baresip; another stack takes its place by implementing these protocols.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from services.common.personal import Personal
from services.telephony.ledger import RingCounters
from services.telephony.refusals import Refused


@dataclass(frozen=True, slots=True)
class AudioFormat:
    """What the call negotiated. PCM is s16le mono at these rates, whatever the codec."""

    codec: str
    rx_rate_hz: int
    tx_rate_hz: int
    ptime_ms: int
    srtp: bool


@dataclass(frozen=True, slots=True)
class CallStats:
    """The engine's closing statistics; RTCP figures trail by up to one reporting interval."""

    rx_packets: int = 0
    rx_lost: int = 0
    rx_jitter_ms: float = 0.0
    tx_packets: int = 0
    rtt_ms: float = 0.0


@dataclass(frozen=True, slots=True)
class IncomingCall:
    """An INVITE was accepted by the stack (100, 180 are out); it waits for answer or reject."""

    handle: int
    from_uri: Personal[str]
    to_uri: Personal[str]
    sip_call_id: str
    headers: Mapping[str, Personal[str]]


@dataclass(frozen=True, slots=True)
class CallEstablished:
    """ACK seen or 2xx received. Audio may follow a moment later."""

    handle: int
    sip_call_id: str = ""


@dataclass(frozen=True, slots=True)
class CallClosed:
    """The call is gone; `reason` is the stack's text or the SIP status line of a refusal. May hold personal data."""

    handle: int
    reason: Personal[str]
    stats: CallStats


@dataclass(frozen=True, slots=True)
class DigitReceived:
    """One complete DTMF digit."""

    handle: int
    digit: Personal[str]
    duration_ms: int


@dataclass(frozen=True, slots=True)
class RemoteHold:
    """The far end held us or took us back."""

    handle: int
    held: bool


@dataclass(frozen=True, slots=True)
class TransferAsked:
    """A REFER came (the stack has answered 202); it waits for accept or reject."""

    handle: int
    target: Personal[str]
    replaces: bool


@dataclass(frozen=True, slots=True)
class TransferDone:
    """How our REFER ended."""

    handle: int
    accepted: bool
    sip_status: int
    reason: str


@dataclass(frozen=True, slots=True)
class EngineDead:
    """The stack's thread ended: no call of this process can be saved, a new process is needed."""


CallEvent = CallEstablished | CallClosed | DigitReceived | RemoteHold | TransferAsked | TransferDone
EngineEvent = IncomingCall | CallEvent | EngineDead


class AudioRestartedError(Exception):
    """The streams were replaced (re-INVITE): open() again for the new format. What was buffered is lost."""


class CallAudio(Protocol):
    """One call's audio. Never blocks; called on the event loop only."""

    def open(self) -> AudioFormat | None:
        """Bind to the current streams; None while the call has none."""
        ...

    def read(self, max_bytes: int) -> bytes:
        """Received PCM, at most `max_bytes`; b"" when there is none. Raises AudioRestartedError."""
        ...

    def write(self, pcm: bytes) -> int:
        """Queue PCM; returns the bytes taken (0 while sending is held). Raises AudioRestartedError."""
        ...

    def flush(self) -> None:
        """Drop what is queued at the sender's next packet, together with anything written until then."""
        ...

    def counters(self) -> RingCounters:
        """Read the rings' counters into an object that is reused. Raises AudioRestartedError."""
        ...


class Engine(Protocol):
    """A SIP user agent. Actions raise EngineError where the stack refuses; their outcome comes as an event."""

    @property
    def name(self) -> str: ...

    @property
    def version(self) -> str: ...

    @property
    def sip_uri(self) -> str:
        """Where this worker is called, with the bound port."""
        ...

    async def start(self, on_event: Callable[[EngineEvent], None]) -> None: ...

    async def close(self) -> None: ...

    def facts(self) -> dict[str, str]:
        """For Describe: what a reader of a benchmark wants to know."""
        ...

    def audio(self, handle: int) -> CallAudio: ...

    async def answer(self, handle: int) -> None: ...

    async def reject(self, handle: int, refused: Refused) -> None:
        """Refuse; an engine that cannot say so says 486."""
        ...

    async def hangup(self, handle: int) -> None: ...

    async def hold(self, handle: int, on: bool) -> None: ...

    async def send_dtmf(self, handle: int, digits: Personal[str]) -> None: ...

    async def transfer(self, handle: int, target: Personal[str]) -> None: ...

    async def attended_transfer(self, handle: int, consult: int) -> None: ...

    async def accept_transfer(self, handle: int) -> int:
        """Call the REFER's target; returns the new call's handle."""
        ...

    async def reject_transfer(self, handle: int) -> None: ...

    async def dial(self, target: Personal[str], headers: Mapping[str, Personal[str]]) -> int:
        """Send an INVITE; returns the new call's handle."""
        ...


class EngineError(Exception):
    """The stack refused an action; the text is ours and holds no personal data."""
