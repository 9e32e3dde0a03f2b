"""A browser as a leg of a call: aiortc underneath, the same Leg as a telephone above.

    negotiate ──▶ connecting ──▶ established ──▶ ended
                      │ deadline     │ browser closes, packets stop for the grace time, hangup
                      └──────────────┴──▶ ended

Ended is reported once, and the peer connection is closed whatever the way there. aiortc calls us from its own
tasks; none of our callbacks raises into them.
"""

import asyncio
import secrets
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from aiortc import RTCConfiguration, RTCDataChannel, RTCPeerConnection, RTCRtpReceiver, RTCSessionDescription
from aiortc.exceptions import InternalError, InvalidAccessError, OperationError

from services.common.clock import Clock
from services.common.deadline import deadline
from services.common.errors import DeadlineError, InvalidInputError
from services.common.log import get_logger
from services.common.personal import Personal
from services.orchestrator.media.leg import Leg, LegFormat, LegInfo, LegSink
from services.orchestrator.media.webrtc_audio import RX_RATE_HZ, TX_RATE_HZ, OpusEncoder
from services.orchestrator.media.webrtc_ear import BrowserEar, Heard
from services.orchestrator.media.webrtc_keypad import KEY_MS, parse_key
from services.orchestrator.media.webrtc_offer import PARSER_ERRORS
from services.orchestrator.media.webrtc_playout import PlayoutQueue
from services.orchestrator.media.webrtc_receive import RtpPacket, install_tap
from services.orchestrator.media.webrtc_silence import ask_for
from services.orchestrator.media.webrtc_track import PacedTrack

log = get_logger(__name__)

FORMAT = LegFormat(codec="opus/48000", rx_rate_hz=RX_RATE_HZ, tx_rate_hz=TX_RATE_HZ)
NEGOTIATE_DEADLINE_S = 8.0
CLOSE_DEADLINE_S = 5.0
# How often in the grace time it is looked whether anything came.
_LOOKS_PER_GRACE = 4
# What the sink has missed before `bind`: two seconds of events.
_MAX_BACKLOG = 100


@dataclass(frozen=True, slots=True)
class LegLimits:
    """Deadlines of one leg, and how much audio may be committed."""

    connect_deadline_s: float = 10.0
    media_grace_s: float = 12.0
    committed_ms: int = 60


@dataclass(slots=True)
class LegCounters:
    """What a leg saw; read for the log when it ends."""

    packets_in: int = 0
    packets_out: int = 0
    keypad_rejected: int = 0


@dataclass(slots=True)
class _State:
    established: bool = False
    ended: bool = False
    moving: bool = False
    last_packet_ns: int = 0
    sink: LegSink | None = None
    backlog: deque[Callable[[LegSink], None]] = field(default_factory=lambda: deque(maxlen=_MAX_BACKLOG))


