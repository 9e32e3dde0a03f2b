"""Settings → the configuration text and account line baresip reads. Pure; its must-dos stand here with reasons."""

from dataclasses import dataclass
from pathlib import Path

from services.common.errors import SettingsError
from services.common.settings import SipSettings, TelephonySettings
from services.telephony.sip_port import bracketed

# Spec names of the stack: a bare name means 8 kHz. Opus is mono because opus_stereo is off (below).
CODECS = {"opus": "opus/48000/1", "g722": "g722/16000/1", "pcmu": "pcmu", "pcma": "pcma"}
_MEDIA_ENCRYPTION = {"off": "", "sdes": "srtp-mand", "dtls": "dtls_srtp"}
# The stack's native cap is only a backstop: it refuses without an event, so ours must act first and be counted.
CAP_HEADROOM = 16


@dataclass(frozen=True, slots=True)
class AccountLine:
    """What an account is made of; `password` never leaves through repr()."""

    user: str
    domain: str
    reg_interval_s: int
    codecs: tuple[str, ...]
    extra: tuple[str, ...]


def validate(sip: SipSettings) -> None:
    """Raise SettingsError for combinations the stack would accept and then do something unsafe."""
    if sip.transport == "tls":
        if sip.cert_file is None or sip.ca_file is None:
            raise SettingsError(
                "telephony.sip.transport = tls needs telephony.sip.cert_file and telephony.sip.ca_file.",
                # Without a CA file the stack dials TLS without verifying whom it reached.
                remedy="cert_file holds certificate and key in one PEM; ca_file verifies the peers we dial.",
            )
        if sip.port == 1:
            raise SettingsError("telephony.sip.port: expected a port above 1 for TLS, got 1.")
    for name, path in (("cert_file", sip.cert_file), ("ca_file", sip.ca_file)):
        if path is not None:
            _check_file(f"telephony.sip.{name}", path)
    low, high = sip.rtp_ports
    if high - low < 4:
        raise SettingsError(f"telephony.sip.rtp_ports: expected a range of at least 4 ports, got {low}-{high}.")
    if not sip.codecs:
        raise SettingsError("telephony.sip.codecs: expected at least one codec, got none.")


def config_text(tel: TelephonySettings, port: int) -> str:
    """Directives beyond what the binding's Config models. `port` is the one the peers dial.

    The stack listens for TLS on the configured port plus one, so TLS alone gets the port below.
    """
    sip = tel.sip
    tls = sip.transport == "tls"
    low_ms, high_ms = tel.jitter_buffer_ms
    lines = [
        f"sip_listen {bracketed(sip.bind)}:{port - 1 if tls else port}",
        f"sip_transports {'tls' if tls else 'udp,tcp'}",
        f"sip_trans_def {sip.transport}",
        f"rtp_ports {sip.rtp_ports[0]}-{sip.rtp_ports[1]}",
        f"audio_jitter_buffer_type {tel.jitter_buffer}",
        f"audio_jitter_buffer_ms {low_ms}-{high_ms}",
        # One call's answer must not hold the others.
        "call_hold_other_calls no",
        # Ringing is timed by our own state machine; this is a backstop.
        f"call_local_timeout {int(tel.ring_timeout_s) + 60}",
        # PCM in the contract is mono.
        "opus_stereo no",
        "opus_sprop_stereo no",
        "opus_application voip",
        "opus_inbandfec yes",
        "opus_packet_loss 5",
    ]
    if sip.cert_file is not None:
        lines.append(f"sip_certificate {sip.cert_file.expanduser()}")
    if sip.ca_file is not None:
        lines += [f"sip_cafile {sip.ca_file.expanduser()}", "sip_verify_server yes"]
    return "\n".join(lines) + "\n"


def account_line(sip: SipSettings, own_address: str) -> AccountLine:
    """The one account of a worker: a trunk peer without registration (at `own_address`), or one that registers."""
    extra = [
        # Without it the stack offers video and re-INVITEs 130 ms after the ACK.
        "video_codecs=none",
        # A trunk calls any number: every request URI is ours.
        "catchall=yes",
    ]
    if _MEDIA_ENCRYPTION[sip.srtp]:
        extra.append(f"mediaenc={_MEDIA_ENCRYPTION[sip.srtp]}")
    return AccountLine(
        user=sip.user,
        domain=sip.registrar.removeprefix("sips:").removeprefix("sip:") or own_address,
        reg_interval_s=300 if sip.registrar else 0,
        codecs=tuple(CODECS[codec] for codec in sip.codecs),
        extra=tuple(extra),
    )


def dial_uri(target: str, transport: str) -> str:
    """The target with the trunk's transport, unless it names one of its own."""
    if transport == "udp" or "transport=" in target.lower() or target.lower().startswith("sips:"):
        return target
    return f"{target};transport={transport}"


def codec_name(rate_hz: int, allowed: tuple[str, ...]) -> str:
    """The codec by its rate: the stack tells rates only, so both G.711 laws read "g711" where both are allowed."""
    if rate_hz == 48_000:
        return "opus"
    if rate_hz == 16_000:
        return "g722"
    laws = [codec for codec in allowed if codec in ("pcmu", "pcma")]
    return laws[0] if len(laws) == 1 else "g711"


def read_password(path: Path | None) -> str:
    """The digest password from its file. Raises SettingsError; the text never enters a message."""
    if path is None:
        return ""
    try:
        password = path.expanduser().read_text(encoding="utf-8").rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"telephony.sip.password_file: cannot read {path} ({type(error).__name__}).") from None
    if any(ord(ch) < 0x20 or ch in '"\\' for ch in password):
        raise SettingsError(
            "telephony.sip.password_file: a password with a double quote, a backslash or a control character "
            "cannot be used."
        )
    return password


def _check_file(key: str, path: Path) -> None:
    full = path.expanduser()
    if not full.is_file():
        raise SettingsError(f"{key}: no such file: {path}.")
    if any(ch.isspace() for ch in str(full)):
        raise SettingsError(f"{key}: expected a path without spaces, got one with: {path}.")
