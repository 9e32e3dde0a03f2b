"""Where browsers arrive: turns an offer into a leg, within the cap of this process, and closes all legs at the end."""

import asyncio
from dataclasses import dataclass

from aiortc import RTCBundlePolicy, RTCConfiguration, RTCIceServer

from services.common.clock import Clock
from services.common.errors import OverloadedError, SettingsError, UnavailableError
from services.common.settings import WebRtcSettings
from services.orchestrator.media.leg import FRAME_MS
from services.orchestrator.media.webrtc_leg import LegLimits, WebRtcLeg
from services.orchestrator.media.webrtc_offer import check_offer

RETRY_AFTER_S = 5.0


@dataclass(frozen=True, slots=True)
class Answered:
    """A leg that waits for its browser, and the answer to send."""

    leg: WebRtcLeg
    sdp: str
    type: str


class WebRtcEndpoint:
    """All browser legs of this process."""

    def __init__(self, settings: WebRtcSettings, committed_ms: int, clock: Clock) -> None:
        self._settings = settings
        self._clock = clock
        self._limits = LegLimits(settings.connect_deadline_s, settings.media_grace_s, committed_ms)
        self._configuration = ice_configuration(settings)
        self._legs: set[WebRtcLeg] = set()
        self._ticking: asyncio.Task[None] | None = None

    @property
    def live(self) -> int:
        """Legs that hold a peer connection."""
        return len(self._legs)

    async def accept(self, sdp: object, kind: object) -> Answered:
        """Answer an offer.

        Raises UnavailableError (WebRTC is off), OverloadedError (the cap), InvalidInputError (the offer),
        DeadlineError (gathering).
        """
        if not self._settings.enabled:
            raise UnavailableError("WebRTC is off.", remedy="Set orchestrator.webrtc.enabled = true.")
        if len(self._legs) >= self._settings.max_calls:
            raise OverloadedError("WebRTC", retry_after_s=RETRY_AFTER_S)
        offer = check_offer(sdp, kind)
        leg = WebRtcLeg(self._configuration, self._clock, self._limits, self._legs.discard)
        self._legs.add(leg)
        if self._ticking is None or self._ticking.done():
            self._ticking = asyncio.create_task(self._tick(), name="webrtc ticker")
        answer = await leg.negotiate(offer)
        return Answered(leg, answer.sdp, answer.type)

    async def _tick(self) -> None:
        """One timer for the silence of all legs, while there are any."""
        due_ns = self._clock.now_ns()
        while self._legs:
            due_ns = max(due_ns + FRAME_MS * 1_000_000, self._clock.now_ns())
            await self._clock.sleep_until_ns(due_ns)
            now_ns = self._clock.now_ns()
            for leg in list(self._legs):
                leg.on_tick(now_ns)

    async def close(self) -> None:
        """End all legs and wait until their connections are closed (bounded by each leg's own deadline)."""
        legs = list(self._legs)
        for leg in legs:
            leg.hangup()
        await asyncio.gather(*(leg.closed for leg in legs if leg.closed is not None))
        if self._ticking is not None:
            self._ticking.cancel()


def ice_configuration(settings: WebRtcSettings) -> RTCConfiguration:
    """STUN and TURN by settings alone: none means host candidates, never aiortc's public default.

    Raises SettingsError when the TURN password file cannot be read.
    """
    password = ""
    if settings.turn_password_file is not None:
        try:
            password = settings.turn_password_file.read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise SettingsError(
                f"orchestrator.webrtc.turn_password_file cannot be read ({type(error).__name__}).",
                remedy="Name a readable file with one line.",
            ) from None
    servers = [
        RTCIceServer(urls=url, username=settings.turn_username or None, credential=password or None)
        if url.startswith("turn")
        else RTCIceServer(urls=url)
        for url in settings.ice_servers
    ]
    return RTCConfiguration(iceServers=servers, bundlePolicy=RTCBundlePolicy.MAX_BUNDLE)