class WebRtcLeg:
    """Implements `Leg` over one RTCPeerConnection. Create on the event loop, then `negotiate` once."""

    def __init__(
        self,
        configuration: RTCConfiguration,
        clock: Clock,
        limits: LegLimits,
        on_closed: Callable[["WebRtcLeg"], None] = lambda leg: None,
    ) -> None:
        self._clock = clock
        self._limits = limits
        self._on_closed = on_closed
        session = secrets.token_hex(8)
        self._info = LegInfo(
            leg_id=session,
            transport="webrtc",
            caller=Personal("browser", "caller"),
            callee=Personal("", "callee"),
            peer_reference=session,
        )
        self.counters = LegCounters()
        self._state = _State()
        self._queue = PlayoutQueue(TX_RATE_HZ, limits.committed_ms)
        self._track = PacedTrack(self._queue, OpusEncoder(), clock, self._on_packet_sent)
        self._ear = BrowserEar()
        self._peer = RTCPeerConnection(configuration)
        self._peer.on("connectionstatechange", self._on_connection_state)
        self._peer.on("datachannel", self._on_data_channel)
        self._receiver: RTCRtpReceiver | None = None
        self._watchdog: asyncio.Task[None] | None = None
        self.closed: asyncio.Task[None] | None = None

    @property
    def info(self) -> LegInfo:
        """Fixed facts."""
        return self._info

    @property
    def ended(self) -> bool:
        """The leg is gone or going."""
        return self._state.ended

    async def negotiate(self, offer: str) -> RTCSessionDescription:
        """Answer an offer that `check_offer` let pass; the browser may connect from then on.

        Raises InvalidInputError for an offer that cannot be used, DeadlineError when gathering takes too long; the
        leg is ended then.
        """
        try:
            async with deadline(self._clock, NEGOTIATE_DEADLINE_S):
                transceiver = self._peer.addTransceiver(self._track, direction="sendrecv")
                capabilities = RTCRtpReceiver.getCapabilities("audio")
                codecs = capabilities.codecs if capabilities is not None else []
                transceiver.setCodecPreferences([c for c in codecs if c.mimeType.lower() == "audio/opus"])
                await self._peer.setRemoteDescription(RTCSessionDescription(sdp=offer, type="offer"))
                self._receiver = transceiver.receiver
                install_tap(self._receiver, self._on_packet)
                await self._peer.setLocalDescription(await self._peer.createAnswer())
        except TimeoutError:
            self._end("failed", "gathering timed out")
            raise DeadlineError(
                f"No ICE candidates within {NEGOTIATE_DEADLINE_S:.0f} s.",
                remedy="Check orchestrator.webrtc.ice_servers.",
            ) from None
        except (*PARSER_ERRORS, InternalError, InvalidAccessError, OperationError) as error:
            self._end("failed", "offer refused")
            raise InvalidInputError(
                "sdp", expected="an offer that WebRTC can answer", got=f"one that it cannot ({type(error).__name__})"
            ) from None
        except BaseException:
            self._end("failed", "offer refused")
            raise
        self._watchdog = asyncio.create_task(self._watch(), name=f"webrtc watchdog {self._info.leg_id}")
        answer = self._peer.localDescription
        return RTCSessionDescription(sdp=ask_for(answer.sdp), type=answer.type)

    # ---- Leg ----

    def bind(self, sink: LegSink) -> None:
        """Deliver to `sink` from now on; what came before is delivered first."""
        self._state.sink = sink
        while self._state.backlog:
            self._state.backlog.popleft()(sink)

    def answer(self) -> None:
        """Nothing to do: a browser's offer is answered when it comes, media flows when it connects."""

    def reject(self, sip_status: int, retry_after_s: float = 0) -> None:
        """End the leg before it began."""
        self._end("rejected", str(sip_status))

    def play(self, frame: bytes) -> None:
        """Commit exactly 20 ms at 24 kHz; what does not fit is refused and counted."""
        if not self._queue.put(frame):
            if self._queue.refused == 1:
                log.warning("frame refused", leg=self._info.leg_id, bytes=len(frame), expected=self._queue.frame_bytes)
            return
        self._state.moving = True
        self._track.wake()

    def clear(self) -> None:
        """Throw away what is queued: the next packet, within 20 ms, is silence."""
        self._queue.clear()
        self._state.moving = False
        self._report_playout(self._clock.now_ns())

    def hangup(self) -> None:
        """Close the connection; the browser sees it at once (DTLS close)."""
        self._end("local_hangup", "")

    def send_dtmf(self, digits: Personal[str]) -> None:
        """A browser has no use for tones."""
        raise InvalidInputError("leg", expected="a SIP leg for DTMF", got="a browser")

    def hold(self, on: bool) -> None:
        """Hold belongs to telephones."""
        raise InvalidInputError("leg", expected="a SIP leg for hold", got="a browser")

    def transfer(self, target: Personal[str], consult: Leg | None = None) -> None:
        """REFER belongs to telephones."""
        raise InvalidInputError("leg", expected="a SIP leg for transfer", got="a browser")

    # ---- from aiortc ----

    def _on_packet(self, packet: RtpPacket) -> None:
        now = self._clock.now_ns()
        self._state.last_packet_ns = now
        self.counters.packets_in += 1
        self._hear(
            self._ear.packet(
                ssrc=packet.ssrc,
                seq=packet.sequence_number,
                timestamp=packet.timestamp,
                payload=packet.payload,
                received_ns=now,
            )
        )

    def on_tick(self, now_ns: int) -> None:
        """Every 20 ms: what a caller who sends nothing does not say."""
        if self._state.established and not self._state.ended:
            self._hear(self._ear.tick(now_ns))

    def _hear(self, heard: Iterable[Heard]) -> None:
        for piece in heard:
            self._hear_piece(piece)

    def _hear_piece(self, piece: Heard) -> None:
        self._deliver(lambda sink: sink.on_audio(piece.pcm, piece.at_ns))

    def _on_packet_sent(self, at_ns: int, audio: bool) -> None:
        self.counters.packets_out += 1
        if audio or self._state.moving:
            self._state.moving = audio or not self._queue.empty
            self._report_playout(at_ns)

    def _report_playout(self, at_ns: int) -> None:
        playout = self._queue.state()
        if self._state.sink is not None:
            self._state.sink.on_playout(playout, at_ns)
        else:
            self._state.backlog.append(lambda sink: sink.on_playout(playout, at_ns))

    def _on_connection_state(self) -> None:
        state = self._peer.connectionState
        if state == "connected" and not self._state.established and not self._state.ended:
            self._state.established = True
            self._state.last_packet_ns = self._clock.now_ns()
            self._ear.begin(self._clock.now_ns())
            self._deliver(lambda sink: sink.on_established(FORMAT))
        elif state == "failed":
            self._end("failed", "the connection broke" if self._state.established else "no connection was made")
        elif state == "closed":
            self._end("remote_bye", "")

    def _on_data_channel(self, channel: RTCDataChannel) -> None:
        channel.on("message", self._on_message)

    def _on_message(self, message: object) -> None:
        """`{"dtmf": "5"}` from the page's keypad; anything else is counted and ignored."""
        key = parse_key(message)
        if key is None:
            self.counters.keypad_rejected += 1
        else:
            self._deliver(lambda sink: sink.on_dtmf(key, KEY_MS))

    # ---- inside ----

    def _deliver(self, call: Callable[[LegSink], None]) -> None:
        if self._state.sink is None:
            self._state.backlog.append(call)
        else:
            call(self._state.sink)

    async def _watch(self) -> None:
        """One deadline at a time: to connect, then for packets to go on coming."""
        connect_ns = self._clock.now_ns() + int(self._limits.connect_deadline_s * 1e9)
        grace_ns = int(self._limits.media_grace_s * 1e9)
        await self._clock.sleep_until_ns(connect_ns)
        if not self._state.established:
            self._end("failed", f"the browser did not connect within {self._limits.connect_deadline_s:.0f} s")
            return
        seen = 0
        while (due := self._state.last_packet_ns + grace_ns) > (now_ns := self._clock.now_ns()):
            await self._clock.sleep_until_ns(min(due, now_ns + grace_ns // _LOOKS_PER_GRACE))
            arrived = await self._arrived()
            if arrived > seen:
                seen, self._state.last_packet_ns = arrived, self._clock.now_ns()
        self._end("media_timeout", f"no packet for {self._limits.media_grace_s:.0f} s")

    async def _arrived(self) -> int:
        """Packets of any kind so far: a browser without a microphone still sends RTCP."""
        if self._receiver is None:
            return 0
        stats = await self._receiver.getStats()
        return sum(item.packetsReceived for item in stats.values() if item.type == "transport")

    def _end(self, cause: str, detail: str) -> None:
        if self._state.ended:
            return
        self._state.ended = True
        self._queue.clear()
        self._track.stop()
        if self._watchdog is not None and self._watchdog is not asyncio.current_task():
            self._watchdog.cancel()
        self.closed = asyncio.create_task(self._close(), name=f"webrtc close {self._info.leg_id}")
        log.info(
            "webrtc leg ended",
            leg=self._info.leg_id,
            cause=cause,
            packets_in=self.counters.packets_in,
            packets_out=self.counters.packets_out,
            packets_lost=self._ear.lost,
            packets_late=self._ear.late,
            decode_errors=self._ear.errors,
        )
        self._deliver(lambda sink: sink.on_ended(cause, detail))

    async def _close(self) -> None:
        try:
            async with deadline(self._clock, CLOSE_DEADLINE_S):
                await self._peer.close()
        except TimeoutError:
            log.warning("peer connection did not close in time", leg=self._info.leg_id)
        except (ConnectionError, *PARSER_ERRORS) as error:
            log.warning("peer connection closed with an error", leg=self._info.leg_id, error=type(error).__name__)
        finally:
            self._on_closed(self)
