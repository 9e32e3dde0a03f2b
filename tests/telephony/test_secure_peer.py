"""Debian's baresip calls over TLS with SRTP: keys by SDES and by DTLS, both as the trunk would."""

import asyncio
import wave
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from services.pb.trunkline.telephony.v1 import telephony_pb2 as pb
from tests.common.certificates import write_certificates
from tests.telephony.lab import loud, main_frequency, needs, side, tone

pytestmark = [pytest.mark.peer, needs("baresip"), pytest.mark.slow]
MODULES = Path("/usr/lib/baresip/modules")
CODECS = ("telephony.sip.codecs=pcmu",)

CONFIG = """module_path {modules}
module g711.so
module aufile.so
module sndfile.so
module srtp.so
module dtls_srtp.so
module account.so
module menu.so
module_tmp uuid.so
sip_listen 127.0.0.1:{port}
sip_certificate {pem}
sip_cafile {ca}
net_interface 127.0.0.1
snd_path {directory}
audio_source aufile,{directory}/tone.wav
call_local_timeout 60
call_max_calls 4
"""


@asynccontextmanager
async def baresip_dials(directory: Path, account: str, target: str, config: dict[str, object]) -> AsyncIterator[None]:
    """A baresip process that dials `target`, plays 440 Hz and records what it hears."""
    with wave.open(str(directory / "tone.wav"), "wb") as wav:
        wav.setnchannels(1)
        wav.setsampwidth(2)
        wav.setframerate(8000)
        wav.writeframes(tone(440, 20, 8000))
    (directory / "config").write_text(CONFIG.format(modules=MODULES, directory=directory, **config))
    (directory / "accounts").write_text(account + "\n")
    process = await asyncio.create_subprocess_exec(
        "baresip", "-f", str(directory), "-e", f"/dial {target}", "-t", "20",
        stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    assert process.stdout is not None
    said: list[str] = []

    async def collect() -> None:
        async for line in process.stdout or ():
            said.append(line.decode("utf-8", "replace"))
            del said[:-400]

    collecting = asyncio.create_task(collect())
    try:
        yield
    except BaseException:
        print("".join(said))
        raise
    finally:
        if process.returncode is None:
            process.terminate()
            try:
                await asyncio.wait_for(process.wait(), 5)
            except TimeoutError:
                process.kill()
                await process.wait()
        await collecting


@pytest.mark.parametrize("keys", ["sdes", "dtls"])
async def test_baresip_calls_over_tls_with_srtp_and_both_hear_each_other(tmp_path: Path, keys: str):
    files = write_certificates(tmp_path)
    # The stack wants certificate and key in one file.
    pem = tmp_path / "both.pem"
    pem.write_bytes(files["cert_file"].read_bytes() + files["key_file"].read_bytes())
    settings = [
        *CODECS,
        "telephony.sip.transport=tls",
        f"telephony.sip.cert_file={pem}",
        f"telephony.sip.ca_file={files['ca_file']}",
        f"telephony.sip.srtp={keys}",
    ]
    menc = {"sdes": "srtp-mand", "dtls": "dtls_srtp"}[keys]
    directory = tmp_path / "peer"
    directory.mkdir()
    async with side(settings) as worker:
        account = f"<sip:peer@127.0.0.1;transport=tls>;regint=0;mediaenc={menc};audio_codecs=pcmu"
        target = worker.uri.replace(";transport=tls", "") + ";transport=tls"
        async with baresip_dials(directory, account, target, {"port": 0, "pem": pem, "ca": files["ca_file"]}):
            leg, established = await worker.answer(timeout_s=10)
            assert established.established.srtp
            await worker.play(leg, tone(700, 1.0, 8000), 8000)
            await worker.until(lambda: loud(worker.heard[leg]).sum() > 40)
            assert abs(main_frequency(worker.heard[leg], 8000) - 440) < 15
            worker.client.command(leg, hangup=pb.Hangup())
            ended = (await worker.client.event(leg, "ended")).ended
            assert ended.cause == pb.Ended.CAUSE_LOCAL_HANGUP
            assert ended.stats.rx_packets > 40
        # The peer's own dump of what it decoded.
        (recording,) = directory.glob("*dec.wav")
        assert abs(main_frequency(recording.read_bytes()[44:], 8000) - 700) < 15
