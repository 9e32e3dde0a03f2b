"""baresip's events → the worker's, without I/O: what is remembered of a call between two of them is in NativeCall."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from baresip import Event, StackEvent

from services.common.personal import Personal
from services.telephony import engine as e
from services.telephony.ends import reason_phrase

DIGITS: Final = frozenset("0123456789*#ABCD")


@dataclass(slots=True)
class NativeCall:
    """What the adapter remembers of one native call."""

    handle: int
    # False while dial() has not returned: events wait in `held`.
    claimed: bool
    sip_call_id: str = ""
    held: list[e.CallEvent] = field(default_factory=list)
    offers: int = 0
    pressed: tuple[str, int] | None = None
    refer_to: str = ""
    dtmf: asyncio.Lock = field(default_factory=asyncio.Lock)


def incoming_call(event: StackEvent) -> e.IncomingCall:
    """An INVITE: the caller from the event, the called number from the To header asked for at start."""
    headers = {str(k): str(v) for k, v in event.headers.items()}
    to_header = next((headers.pop(name) for name in list(headers) if name.lower() == "to"), "")
    return e.IncomingCall(
        event.call,
        Personal(event.peer or "", "uri"),
        Personal(_address(to_header), "uri"),
        event.call_id or "",
        {name: Personal(value, "header") for name, value in headers.items()},
    )


def translate(call: NativeCall, event: StackEvent, now_ns: int) -> e.CallEvent | None:
    """One stack event as the worker knows it; None for those that only change what is remembered."""
    match event.event:
        case Event.CALL_ESTABLISHED:
            return e.CallEstablished(call.handle, event.call_id or "")
        case Event.CALL_CLOSED:
            return e.CallClosed(call.handle, Personal(event.text or "", "reason"), _stats(event.stats))
        case Event.CALL_HOLD | Event.CALL_RESUME:
            return e.RemoteHold(call.handle, event.event is Event.CALL_HOLD)
        case Event.CALL_LOCAL_SDP if event.text == "offer":
            call.offers += 1
        case Event.CALL_DTMF_START if event.text:
            call.pressed = (event.text, now_ns)
        case Event.CALL_DTMF_END:
            return _digit(call, now_ns)
        case Event.CALL_TRANSFER if event.text:
            call.refer_to = event.text
            return e.TransferAsked(
                call.handle, Personal(_address(event.text), "uri"), "replaces=" in event.text.lower()
            )
        case Event.CALL_TRANSFER_FAILED:
            status, _, phrase = (event.text or "").partition(" ")
            return e.TransferDone(call.handle, False, int(status) if status.isdigit() else 0, reason_phrase(phrase))
    return None


def _digit(call: NativeCall, now_ns: int) -> e.CallEvent | None:
    pressed, call.pressed = call.pressed, None
    if pressed is None or pressed[0] not in DIGITS:
        return None
    held_ms = (now_ns - pressed[1]) // 1_000_000
    return e.DigitReceived(call.handle, Personal(pressed[0], "digit"), int(held_ms))


def _address(header: str) -> str:
    """The URI of a From, To or Refer-To value, without name, parameters of the header and embedded headers."""
    value = header.strip()
    if "<" in value:
        value = value.split("<", 1)[1].split(">", 1)[0]
    else:
        value = value.split(";", 1)[0]
    return value.split("?", 1)[0].strip()


def _stats(raw: Mapping[str, Any]) -> e.CallStats:
    rx, tx, rtcp = raw.get("rx", {}), raw.get("tx", {}), raw.get("rtcp", {})
    return e.CallStats(
        rx_packets=int(rx.get("packets", 0)),
        rx_lost=int(rtcp.get("rx_lost", 0)),
        rx_jitter_ms=float(rtcp.get("rx_jitter_us", 0)) / 1000,
        tx_packets=int(tx.get("packets", 0)),
        rtt_ms=float(rtcp.get("rtt_us", 0)) / 1000,
    )
