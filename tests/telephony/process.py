"""A telephony worker as a real process, for contract tests and benchmarks."""

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
READY_S = 20.0
_LINES = 2000


@dataclass
class WorkerProcess:
    """A running worker: its gRPC address, its process and what it has logged."""

    address: str
    process: asyncio.subprocess.Process
    lines: list[str] = field(default_factory=list)

    def cpu_s(self) -> float:
        """CPU seconds used so far, user and system."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@asynccontextmanager
async def worker_process(settings: Sequence[str] = ()) -> AsyncIterator[WorkerProcess]:
    """Start `python -m services.telephony` on free ports; SIGTERM at the end, and it must end by itself."""
    base = [
        "telephony.port=0",
        "telephony.sip.port=0",
        "telephony.metrics_port=0",
        "log.format=json",
        "rpc.drain_s=0.2",
    ]
    arguments = [part for setting in (*base, *settings) for part in ("--set", setting)]
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "services.telephony", *arguments, cwd=ROOT, stderr=asyncio.subprocess.PIPE
    )
    assert process.stderr is not None
    worker = WorkerProcess("", process)
    try:
        async with asyncio.timeout(READY_S):
            while not worker.address:
                line = (await process.stderr.readline()).decode()
                if not line:
                    raise RuntimeError(f"the worker ended: {''.join(worker.lines)}")
                worker.lines.append(line)
                if '"service ready"' in line:
                    worker.address = json.loads(line)["address"]
        reader = asyncio.create_task(_collect(process.stderr, worker.lines))
        yield worker
    finally:
        if process.returncode is None:
            process.terminate()
        try:
            await asyncio.wait_for(process.wait(), 15.0)
        except TimeoutError:
            process.kill()
            await process.wait()
            raise AssertionError("the worker did not end on SIGTERM") from None
    await reader


async def _collect(stream: asyncio.StreamReader, lines: list[str]) -> None:
    while line := await stream.readline():
        lines.append(line.decode("utf-8", "replace"))
        del lines[:-_LINES]
