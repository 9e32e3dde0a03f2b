"""Which kind of test caller a target asks for, and where exactly it calls."""

import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Literal

from services.cli.caller import Dialer
from services.cli.stack import Launch, sip_uri, web_url
from services.common.clock import Clock
from services.common.errors import InvalidInputError
from services.common.settings import Settings

Transport = Literal["sip", "webrtc"]


@dataclass(frozen=True, slots=True)
class Target:
    """A transport and the address in its own form."""

    transport: Transport
    address: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class OpenDialer:
    """A dialer that is ready, and the processes it runs (for accounting)."""

    dialer: Dialer
    pids: dict[str, int]


def parse_target(text: str) -> Target:
    """ "sip:…" and "sips:…", or "webrtc:http://host:port". Raises InvalidInputError."""
    if text.lower().startswith(("sip:", "sips:")):
        return Target("sip", text)
    if text.lower().startswith(("webrtc:http://", "webrtc:https://")):
        return Target("webrtc", text[len("webrtc:") :])
    raise InvalidInputError(
        "target", expected="sip:user@host:port or webrtc:http://host:port", got=repr(text.split("@")[-1][:40])
    )


def stack_target(transport: str, settings: Settings) -> Target:
    """The stack of these settings over `transport`. Raises InvalidInputError."""
    if transport == "sip":
        return Target("sip", sip_uri(settings))
    if transport == "webrtc":
        return Target("webrtc", web_url(settings))
    raise InvalidInputError("--transport", expected="sip or webrtc", got=repr(transport))


@contextlib.asynccontextmanager
async def open_dialer(
    target: Target, launch: Launch, clock: Clock, max_calls: int = 1, codec: str = "", number: str = ""
) -> AsyncIterator[OpenDialer]:
    """A dialer for `target`; `codec` restricts what a SIP caller offers, `number` is whom it says it is.

    Raises what the dialer raises.
    """
    if target.transport == "sip":
        from services.cli.sip_caller import SipDialer

        caller = launch.with_overrides(f"telephony.sip.codecs={codec}") if codec else launch
        async with SipDialer(caller, clock, target=target.address, max_calls=max_calls, number=number) as sip:
            yield OpenDialer(sip, sip.pids)
        return
    from services.cli.webrtc_caller import WebRtcDialer

    webrtc = WebRtcDialer(clock)
    try:
        yield OpenDialer(webrtc, {})
    finally:
        await webrtc.close()
