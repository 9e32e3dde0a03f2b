"""A trunk that wants registration: digest authentication (RFC 8760's MD5 form) with the password from a file."""

import asyncio
import hashlib
import re
from pathlib import Path

import pytest

from tests.telephony.lab import side

REALM, NONCE, USER, PASSWORD = "pbx.example.com", "4f1c0de5", "acme-trunk", "correct horse; battery"


class Registrar(asyncio.DatagramProtocol):
    """Challenges, checks the answer by RFC 2617, and remembers the outcome."""

    def __init__(self) -> None:
        self.registered = asyncio.Event()
        self.refused = asyncio.Event()
        self.seen: list[str] = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        text = data.decode()
        if not text.startswith("REGISTER"):
            return
        self.seen.append(text)
        if "Authorization:" not in text:
            challenge = f'WWW-Authenticate: Digest realm="{REALM}", nonce="{NONCE}", algorithm=MD5, qop="auth"\r\n'
            self._answer(text, addr, "401 Unauthorized", challenge)
        elif self._good(text):
            contact = re.search(r"^Contact:.*$", text, re.M)
            self._answer(text, addr, "200 OK", f"{contact[0].strip()};expires=300\r\n" if contact else "")
            self.registered.set()
        else:
            self._answer(text, addr, "403 Forbidden", "")
            self.refused.set()

    def _good(self, text: str) -> bool:
        given = dict(re.findall(r'(\w+)="?([^",\r\n]*)"?', re.search(r"^Authorization:.*$", text, re.M)[0]))  # type: ignore[index]

        def md5(*parts: str) -> str:
            return hashlib.md5(":".join(parts).encode()).hexdigest()

        secret = md5(given["username"], REALM, PASSWORD)
        request = md5("REGISTER", given["uri"])
        proof = md5(secret, NONCE, given["nc"], given["cnonce"], given["qop"], request)
        return given["username"] == USER and given["response"] == proof

    def _answer(self, text: str, addr: tuple[str, int], status: str, extra: str) -> None:
        head = [line for line in text.split("\r\n") if re.match(r"(Via|From|To|Call-ID|CSeq):", line)]
        head = [f"{line};tag=reg" if line.startswith("To:") and ";tag=" not in line else line for line in head]
        reply = "\r\n".join([f"SIP/2.0 {status}", *head]) + f"\r\n{extra}Content-Length: 0\r\n\r\n"
        self.transport.sendto(reply.encode(), addr)  # type: ignore[attr-defined]


@pytest.mark.parametrize("right", [True, False])
async def test_it_registers_with_the_password_of_its_file(tmp_path: Path, right: bool):
    secret = tmp_path / "password"
    secret.write_text(PASSWORD + "\n" if right else "wrong\n")
    transport, registrar = await asyncio.get_running_loop().create_datagram_endpoint(
        Registrar, local_addr=("127.0.0.1", 0)
    )
    port = transport.get_extra_info("sockname")[1]
    settings = [
        f"telephony.sip.registrar=127.0.0.1:{port}",
        "telephony.sip.user=4930123456",
        f"telephony.sip.auth_user={USER}",
        f"telephony.sip.password_file={secret}",
    ]
    async with side(settings) as worker:
        await asyncio.wait_for((registrar.registered if right else registrar.refused).wait(), 10)
        # A refused registration does not keep the worker from being ready: the trunk may still send calls.
        for _ in range(50):
            details = (await worker.client.describe()).details
            if details["registered"] == ("yes" if right else "no"):
                break
            await asyncio.sleep(0.02)
        assert details["registered"] == ("yes" if right else "no")
        log = "".join(worker.worker.lines)
        assert PASSWORD not in log
        assert "4930123456" not in log
    transport.close()
    if right:
        # Gone politely: the last REGISTER takes the binding back.
        assert re.search(r"expires[=:]\s*0", registrar.seen[-1], re.I)
