"""A browser's part played by a program: calls the stack's HTTP API over aiortc and keeps audio with its times.

Both directions are taken at the RTP packet: what goes out is stamped as its packet is handed to the transport, what
comes in as its packet leaves SRTP, before any buffer. Implements `CallerLeg` and `Dialer`.
"""

import asyncio
from collections import deque
from typing import Any, Literal

import aiohttp
import numpy as np
from aiortc import RTCBundlePolicy, RTCConfiguration, RTCPeerConnection, RTCRtpReceiver, RTCSessionDescription

from services.cli.caller import FRAME_MS, CallRefusedError, Pcm, Track
from services.cli.lossy import LossyLine
from services.cli.lossy_webrtc import make_lossy
from services.common.clock import Clock
from services.common.errors import DeadlineError, InvalidInputError, UnavailableError
from services.orchestrator.media.opus_packet import packet_samples
from services.orchestrator.media.webrtc_audio import (
    RTP_SAMPLES_PER_FRAME,
    RX_RATE_HZ,
    OpusDecoder,
    OpusEncoder,
)
from services.orchestrator.media.webrtc_receive import Audio, Reorder, RtpPacket, install_tap
from services.orchestrator.media.webrtc_silence import SilenceFill
from services.orchestrator.media.webrtc_track import PacedTrack

RATE_HZ = 16_000
CONNECT_DEADLINE_S = 10.0
HANGUP_DEADLINE_S = 2.0
STALL_DEADLINE_S = 2.0
_FRAME = RATE_HZ * FRAME_MS // 1000
_MAX_QUEUED = 600 * RATE_HZ


class ClipSource:
    """Audio of any length, given out in 20 ms frames; the last one of a clip is padded with silence."""

    def __init__(self, sent: Track) -> None:
        self._sent = sent
        self._clips: deque[Pcm] = deque()
        self._taken: Pcm | None = None
        self._queued = 0

    @property
    def queued(self) -> int:
        """Samples that have not left yet."""
        return self._queued

    @property
    def empty(self) -> bool:
        """Nothing waits to leave."""
        return not self._clips

    def put(self, pcm: Pcm) -> int:
        """Queue a clip; returns where its first sample will stand in `sent`. Raises past ten minutes."""
        if self._queued + len(pcm) > _MAX_QUEUED:
            raise InvalidInputError("pcm", expected="at most 600 s queued", got="more")
        start = self._sent.samples + self._queued
        if len(pcm):
            self._clips.append(pcm)
            self._queued += len(pcm)
        return start

    def take(self) -> bytes | None:
        """The next 20 ms, or None when nothing is queued."""
        self._taken = None
        if not self._clips:
            return None
        clip = self._clips.popleft()
        self._taken, rest = clip[:_FRAME], clip[_FRAME:]
        if len(rest):
            self._clips.appendleft(rest)
        return np.pad(self._taken, (0, _FRAME - len(self._taken))).astype("<i2").tobytes()

    def sent(self, at_ns: int, audio: bool) -> None:
        """The frame of the last `take` left."""
        if audio and self._taken is not None:
            self._sent.add(self._taken, at_ns)
            self._queued -= len(self._taken)


