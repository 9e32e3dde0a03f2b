"""What makes a telephony worker a test caller: its settings, its address, ports of its own."""

import socket

from services.cli.sip_leg import COMMITTED_MS
from services.common.errors import UnavailableError

# The worker's look at its rings: the error of the times, against its CPU time.
_POLL_MS, _POLL_MANY_MS, _MANY = 2, 4, 8


def caller_role(target: str, ports: list[int], max_calls: int) -> tuple[str, ...]:
    """Settings that make a telephony worker a test caller beside a stack on the same machine."""
    local = local_address(target)
    return (
        "telephony.host=127.0.0.1",
        "telephony.target=",
        f"telephony.port={ports[0]}",
        "telephony.metrics_port=0",
        f"telephony.sip.bind={local}",
        f"telephony.sip.port={ports[1]}",
        "telephony.sip.registrar=",
        "telephony.sip.user=caller",
        "telephony.sip.rtp_ports=30000,33999",
        "telephony.jitter_buffer=off",
        f"telephony.poll_ms={_POLL_MS if max_calls < _MANY else _POLL_MANY_MS}",
        f"telephony.committed_ms={COMMITTED_MS}",
        "telephony.tx_times=true",
        "telephony.max_calls_per_s=25",
        f"telephony.max_calls={max_calls}",
        "rpc.drain_s=1",
    )


def local_address(target: str) -> str:
    """The address of this machine from which `target` (a SIP URI) is reached. Nothing is sent."""
    host = target.split("@")[-1].removeprefix("sips:").removeprefix("sip:").split(";")[0]
    name = host.rsplit(":", 1)[0] if ":" in host and not host.endswith("]") else host
    family = socket.AF_INET6 if name.startswith("[") else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        try:
            # Connecting a UDP socket only asks the routing table.
            probe.connect((name.strip("[]"), 9))
        except OSError as error:
            raise UnavailableError(
                f"{name} cannot be reached from here: {error.strerror}.", remedy="Check the host of the SIP URI."
            ) from error
        return str(probe.getsockname()[0])


def free_ports(count: int) -> list[int]:
    """Ports free for TCP and UDP on loopback right now."""
    found: list[int] = []
    held: list[socket.socket] = []
    try:
        while len(found) < count:
            tcp, udp = socket.socket(), socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            held += [tcp, udp]
            tcp.bind(("127.0.0.1", 0))
            port = int(tcp.getsockname()[1])
            try:
                udp.bind(("127.0.0.1", port))
            except OSError:
                continue
            found.append(port)
    finally:
        for one in held:
            one.close()
    return found
