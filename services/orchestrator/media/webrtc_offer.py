"""What a browser may offer: one Opus audio section and at most one data channel, everything bounded.

aiortc's SDP parser trusts its input and fails with whatever exception comes; here every fault becomes an
InvalidInputError that names the field, before anything was allocated for the call (RFC 8866, 8829, 8839, 8122).
"""

import ipaddress
import re
from collections.abc import Sequence

from aiortc.exceptions import InvalidStateError
from aiortc.sdp import MediaDescription, SessionDescription

from services.common.errors import InvalidInputError

MAX_SDP_BYTES = 32_768
MAX_LINES = 600
MAX_CANDIDATES = 32
_DIGEST_BYTES = {"sha-256": 32, "sha-384": 48, "sha-512": 64}
# RFC 8839 §5.4: ice-char, ufrag 4 to 256, password 22 to 256 characters.
_UFRAG = re.compile(r"[A-Za-z0-9+/]{4,256}")
_PASSWORD = re.compile(r"[A-Za-z0-9+/]{22,256}")
_MID = re.compile(r"[A-Za-z0-9!#$%&'*+\-.^_`{|}~]{1,32}")
# RFC 3551 §3, extended by RFC 8843 §7.4.1.
_DYNAMIC = frozenset({*range(35, 64), *range(96, 128)})
# What aiortc's parser throws on malformed text.
PARSER_ERRORS = (ValueError, AssertionError, LookupError, AttributeError, TypeError, StopIteration, InvalidStateError)


def check_offer(sdp: object, kind: object) -> str:
    """The SDP to give to aiortc, with unusable candidates removed. Raises InvalidInputError naming what is wrong."""
    if kind != "offer":
        raise InvalidInputError("type", expected='"offer"', got=_shown(kind), remedy=_REMEDY)
    if not isinstance(sdp, str):
        raise InvalidInputError("sdp", expected="a string", got=type(sdp).__name__, remedy=_REMEDY)
    size = len(sdp.encode("utf-8", "replace"))
    if size > MAX_SDP_BYTES:
        raise InvalidInputError("sdp", expected=f"at most {MAX_SDP_BYTES} bytes", got=f"{size} bytes")
    if not sdp.startswith("v=0"):
        raise InvalidInputError("sdp", expected="a session description (v=0 …)", got="other text", remedy=_REMEDY)
    lines = sdp.splitlines()
    if len(lines) > MAX_LINES:
        raise InvalidInputError("sdp", expected=f"at most {MAX_LINES} lines", got=f"{len(lines)} lines")
    kept = [line for line in lines if not line.startswith("a=candidate:") or _usable_candidate(line)]
    candidates = sum(line.startswith("a=candidate:") for line in kept)
    if candidates > MAX_CANDIDATES:
        raise InvalidInputError("sdp", expected=f"at most {MAX_CANDIDATES} candidates", got=str(candidates))
    text = "\r\n".join(kept) + "\r\n"
    try:
        session = SessionDescription.parse(text)
    except PARSER_ERRORS as error:
        raise InvalidInputError(
            "sdp", expected="lines as in RFC 8866", got=f"a line that cannot be read ({type(error).__name__})"
        ) from None
    _check_session(session)
    return text


_REMEDY = "Send RTCPeerConnection.localDescription as it is, after ICE gathering is complete."


def _check_session(session: SessionDescription) -> None:
    kinds = [media.kind for media in session.media]
    if kinds.count("audio") != 1:
        raise InvalidInputError("sdp", expected="one m=audio section", got=_listed(kinds))
    # In this order: aiortc stops the shared transport when the data channel's section leads the bundle.
    if kinds not in (["audio"], ["audio", "application"]):
        raise InvalidInputError("sdp", expected="m=audio, then at most one m=application", got=_listed(kinds))
    mids = [media.rtp.muxId for media in session.media]
    if len(set(mids)) != len(mids) or not all(isinstance(mid, str) and _MID.fullmatch(mid) for mid in mids):
        raise InvalidInputError("sdp a=mid", expected="a short, distinct token per section", got="other values")
    _check_bundle(session, mids)
    for media in session.media:
        _check_transport(media)
        if media.kind == "audio":
            _check_audio(media)
        else:
            _check_data(media)


def _check_bundle(session: SessionDescription, mids: Sequence[str]) -> None:
    """All sections share one transport (RFC 9143): one ICE and DTLS session per call, nothing to leak.

    A group that names sections that are not there leaves aiortc without a transport, in a task nobody awaits.
    """
    bundles = [list(group.items) for group in session.group if group.semantic == "BUNDLE"]
    if bundles != [list(mids)] and not (len(mids) == 1 and not bundles):
        raise InvalidInputError(
            "sdp a=group",
            expected="one BUNDLE of all sections in their order",
            got=f"{len(bundles)} groups that are not",
            remedy='Use bundlePolicy: "max-bundle".',
        )


