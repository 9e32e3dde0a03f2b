"""The audio of all legs: every few milliseconds the rings are emptied into one message, playing is accounted.

Synchronous and cheap, because it runs 200 times a second for every leg there is.
"""

from collections.abc import Callable
from typing import Final

from services.pb.trunkline.telephony.v1 import telephony_pb2 as pb
from services.telephony.engine import AudioFormat, AudioRestartedError, CallAudio
from services.telephony.leg_media import COMMITTED_MS, LegMedia
from services.telephony.leg_types import State
from services.telephony.legs import Leg

Emit = Callable[[pb.LegEvent], None]
Formatted = Callable[[Leg, AudioFormat], None]
RESTARTED: Final = "the audio was renegotiated, this frame is lost"


class MediaLoop:
    """Holds one LegMedia per leg. `emit` takes events, `formatted` learns that a leg's streams are up."""

    def __init__(
        self, emit: Emit, formatted: Formatted, *, note_sends: bool = False, committed_ms: int = COMMITTED_MS
    ) -> None:
        self._note_sends = note_sends
        self._committed_ms = committed_ms
        self._emit = emit
        self._formatted = formatted
        self._legs: dict[int, tuple[Leg, LegMedia]] = {}

    def add(self, leg: Leg, audio: CallAudio) -> None:
        """A leg exists; its streams may come later."""
        media = LegMedia(leg.leg_id, audio, note_sends=self._note_sends, committed_ms=self._committed_ms)
        self._legs[leg.leg_id] = (leg, media)

    def remove(self, leg_id: int) -> None:
        """A leg has ended."""
        self._legs.pop(leg_id, None)

    def move(self, leg_id: int, to: "MediaLoop") -> None:
        """Another loop has the leg from now on, as it stands."""
        if (found := self._legs.pop(leg_id, None)) is not None:
            to._legs[leg_id] = found

    def poll(self, now_ns: int, response: pb.MediaResponse | None) -> None:
        """Move everybody's audio into `response`; without one nobody listens and it is thrown away."""
        for leg_id, (leg, media) in self._legs.items():
            if not media.is_open:
                self._open(leg, media)
                continue
            try:
                if response is None:
                    media.drain()
                elif media.poll(now_ns, response):
                    leg.last_rx_ns = now_ns
            except AudioRestartedError:
                self._restarted(leg_id, media)

    def play(self, leg_id: int, pcm: bytes) -> str:
        """Queue audio; returns "" or why some of it was refused."""
        found = self._legs.get(leg_id)
        if found is None:
            return "no audio is active on this leg"
        try:
            return found[1].play(pcm)
        except AudioRestartedError:
            self._restarted(leg_id, found[1])
            return RESTARTED

    def clear(self, leg_id: int, now_ns: int) -> None:
        """Throw queued audio away; Cleared follows, at once where nothing is queued."""
        found = self._legs.get(leg_id)
        if found is not None and (cleared := found[1].clear(now_ns)) is not None:
            self._emit(pb.LegEvent(leg_id=leg_id, cleared=cleared))

    def _open(self, leg: Leg, media: LegMedia) -> None:
        if (leg.connected or leg.state is State.ESTABLISHED) and (fmt := media.open()) is not None:
            self._formatted(leg, fmt)

    def _restarted(self, leg_id: int, media: LegMedia) -> None:
        if (cleared := media.restarted()) is not None:
            self._emit(pb.LegEvent(leg_id=leg_id, cleared=cleared))
