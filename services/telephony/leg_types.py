"""The words of a leg's state machine: where it is, what the engine is asked to do, how long it may take."""

import enum
from dataclasses import dataclass

from services.common.personal import Personal
from services.pb.trunkline.telephony.v1 import telephony_pb2 as pb
from services.telephony.refusals import BUSY, Refused


class State(enum.Enum):
    """Where a leg is in its life."""

    RINGING = "ringing"
    ANSWERING = "answering"
    DIALING = "dialing"
    ESTABLISHED = "established"
    ENDED = "ended"


class Act(enum.Enum):
    """What the engine is asked to do."""

    ANSWER = "answer"
    REJECT = "reject"
    HANGUP = "hangup"
    CLEAR = "clear"
    DTMF = "send_dtmf"
    HOLD = "hold"
    RESUME = "resume"
    TRANSFER = "transfer"
    ACCEPT_TRANSFER = "accept_transfer"
    REJECT_TRANSFER = "reject_transfer"


@dataclass(frozen=True, slots=True)
class Action:
    """One thing to do for a leg; `text` is digits or a target, `consult_leg_id` another leg, `refused` for REJECT."""

    act: Act
    text: Personal[str] | None = None
    consult_leg_id: int = 0
    refused: Refused = BUSY


Output = pb.LegEvent | Action


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Deadlines of a leg in seconds; 0 turns the media timeout off."""

    ring_s: float = 10.0
    answer_s: float = 10.0
    dial_s: float = 60.0
    media_s: float = 30.0