class WebRtcCaller:
    """One call over WebRTC; see `CallerLeg`. Made by `WebRtcDialer.dial`.

    It codes for voice, as browsers do; with `fec_for_percent` as one that was told of so much loss: with copies.
    """

    def __init__(self, clock: Clock, fec_for_percent: int = 0) -> None:
        self._clock = clock
        self._sent = Track(RATE_HZ)
        self._heard = Track(RX_RATE_HZ)
        self._source = ClipSource(self._sent)
        self._reorder = Reorder()
        self._silence = SilenceFill()
        self._decoder = OpusDecoder()
        self._moved = asyncio.Event()
        self._flowing = asyncio.Event()
        self._ended = ""
        self.call_id = ""
        self.token = ""
        self._reference = ""
        # No servers: aiortc would otherwise ask a public STUN server.
        self._peer = RTCPeerConnection(RTCConfiguration(iceServers=[], bundlePolicy=RTCBundlePolicy.MAX_BUNDLE))
        self._peer.on("connectionstatechange", self._on_state)
        # The data channel comes after the audio section: aiortc closes the shared transport otherwise.
        # Low delay (CELT) rings on for 0.1 to 0.2 s where a clip ends in digital silence: a later end than was said.
        self._encoder = OpusEncoder(RATE_HZ, fec_for_percent=fec_for_percent, as_browser=True)
        self._track = PacedTrack(self._source, self._encoder, clock, self._on_sent)
        self._audio = self._peer.addTransceiver(self._track, direction="sendrecv")
        self._keypad = self._peer.createDataChannel("keypad")

    @property
    def transport(self) -> Literal["sip", "webrtc"]:
        """Always webrtc."""
        return "webrtc"

    @property
    def peer_reference(self) -> str:
        """The WebRTC session id the stack gave this leg."""
        return self._reference

    @property
    def codec(self) -> str:
        """Opus, both ways."""
        return "opus/48000"

    @property
    def sent(self) -> Track:
        """What left, at 16 kHz."""
        return self._sent

    @property
    def heard(self) -> Track:
        """What came back, at 16 kHz."""
        return self._heard

    @property
    def playing(self) -> bool:
        """Whether queued audio has not left yet."""
        return self._source.queued > 0

    @property
    def ended(self) -> str:
        """Why the call ended; empty while it lives."""
        return self._ended

    @property
    def lost_packets(self) -> int:
        """Packets of the agent that never came."""
        return self._reorder.lost

    @property
    def copies(self) -> int:
        """Packets sent that held a copy of the one before."""
        return self._encoder.copies

    def play(self, pcm: Pcm) -> int:
        """Queue 16 kHz audio. Returns the index its first sample will have in `sent`."""
        start = self._source.put(pcm)
        self._track.wake()
        return start

    def press(self, digit: str) -> None:
        """Press a key of the page's keypad. Raises InvalidInputError before the channel is open."""
        if self._keypad.readyState != "open":
            raise InvalidInputError("keypad", expected="an open data channel", got=self._keypad.readyState)
        self._keypad.send(f'{{"dtmf": "{digit}"}}')

    def lose(self, line: LossyLine) -> None:
        """From now on what is sent passes through `line`."""
        make_lossy(self._audio.sender, line, self._clock)

    async def progress(self) -> None:
        """Return when audio moved or the call ended. Raises DeadlineError when nothing moved for two seconds."""
        if self._ended:
            return
        self._moved.clear()
        try:
            async with asyncio.timeout(STALL_DEADLINE_S):
                await self._moved.wait()
        except TimeoutError:
            raise DeadlineError("No packet moved in either direction for 2 s.") from None

    async def connect(self, http: aiohttp.ClientSession, base_url: str) -> None:
        """Offer, take the answer, wait until packets come. See `Dialer.dial` for what it raises."""
        capabilities = RTCRtpReceiver.getCapabilities("audio")
        codecs = capabilities.codecs if capabilities is not None else []
        self._audio.setCodecPreferences([c for c in codecs if c.mimeType.lower() == "audio/opus"])
        install_tap(self._audio.receiver, self._on_packet)
        await self._peer.setLocalDescription(await self._peer.createOffer())
        answer = await self._post(http, base_url.rstrip("/") + "/api/webrtc/offer")
        self.call_id, self.token = str(answer["call_id"]), str(answer["token"])
        self._reference = str(answer["peer_reference"])
        await self._peer.setRemoteDescription(RTCSessionDescription(sdp=str(answer["sdp"]), type="answer"))
        await self._flowing.wait()
        if self._ended:
            raise UnavailableError(f"The call ended before media flowed: {self._ended}.")

    async def hangup(self) -> None:
        """Close the connection; returns when it is gone, or after two seconds."""
        self._end("local_hangup")
        try:
            async with asyncio.timeout(HANGUP_DEADLINE_S):
                await self._peer.close()
        except TimeoutError:
            return

    async def _post(self, http: aiohttp.ClientSession, url: str) -> dict[str, Any]:
        offer = self._peer.localDescription
        try:
            async with http.post(url, json={"sdp": offer.sdp, "type": offer.type}) as response:
                body: Any = await response.json()
                status, retry_after = response.status, response.headers.get("Retry-After", "")
        except (aiohttp.ClientError, ValueError) as error:
            raise UnavailableError(
                f"{url} cannot be reached ({type(error).__name__}).", remedy="Is the stack up? Run trunkline up."
            ) from None
        if status != 200:
            error_body = body.get("error", {}) if isinstance(body, dict) else {}
            raise CallRefusedError(
                f"The call was refused with HTTP {status}: {error_body.get('message', 'no reason given')}",
                remedy=str(error_body.get("remedy", "")),
                http_status=status,
                retry_after_s=int(retry_after) if retry_after.isdecimal() else None,
            )
        return dict(body)

    def _on_sent(self, at_ns: int, audio: bool) -> None:
        self._source.sent(at_ns, audio)
        if audio:
            self._moved.set()

    def _on_packet(self, packet: RtpPacket) -> None:
        now = self._clock.now_ns()
        for item in self._reorder.push(
            ssrc=packet.ssrc,
            seq=packet.sequence_number,
            timestamp=packet.timestamp,
            payload=packet.payload,
            received_ns=now,
        ):
            if isinstance(item, Audio):
                # A pause of the agent is silence too: the track must hold it, or its words run into one another.
                samples = packet_samples(item.payload) or RTP_SAMPLES_PER_FRAME
                paused = self._silence.audio(item.payload, samples, item.received_ns)
                self._heard.add(self._decoder.silence(paused), item.received_ns - paused * 1_000_000 // 48)
                self._heard.add(self._decoder.decode(item.payload), item.received_ns)
        self._moved.set()
        self._flowing.set()

    def _on_state(self) -> None:
        state = self._peer.connectionState
        if state in ("failed", "closed"):
            self._end("failed" if state == "failed" else "remote_bye")

    def _end(self, reason: str) -> None:
        self._ended = self._ended or reason
        self._moved.set()
        self._flowing.set()


class WebRtcDialer:
    """Places WebRTC calls to the HTTP API of a stack; see `Dialer`. `target` is its base URL."""

    def __init__(self, clock: Clock, fec_for_percent: int = 0) -> None:
        self._clock = clock
        self._fec_for_percent = fec_for_percent
        self._legs: list[WebRtcCaller] = []
        self._http: aiohttp.ClientSession | None = None

    async def dial(self, target: str) -> WebRtcCaller:
        """Call and wait until media flows. Raises UnavailableError when refused, DeadlineError when nobody answers."""
        if not target.startswith(("http://", "https://")):
            raise InvalidInputError("target", expected="an http:// or https:// URL", got=target[:40])
        if self._http is None:
            self._http = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=CONNECT_DEADLINE_S))
        leg = WebRtcCaller(self._clock, self._fec_for_percent)
        self._legs.append(leg)
        try:
            async with asyncio.timeout(CONNECT_DEADLINE_S):
                await leg.connect(self._http, target)
        except TimeoutError:
            await leg.hangup()
            raise DeadlineError(f"No media within {CONNECT_DEADLINE_S:.0f} s.", remedy="See the stack's log.") from None
        except BaseException:
            await leg.hangup()
            raise
        return leg

    async def close(self) -> None:
        """Hang up every call and drop the HTTP session."""
        await asyncio.gather(*(leg.hangup() for leg in self._legs))
        self._legs.clear()
        if self._http is not None:
            await self._http.close()
            self._http = None
