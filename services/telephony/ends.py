"""How a call ended, told from where it was and what the stack said."""

import re
from typing import Final

from services.pb.trunkline.telephony.v1 import telephony_pb2 as pb

# The stack's own texts for ends that carry no status line (the first is its spelling).
TRANSFERRED: Final = "Call transfered"
RTP_TIMEOUT: Final = "rtp stream error"
_STATUS_LINE: Final = re.compile(r"^([3-6]\d\d)\b")
_PHRASE: Final = re.compile(r"[A-Za-z' /\-]{0,60}")


def end_of_established(text: str) -> pb.Ended:
    """A call that had media: transferred away, fallen silent, or a BYE."""
    if text == TRANSFERRED:
        return pb.Ended(cause=pb.Ended.CAUSE_TRANSFERRED)
    if text == RTP_TIMEOUT:
        return pb.Ended(cause=pb.Ended.CAUSE_MEDIA_TIMEOUT, reason="no audio from the far end")
    return pb.Ended(cause=pb.Ended.CAUSE_REMOTE_BYE)


def end_of_dial(text: str) -> pb.Ended:
    """An INVITE of ours: refused with a final response, or never answered."""
    status = _STATUS_LINE.match(text)
    if status is None:
        return pb.Ended(cause=pb.Ended.CAUSE_FAILED, reason="no answer from the far end")
    return pb.Ended(cause=pb.Ended.CAUSE_REJECTED, sip_status=int(status[1]), reason=reason_phrase(text[3:]))


def end_of_ringing() -> pb.Ended:
    """An INVITE to us that was taken back."""
    return pb.Ended(cause=pb.Ended.CAUSE_CANCELLED, sip_status=487)


def reason_phrase(text: str) -> str:
    """A reason phrase, words only: a peer may write anything there, also a number."""
    phrase = text.strip()
    return phrase if _PHRASE.fullmatch(phrase) else ""