def _check_transport(media: MediaDescription) -> None:
    section = f"sdp m={media.kind}"
    ice, dtls = media.ice, media.dtls
    if not ice or not _matches(_UFRAG, ice.usernameFragment) or not _matches(_PASSWORD, ice.password):
        raise InvalidInputError(
            f"{section} a=ice-ufrag, a=ice-pwd", expected="ICE credentials", got="none or malformed"
        )
    if dtls is None or dtls.role not in ("auto", "client", "server"):
        raise InvalidInputError(f"{section} a=setup", expected="actpass, active or passive", got="none")
    known = [f for f in dtls.fingerprints if f.algorithm.lower() in _DIGEST_BYTES]
    if not known:
        raise InvalidInputError(
            f"{section} a=fingerprint",
            expected="sha-256, sha-384 or sha-512",
            got="none",
            remedy="DTLS-SRTP is required.",
        )
    for fingerprint in known:
        octets = _DIGEST_BYTES[fingerprint.algorithm.lower()]
        if not re.fullmatch(rf"[0-9A-Fa-f]{{2}}(:[0-9A-Fa-f]{{2}}){{{octets - 1}}}", fingerprint.value):
            raise InvalidInputError(
                f"{section} a=fingerprint", expected=f"{octets} octets in hexadecimal", got="other text"
            )


def _check_audio(media: MediaDescription) -> None:
    if media.port == 0:
        raise InvalidInputError("sdp m=audio", expected="an open section", got="port 0 (refused)")
    if media.profile != "UDP/TLS/RTP/SAVPF":
        raise InvalidInputError("sdp m=audio", expected="UDP/TLS/RTP/SAVPF", got=_shown(media.profile))
    if media.direction not in (None, "sendrecv"):
        raise InvalidInputError("sdp m=audio", expected="a=sendrecv", got=f"a={media.direction}")
    if not media.rtcp_mux:
        raise InvalidInputError("sdp m=audio", expected="a=rtcp-mux", got="none")
    opus = [c for c in media.rtp.codecs if c.mimeType.lower() == "audio/opus" and c.clockRate == 48_000]
    if not opus:
        raise InvalidInputError("sdp m=audio", expected="opus/48000/2", got="other codecs only")
    if not all((codec.payloadType or 0) in _DYNAMIC for codec in opus):
        raise InvalidInputError("sdp a=rtpmap", expected="a dynamic payload type for opus", got="another")
    # aiortc builds header extensions from ids of one octet; RFC 8285 allows 1 to 255 without 15.
    if any(not 1 <= ext.id <= 255 for ext in media.rtp.headerExtensions):
        raise InvalidInputError("sdp a=extmap", expected="ids from 1 to 255", got="another")


def _check_data(media: MediaDescription) -> None:
    if media.profile != "UDP/DTLS/SCTP" or media.fmt != ["webrtc-datachannel"]:
        raise InvalidInputError("sdp m=application", expected="UDP/DTLS/SCTP webrtc-datachannel", got="another")
    port: int | None = media.sctp_port
    if port is None or not 1 <= port <= 65_535:
        raise InvalidInputError("sdp a=sctp-port", expected="1 to 65535", got=_shown(port))
    if media.sctpCapabilities is None:
        raise InvalidInputError("sdp a=max-message-size", expected="a size", got="none")


def _usable_candidate(line: str) -> bool:
    """UDP towards a unicast address: nothing else is ever sent a packet on a caller's word.

    mDNS names are dropped: resolving them would multicast, and a browser that hides its address behind one sends
    the first check itself, from which ICE learns the address (a peer-reflexive candidate, RFC 8445 §7.3.1.3).
    """
    bits = line.removeprefix("a=candidate:").split()
    if len(bits) < 8 or bits[2].lower() != "udp" or bits[6] != "typ" or not bits[5].isdecimal():
        return False
    if not (bits[1] == "1" and bits[3].isdecimal() and 0 < int(bits[5]) < 65_536):
        return False
    try:
        address = ipaddress.ip_address(bits[4])
    except ValueError:
        return False
    return not (address.is_multicast or address.is_unspecified or address.is_reserved)


def _matches(pattern: re.Pattern[str], value: str | None) -> bool:
    return value is not None and pattern.fullmatch(value) is not None


def _listed(kinds: Sequence[str]) -> str:
    return ", ".join(f"m={kind[:20]}" for kind in kinds[:5]) or "no section"


def _shown(value: object) -> str:
    """A short, harmless rendering of what came."""
    return repr(value)[:40] if isinstance(value, str | int | float | bool | None) else type(value).__name__
