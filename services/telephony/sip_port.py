"""A SIP port that is really free: the stack sets SO_REUSEADDR, so a second worker would share one without a word."""

import socket

from services.common.errors import UnavailableError

_TRIES = 50
WILDCARDS = ("0.0.0.0", "::")


def bracketed(address: str) -> str:
    """An IPv6 address as URIs want it."""
    return f"[{address}]" if ":" in address else address


def advertised_host(bind: str) -> str:
    """The address peers dial: `bind`, or for a wildcard the one this machine would use towards the outside."""
    if bind not in WILDCARDS:
        return bracketed(bind)
    family, outside = (socket.AF_INET6, "2001:db8::1") if bind == "::" else (socket.AF_INET, "192.0.2.1")
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        try:
            # Connecting a datagram socket sends nothing; it only asks the routing table.
            probe.connect((outside, 9))
        except OSError:
            return "[::1]" if bind == "::" else "127.0.0.1"
        return bracketed(str(probe.getsockname()[0]))


def free_sip_port(bind: str, wanted: int, *, tls: bool) -> int:
    """`wanted` when it is free for UDP and TCP, any free one for 0. Raises UnavailableError naming the address."""
    if wanted:
        if not _is_free(bind, wanted):
            raise UnavailableError(
                f"Cannot listen for SIP on {bind}:{wanted}: the port is taken or the address is not of this machine.",
                remedy="Stop the other SIP server or set telephony.sip.port and telephony.sip.bind.",
            )
        return wanted
    for _ in range(_TRIES):
        with _bound(bind, 0, socket.SOCK_DGRAM) as probe:
            port = int(probe.getsockname()[1])
        # TLS listens one above what the stack is told.
        if _is_free(bind, port) and (not tls or _is_free(bind, port - 1)):
            return port
    raise UnavailableError(f"No free SIP port on {bind}.", remedy="Set telephony.sip.port.")


def _is_free(bind: str, port: int) -> bool:
    try:
        with _bound(bind, port, socket.SOCK_DGRAM), _bound(bind, port, socket.SOCK_STREAM):
            return True
    except OSError:
        return False


def _bound(bind: str, port: int, kind: socket.SocketKind) -> socket.socket:
    sock = socket.socket(socket.AF_INET6 if ":" in bind else socket.AF_INET, kind)
    if kind is socket.SOCK_STREAM:
        # Connections of an earlier worker in TIME_WAIT are no reason to refuse; a listening one still is.
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        sock.bind((bind, port))
    except OSError:
        sock.close()
        raise
    return sock
