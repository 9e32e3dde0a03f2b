"""SIPp scenarios from parts, and the run of one. SIPp is the peer that is not ours: RFC 3261 as others read it."""

import asyncio
from dataclasses import dataclass
from pathlib import Path
from xml.sax.saxutils import escape

_HEAD = """From: "Alice" <sip:+4930123456[call_number]@[local_ip]:[local_port]>;tag=[pid]T[call_number]
To: <sip:[service]@[remote_ip]:[remote_port]>{to_tag}
Call-ID: [call_id]
CSeq: {cseq} {method}
Contact: <sip:sipp@[local_ip]:[local_port]>
Max-Forwards: 70
"""
_VIA = "Via: SIP/2.0/[transport] [local_ip]:[local_port];branch={branch}\n"
OPTIONAL_100 = '<recv response="100" optional="true"/><recv response="180" optional="true"/>'


def sdp(payloads: str = "0 101", *, profile: str = "RTP/AVP", extra: str = "", port: str = "[auto_media_port]") -> str:
    """An offer; `extra` holds further a= lines."""
    maps = {"0": "PCMU/8000", "8": "PCMA/8000", "9": "G722/8000", "101": "telephone-event/8000"}
    lines = "".join(f"a=rtpmap:{pt} {maps[pt]}\n" for pt in payloads.split() if pt in maps)
    return (
        f"v=0\no=- 1 1 IN IP4 [local_ip]\ns=-\nc=IN IP4 [media_ip]\nt=0 0\n"
        f"m=audio {port} {profile} {payloads}\n{lines}a=ptime:20\n{extra}"
    )


def request(
    method: str,
    cseq: int,
    body: str = "",
    *,
    uri: str = "",
    to_tag: bool = False,
    branch: str = "[branch]",
    extra: str = "",
    retrans: bool = True,
) -> str:
    """One request. In a dialog the URI is [next_url] and To has the peer's tag."""
    uri = uri or ("[next_url]" if to_tag else "sip:[service]@[remote_ip]:[remote_port]")
    via = "[last_Via:]\n" if method == "CANCEL" else _VIA.format(branch=branch)
    head = _HEAD.format(cseq=cseq, method=method, to_tag="[peer_tag_param]" if to_tag else "")
    content = f"Content-Type: application/sdp\nContent-Length: [len]\n\n{body}" if body else "Content-Length: 0\n\n"
    again = "" if method == "ACK" or not retrans else ' retrans="500"'
    return f"<send{again}><![CDATA[\n{method} {uri} SIP/2.0\n{via}{head}{extra}{content}]]></send>"


def recv(status: int, *, header: str = "", value: str = "") -> str:
    """A response; a 2xx sets the dialog's route. With `header`: it must be there, and match the pattern `value`."""
    if not header:
        return f'<recv response="{status}" rrs="true"/>'
    check = f'<ereg regexp="{escape(value)}" search_in="hdr" header="{header}:" check_it="true" assign_to="1"/>'
    return f'<recv response="{status}" rrs="true"><action>{check}</action></recv><Reference variables="1"/>'


def ack_refusal() -> str:
    """The ACK of a final response that is no success: same branch, so that the refusal is not sent again."""
    return (
        "<send><![CDATA[\nACK sip:[service]@[remote_ip]:[remote_port] SIP/2.0\n[last_Via:]\n[last_From:]\n[last_To:]\n"
        "Call-ID: [call_id]\nCSeq: 1 ACK\nMax-Forwards: 70\nContent-Length: 0\n\n]]></send>"
    )


def pause(ms: int) -> str:
    """Silence on the signalling side."""
    return f'<pause milliseconds="{ms}"/>'


def stream(path: Path, codec: str) -> str:
    """Send a headerless file as RTP, over and over: "PCMU/8000" or "PCMA/8000"."""
    return f'<nop><action><exec rtp_stream="{escape(str(path))},-1,{0 if "U" in codec else 8},{codec}"/></action></nop>'


def pcap(path: str) -> str:
    """Play captured RTP (needs raw sockets)."""
    return f'<nop><action><exec play_pcap_audio="{escape(path)}"/></action></nop>'


def answered_call(offer: str, *middle: str) -> list[str]:
    """INVITE, 200, ACK, what happens, BYE, 200."""
    return [
        request("INVITE", 1, offer),
        OPTIONAL_100,
        recv(200),
        request("ACK", 1, to_tag=True),
        *middle,
        request("BYE", 90, to_tag=True),
        recv(200),
    ]


@dataclass
class Sipp:
    """Runs scenarios against one SIP address."""

    target: str
    directory: Path

    async def run(self, *parts: str, calls: int = 1, rate: int = 1, timeout_s: int = 20, transport: str = "u1") -> str:
        """Raises AssertionError with SIPp's own words unless every call went as the scenario says."""
        path = self.directory / "scenario.xml"
        body = "\n".join(parts)
        path.write_text(f'<?xml version="1.0" encoding="ISO-8859-1" ?>\n<scenario name="test">\n{body}\n</scenario>\n')
        errors = self.directory / "errors.log"
        process = await asyncio.create_subprocess_exec(
            "sipp", self.target, "-sf", str(path), "-m", str(calls), "-l", str(calls), "-r", str(rate),
            "-i", "127.0.0.1", "-mi", "127.0.0.1", "-t", transport, "-nostdin", "-nd", "-recv_timeout", "8000",
            "-timeout", f"{timeout_s}s", "-timeout_error", "-trace_err", "-error_file", str(errors),
            cwd=self.directory, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
        )  # fmt: skip
        out, _ = await asyncio.wait_for(process.communicate(), timeout_s + 10)
        said = errors.read_text(errors="replace") if errors.exists() else out.decode("utf-8", "replace")[-2000:]
        assert process.returncode == 0, f"SIPp ended with {process.returncode}: {said}"
        return out.decode("utf-8", "replace")
