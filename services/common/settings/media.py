"""Settings of what callers come in by: the SIP trunk, the browser, and what is done to their audio."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from services.common.settings.base import Port, Positive, Section
from services.common.settings.process import ServiceSettings


class SipSettings(Section):
    """The trunk side of the telephony worker."""

    bind: str = "127.0.0.1"
    port: Port = 5060
    transport: Literal["udp", "tcp", "tls"] = "udp"
    # Registration with a registrar; empty: a peer trunk without registration.
    registrar: str = ""
    user: str = "trunkline"
    auth_user: str = ""
    password_file: Path | None = None
    codecs: tuple[Literal["opus", "g722", "pcmu", "pcma"], ...] = ("opus", "g722", "pcmu", "pcma")
    srtp: Literal["off", "sdes", "dtls"] = "off"
    cert_file: Path | None = None
    ca_file: Path | None = None
    rtp_ports: tuple[Port, Port] = (20_000, 21_999)
    expose_headers: tuple[str, ...] = ("P-Asserted-Identity", "Diversion", "User-to-User", "X-Tenant")


class TelephonySettings(ServiceSettings):
    """The SIP/RTP worker (baresip)."""

    port: Port = 50055
    metrics_port: Port = 9055
    engine: Literal["baresip"] = "baresip"
    sip: SipSettings = SipSettings()
    max_calls: Positive = 60
    # The engine loses calls at 40 a second; admit fewer (token bucket).
    max_calls_per_s: Annotated[float, Field(gt=0, le=30)] = 20.0
    # A voice agent has no loudspeaker to keep fed: the buffer only restores order, so it starts at no delay.
    jitter_buffer_ms: tuple[int, int] = (0, 60)
    # Jitter buffer off: for a test caller that measures arrival times.
    jitter_buffer: Literal["adaptive", "fixed", "off"] = "adaptive"
    # Received audio is looked for this often: the worker's share of rx latency, against its CPU time.
    poll_ms: Annotated[int, Field(ge=1, le=20)] = 5
    # Note when each packet leaves, for a test caller that measures; costs one native call per poll and leg.
    tx_times: bool = False
    # Most audio ever queued for the wire. More than 60 ms only for a test caller, which never has to flush.
    committed_ms: Annotated[int, Field(ge=20, le=400)] = 60
    # Scheduling priority where the process may have it: late media threads add 20 ms to a call for good. 0: as it is.
    nice: Annotated[int, Field(ge=-20, le=0)] = -10
    # An answer or dial that the rate limit would hold longer than this is refused.
    max_rate_wait_s: Annotated[float, Field(ge=0)] = 4.0
    # A client that is gone for so long does not come back: its callers hear its farewell, and the calls end.
    client_grace_s: float = 2.0
    # Retry-After of the 503 that a caller gets whom nobody can take now (RFC 3261 21.5.4); 0: none.
    retry_after_s: Annotated[int, Field(ge=0, le=86_400)] = 5
    ring_timeout_s: float = 10.0
    dial_timeout_s: float = 60.0
    # No RTP for this long ends the call; 0 turns it off.
    media_timeout_s: Annotated[float, Field(ge=0)] = 30.0


class WebRtcSettings(Section):
    """Browser media."""

    enabled: bool = True
    ice_servers: tuple[str, ...] = ()
    turn_username: str = ""
    turn_password_file: Path | None = None
    max_calls: Positive = 30
    # A browser that got an answer has so long to connect (ICE, DTLS); then the call is torn down.
    connect_deadline_s: Annotated[float, Field(gt=0)] = 10.0
    # No packet for so long: the connection is lost.
    media_grace_s: Annotated[float, Field(gt=0)] = 12.0
    # Offers per client address (token bucket).
    offers_per_s: Annotated[float, Field(gt=0)] = 5.0
    offers_burst: Positive = 40


class FrontEndSettings(Section):
    """What is done to the caller's audio before anything hears it. Measured in benchmarks/README.md."""

    # "vad": while the agent speaks, the voice detector hears the caller without the echo of the agent's voice, where
    # there is one (a speakerphone); the recogniser hears the line as it is. Costs nothing while the agent is silent.
    aec: Literal["off", "vad"] = "vad"
