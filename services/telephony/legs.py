"""One leg's life as a state machine without I/O: engine events and client commands in, contract events and actions out.

    Incoming ──► RINGING ──answer──► ANSWERING ──┐
                                                 ├─established──► ESTABLISHED ──closed──► ENDED
    Dial ─────────────────► DIALING ─────────────┘
    RINGING, ANSWERING and DIALING go to ENDED when the call closes before it was established.

Every method returns what follows, in order. Time comes in as `now_ns`; deadlines are data.
"""

import re
from dataclasses import dataclass, field
from typing import Final

from services.common.personal import Personal
from services.pb.trunkline.telephony.v1 import telephony_pb2 as pb
from services.telephony import engine
from services.telephony.ends import TRANSFERRED, end_of_dial, end_of_established, end_of_ringing
from services.telephony.leg_types import Act, Action, Output, State, Timeouts
from services.telephony.refusals import BUSY, UNAVAILABLE, Refused

DTMF: Final = re.compile(r"[0-9*#A-Da-d]{1,64}")


_AFTER: Final = {State.RINGING: "ring_s", State.ANSWERING: "answer_s", State.DIALING: "dial_s"}


@dataclass(slots=True)
class Leg:
    """The state of one leg. `last_rx_ns` is written by the media loop for every frame that came."""

    leg_id: int
    state: State
    since_ns: int
    timeouts: Timeouts = field(default_factory=Timeouts)
    # What an INVITE hears that nobody could take.
    unavailable: Refused = UNAVAILABLE
    last_rx_ns: int = 0
    remote_hold: bool = False
    local_hold: bool = False
    fmt: engine.AudioFormat | None = None
    # The stack has said established; media may not be up yet.
    connected: bool = False
    sip_call_id: str = ""
    _ending: "pb.Ended | None" = None
    _transferring: bool = False
    _transfer_accepted: bool = False
    _transfer_asked: bool = False

    # ---- engine events ----

    def on_event(self, event: engine.CallEvent, now_ns: int) -> list[Output]:
        """Whatever the engine reports of this leg's call, except its audio streams (on_format)."""
        match event:
            case engine.CallEstablished():
                return self.on_connected(now_ns, event.sip_call_id)
            case engine.CallClosed():
                return self.on_closed(event.reason, event.stats)
            case engine.DigitReceived():
                return self.on_digit(event.digit, event.duration_ms)
            case engine.RemoteHold():
                return self.on_remote_hold(event.held, now_ns)
            case engine.TransferAsked():
                return self.on_transfer_asked(event.target, event.replaces)
            case engine.TransferDone():
                return self.on_transfer_done(event.accepted, event.sip_status, event.reason)

    def on_connected(self, now_ns: int, sip_call_id: str = "") -> list[Output]:
        """The dialog stands; Established follows with the audio format."""
        if self.state in (State.ANSWERING, State.DIALING):
            self.connected = True
            self.sip_call_id = sip_call_id
            self.since_ns = now_ns
        return []

    def on_format(self, fmt: engine.AudioFormat, now_ns: int) -> list[Output]:
        """Audio streams are up (first, or again after a re-INVITE). Said again only when something changed."""
        if self.state is State.ENDED:
            return []
        if self.state is not State.ESTABLISHED:
            self._enter(State.ESTABLISHED, now_ns)
        self.last_rx_ns = now_ns
        if fmt == self.fmt:
            return []
        self.fmt = fmt
        return [
            self._event(
                established=pb.Established(
                    codec=fmt.codec,
                    rx_sample_rate_hz=fmt.rx_rate_hz,
                    tx_sample_rate_hz=fmt.tx_rate_hz,
                    ptime_ms=fmt.ptime_ms,
                    srtp=fmt.srtp,
                    sip_call_id=self.sip_call_id,
                )
            )
        ]

    def on_digit(self, digit: Personal[str], duration_ms: int) -> list[Output]:
        """RFC 4733 or SIP INFO."""
        if self.state is not State.ESTABLISHED:
            return []
        return [self._event(dtmf=pb.Dtmf(digit=digit.reveal(), duration_ms=duration_ms))]

    def on_remote_hold(self, held: bool, now_ns: int) -> list[Output]:
        """Repeats say nothing."""
        if self.state is State.ENDED or held == self.remote_hold:
            return []
        self.remote_hold = held
        self.last_rx_ns = now_ns
        return [self._event(hold_changed=pb.HoldChanged(held=held))]

    def on_transfer_asked(self, target: Personal[str], replaces: bool) -> list[Output]:
        """A REFER arrived; the client decides."""
        if self.state is not State.ESTABLISHED:
            return []
        self._transfer_asked = True
        return [self._event(transfer_requested=pb.TransferRequested(refer_to_uri=target.reveal(), replaces=replaces))]

    def on_transfer_done(self, accepted: bool, sip_status: int, reason: str) -> list[Output]:
        """The outcome of our REFER; a success ends the leg soon after."""
        if not self._transferring:
            return []
        self._transferring = False
        self._transfer_accepted = accepted
        return [self._event(transfer_result=pb.TransferResult(accepted=accepted, sip_status=sip_status, reason=reason))]

    def on_closed(self, reason: Personal[str], stats: engine.CallStats) -> list[Output]:
        """The end, told once. A BYE while our REFER is open counts as its success (an SBC may never send NOTIFY)."""
        if self.state is State.ENDED:
            return []
        outputs: list[Output] = []
        text = reason.reveal()
        if self._transferring and self._ending is None:
            outputs += self.on_transfer_done(True, 200, "" if text == TRANSFERRED else "closed by the far end")
        ended = self._ending or self._cause(text)
        ended.stats.CopyFrom(
            pb.LegStats(
                rx_packets=stats.rx_packets,
                rx_lost=max(0, stats.rx_lost),
                rx_jitter_ms=stats.rx_jitter_ms,
                tx_packets=stats.tx_packets,
                rtt_ms=stats.rtt_ms,
            )
        )
        self.state = State.ENDED
        outputs.append(self._event(ended=ended))
        return outputs

    # ---- client commands ----

    def command(self, command: pb.Command, now_ns: int) -> list[Output]:
        """Carry out one command of the client; one that does not fit the state is answered with CommandFailed."""
        kind = command.WhichOneof("command") or "none"
        if self.state is State.ENDED:
            return [self.failed(kind, "the leg has ended")]
        match kind:
            case "answer":
                return self._answer(now_ns)
            case "reject":
                return self._reject(command.reject)
            case "hangup":
                return self._hangup()
            case "clear":
                return [Action(Act.CLEAR)]
            case "send_dtmf":
                return self._dtmf(command.send_dtmf.digits)
            case "hold":
                return self._hold(command.hold.on)
            case "transfer":
                return self._transfer(command.transfer)
            case "answer_transfer":
                return self._answer_transfer(command.answer_transfer.accept)
            case _:
                return [self.failed(kind, "no such command for a leg")]

    def ended_by_us(self, cause: "pb.Ended.Cause.ValueType", status: int, reason: str) -> list[Output]:
        """End the leg for a reason of the worker's own: BYE, or CANCEL of a dial."""
        if self.state is State.ENDED or self._ending is not None:
            return []
        self._ending = pb.Ended(cause=cause, sip_status=status, reason=reason)
        if self.state is State.RINGING:
            return [Action(Act.REJECT, refused=self.unavailable)]
        return [Action(Act.HANGUP)]

    def refused(self, refused: Refused, reason: str) -> list[Output]:
        """Refuse an INVITE that still rings."""
        if self.state is State.ENDED or self._ending is not None:
            return []
        self._ending = pb.Ended(cause=pb.Ended.CAUSE_REJECTED, sip_status=refused.sip_status, reason=reason)
        return [Action(Act.REJECT, refused=refused)]

    # ---- time ----

    def deadline_ns(self) -> int | None:
        """When `on_time` must be called if nothing happens before; None when nothing is due."""
        if self.state is State.ENDED or self._ending is not None:
            return None
        if self.state is State.ESTABLISHED:
            if self.timeouts.media_s <= 0 or self.remote_hold or self.local_hold:
                return None
            return self.last_rx_ns + int(self.timeouts.media_s * 1e9)
        return self.since_ns + int(getattr(self.timeouts, _AFTER[self.state]) * 1e9)

    def on_time(self, now_ns: int) -> list[Output]:
        """Act on a deadline that has passed."""
        due = self.deadline_ns()
        if due is None or now_ns < due:
            return []
        match self.state:
            case State.RINGING:
                return self.refused(self.unavailable, "not answered in time")
            case State.DIALING:
                return self.ended_by_us(pb.Ended.CAUSE_FAILED, 408, "the far end did not answer in time")
            case State.ANSWERING:
                return self.ended_by_us(pb.Ended.CAUSE_FAILED, 408, "the answer was not acknowledged in time")
            case _:
                return self.ended_by_us(pb.Ended.CAUSE_MEDIA_TIMEOUT, 0, "no audio from the far end")

    # ---- inner parts ----

    def failed(self, command: str, message: str) -> pb.LegEvent:
        """A CommandFailed of this leg; also for what the engine refused."""
        return self._event(command_failed=pb.CommandFailed(command=command, message=message))

    def action_failed(self, command: str, message: str) -> list[Output]:
        """The engine could not do it: undo what was assumed."""
        if command in ("transfer",):
            self._transferring = False
        if command in ("hold", "resume"):
            self.local_hold = command == "resume"
        return [self.failed(command, message)]

    def _event(self, **event: object) -> pb.LegEvent:
        return pb.LegEvent(leg_id=self.leg_id, **event)  # type: ignore[arg-type]

    def _enter(self, state: State, now_ns: int) -> None:
        self.state, self.since_ns = state, now_ns

    def _wrong_state(self, command: str, wanted: str) -> list[Output]:
        return [self.failed(command, f"the leg is {self.state.value}, expected {wanted}")]

    def _answer(self, now_ns: int) -> list[Output]:
        if self.state is not State.RINGING or self._ending is not None:
            return self._wrong_state("answer", "ringing")
        self._enter(State.ANSWERING, now_ns)
        return [Action(Act.ANSWER)]

    def _reject(self, reject: pb.Reject) -> list[Output]:
        if self.state is not State.RINGING:
            return self._wrong_state("reject", "ringing")
        try:
            refused = Refused(reject.sip_status or BUSY.sip_status, reject.retry_after_s)
        except ValueError as error:
            return [self.failed("reject", str(error))]
        return self.refused(refused, "rejected by the application")

    def _hangup(self) -> list[Output]:
        if self.state is State.RINGING:
            return self.refused(BUSY, "rejected by the application")
        return self.ended_by_us(pb.Ended.CAUSE_LOCAL_HANGUP, 0, "")

    def _dtmf(self, digits: str) -> list[Output]:
        if self.state is not State.ESTABLISHED:
            return self._wrong_state("send_dtmf", "established")
        if not DTMF.fullmatch(digits):
            return [self.failed("send_dtmf", "digits: expected 1 to 64 of 0-9 * # A-D")]
        return [Action(Act.DTMF, Personal(digits.upper(), "digits"))]

    def _hold(self, on: bool) -> list[Output]:
        if self.state is not State.ESTABLISHED:
            return self._wrong_state("hold", "established")
        if on == self.local_hold:
            return []
        self.local_hold = on
        return [Action(Act.HOLD if on else Act.RESUME)]

    def _transfer(self, transfer: pb.Transfer) -> list[Output]:
        if self.state is not State.ESTABLISHED:
            return self._wrong_state("transfer", "established")
        if self._transferring:
            return [self.failed("transfer", "a transfer is already under way")]
        target = transfer.target_uri.strip()
        if not transfer.consult_leg_id and (not target or any(c.isspace() or c in "<>" for c in target)):
            return [self.failed("transfer", "target_uri: expected one SIP URI without spaces or brackets")]
        self._transferring = True
        return [Action(Act.TRANSFER, Personal(target, "uri"), transfer.consult_leg_id)]

    def _answer_transfer(self, accept: bool) -> list[Output]:
        if not self._transfer_asked:
            return [self.failed("answer_transfer", "no transfer was requested")]
        self._transfer_asked = False
        return [Action(Act.ACCEPT_TRANSFER if accept else Act.REJECT_TRANSFER)]

    def _cause(self, text: str) -> pb.Ended:
        if self._transfer_accepted:
            return end_of_established(TRANSFERRED)
        if self.state is State.ESTABLISHED:
            return end_of_established(text)
        return end_of_dial(text) if self.state is State.DIALING else end_of_ringing()
