"""A SIP leg: its place in the telephony worker's stream (telephony_line.py), as the `Leg` a call sees."""

import math
from collections import deque
from collections.abc import Callable
from typing import Protocol

from services.common.log import get_logger
from services.common.personal import Personal
from services.orchestrator.media.leg import Leg, LegFormat, LegInfo, LegSink, Playout
from services.pb.trunkline.telephony.v1 import telephony_pb2 as pb

log = get_logger(__name__)

# Of a leg nobody has bound yet; two seconds of frames.
MAX_BACKLOG = 100
# Frames to wait for the worker's word that it flushed; then its counts are believed as they are.
CLEAR_FRAMES = 10
# A report may have left the worker before our frames reached it: listen on for so many.
REPORTS_AFTER = 50

_CAUSES = {
    pb.Ended.CAUSE_REMOTE_BYE: "remote_bye",
    pb.Ended.CAUSE_LOCAL_HANGUP: "local_hangup",
    pb.Ended.CAUSE_CANCELLED: "cancelled",
    pb.Ended.CAUSE_REJECTED: "rejected",
    pb.Ended.CAUSE_FAILED: "failed",
    pb.Ended.CAUSE_TRANSFERRED: "transferred",
    pb.Ended.CAUSE_MEDIA_TIMEOUT: "media_timeout",
}


class Line(Protocol):
    """What a leg asks of its line."""

    def play(self, leg_id: int, frame: bytes, *, at_once: bool) -> None: ...

    def drop_frames(self, leg_id: int) -> None: ...

    def command(self, command: pb.Command) -> None: ...


class TelephonyLeg:
    """Implements `Leg` over its place in the worker's stream."""

    def __init__(self, line: Line, leg_id: int, incoming: pb.Incoming) -> None:
        self._line = line
        self.leg_id = leg_id
        self._info = LegInfo(
            leg_id=str(leg_id),
            transport="sip",
            caller=Personal(incoming.from_uri, "uri"),
            callee=Personal(incoming.to_uri, "uri"),
            peer_reference=incoming.sip_call_id,
        )
        self._sink: LegSink | None = None
        self._backlog: deque[Callable[[LegSink], None]] = deque(maxlen=MAX_BACKLOG)
        # Frames left to wait for Cleared; 0: no clear is under way.
        self._clearing = 0
        # Reports still to pass on after the last sign of playing.
        self._reports = 0
        self._sent = 0
        self._starving = True
        self.ended = False

    @property
    def info(self) -> LegInfo:
        """Fixed facts."""
        return self._info

    def bind(self, sink: LegSink) -> None:
        """Deliver to `sink`, what came before first."""
        self._sink = sink
        while self._backlog:
            self._backlog.popleft()(sink)

    def answer(self) -> None:
        """200 OK."""
        self._command(pb.Command(leg_id=self.leg_id, answer=pb.Answer()))

    def reject(self, sip_status: int, retry_after_s: float = 0) -> None:
        """Refuse the call."""
        reject = pb.Reject(sip_status=sip_status, retry_after_s=math.ceil(retry_after_s))
        self._command(pb.Command(leg_id=self.leg_id, reject=reject))

    def play(self, frame: bytes) -> None:
        """Commit 20 ms; it leaves with the other legs' frames of this turn of the event loop."""
        if not self.ended:
            # The first frames of an utterance go at once; later ones have 40 ms of audio before them.
            first = not self._reports or self._starving
            self._reports = REPORTS_AFTER
            self._line.play(self.leg_id, frame, at_once=first)

    def clear(self) -> None:
        """Flush; reports are held back until the worker says that it is done."""
        self._clearing = CLEAR_FRAMES
        self._reports = REPORTS_AFTER
        self._line.drop_frames(self.leg_id)
        self._command(pb.Command(leg_id=self.leg_id, clear=pb.Clear()))

    def hangup(self) -> None:
        """BYE."""
        self._command(pb.Command(leg_id=self.leg_id, hangup=pb.Hangup()))

    def send_dtmf(self, digits: Personal[str]) -> None:
        """RFC 4733 events."""
        self._command(pb.Command(leg_id=self.leg_id, send_dtmf=pb.SendDtmf(digits=digits.reveal())))

    def hold(self, on: bool) -> None:
        """re-INVITE."""
        self._command(pb.Command(leg_id=self.leg_id, hold=pb.Hold(on=on)))

    def transfer(self, target: Personal[str], consult: Leg | None = None) -> None:
        """REFER, attended with another SIP leg in `consult`."""
        consult_id = consult.leg_id if isinstance(consult, TelephonyLeg) else 0
        transfer = pb.Transfer(target_uri=target.reveal(), consult_leg_id=consult_id)
        self._command(pb.Command(leg_id=self.leg_id, transfer=transfer))

    # ---- from the line

    def on_frame(self, frame: pb.LegFrame, received_ns: int) -> None:
        """What the leg heard in a tick, and how far its playing has come."""
        pcm = frame.pcm
        if pcm:
            if self._sink is not None:
                self._sink.on_audio(pcm, received_ns)
            else:
                self._deliver(lambda sink: sink.on_audio(pcm, received_ns))
        if self._clearing:
            self._clearing -= 1
        if not self._reports or self._clearing:
            return
        sent, queued = frame.tx_samples_sent, frame.tx_samples_queued
        self._reports = REPORTS_AFTER if queued or sent != self._sent else self._reports - 1
        self._starving = not queued
        self._sent = sent
        self._report(Playout(sent, queued, frame.tx_samples_starved), received_ns)

    def on_event(self, event: pb.LegEvent, at_ns: int) -> None:
        """One event of this leg."""
        match event.WhichOneof("event"):
            case "established":
                e = event.established
                fmt = LegFormat(e.codec, e.rx_sample_rate_hz, e.tx_sample_rate_hz)
                self._deliver(lambda sink: sink.on_established(fmt))
            case "dtmf":
                digit = Personal(event.dtmf.digit, "dtmf")
                duration_ms = event.dtmf.duration_ms
                self._deliver(lambda sink: sink.on_dtmf(digit, duration_ms))
            case "hold_changed":
                held = event.hold_changed.held
                self._deliver(lambda sink: sink.on_hold(held))
            case "cleared":
                self._clearing = 0
                self._report(Playout(event.cleared.tx_samples_sent, 0, 0), at_ns)
            case "ended":
                self.end(_CAUSES.get(event.ended.cause, "failed"), f"{event.ended.sip_status}".lstrip("0"))
            case "command_failed":
                # "clear" on a leg without audio: nothing was queued, so nothing is awaited.
                self._clearing = 0
                log.warning("leg command failed", leg=self.leg_id, command=event.command_failed.command)
            case _:
                pass

    def end(self, cause: str, detail: str) -> None:
        """The leg is gone; said once."""
        if not self.ended:
            self.ended = True
            self._deliver(lambda sink: sink.on_ended(cause, detail))

    def _report(self, playout: Playout, at_ns: int) -> None:
        if self._sink is not None:
            self._sink.on_playout(playout, at_ns)
        else:
            self._deliver(lambda sink: sink.on_playout(playout, at_ns))

    def _deliver(self, deliver: Callable[[LegSink], None]) -> None:
        if self._sink is None:
            self._backlog.append(deliver)
        else:
            deliver(self._sink)

    def _command(self, command: pb.Command) -> None:
        if not self.ended:
            self._line.command(command)
