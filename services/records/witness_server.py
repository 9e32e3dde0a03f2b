"""The witness process: its own key, its own memory of every log, a small HTTP endpoint (c2sp.org/tlog-witness).

It keeps one file per log, the last checkpoint it signed, written durably before the signature leaves. It needs no
database and no secret of the log; it should run under another owner, best on another machine.
"""

import asyncio
import hashlib
import os
from collections.abc import Sequence
from pathlib import Path

from aiohttp import web
from prometheus_client import Counter

from services.common.clock import Clock
from services.common.errors import InvalidInputError
from services.common.log import get_logger
from services.records.checkpoint import Checkpoint
from services.records.notes import Note, Signer, Verifier
from services.records.witness import AddCheckpoint, Verdict, judge

log = get_logger(__name__)

MAX_BODY_BYTES = 65_536
ANSWERED = Counter("trunkline_witness_answers", "Checkpoints judged, by HTTP status.", ["status"])


class WitnessStore:
    """The last checkpoint signed for each origin, a signed note in a file of its own."""

    def __init__(self, directory: Path) -> None:
        self._dir = directory

    def path(self, origin: str) -> Path:
        """Where the checkpoint of a log lies."""
        return self._dir / f"{hashlib.sha256(origin.encode()).hexdigest()[:16]}.checkpoint"

    def load(self, origin: str) -> Note | None:
        """None when nothing was signed yet. Raises InvalidInputError for a damaged file, OSError."""
        try:
            return Note.parse(self.path(origin).read_text(encoding="utf-8"))
        except FileNotFoundError:
            return None

    def save(self, origin: str, note: Note) -> None:
        """Whole or not at all, and on the disk when it returns."""
        path = self.path(origin)
        scratch = path.with_suffix(".new")
        with scratch.open("w", encoding="utf-8") as file:
            file.write(str(note))
            file.flush()
            os.fsync(file.fileno())
        scratch.replace(path)
        directory = os.open(self._dir, os.O_RDONLY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)


class Witness:
    """Judges, remembers, signs; one request at a time, so that nothing is signed against an old memory."""

    def __init__(self, signer: Signer, logs: Sequence[Verifier], store: WitnessStore, clock: Clock) -> None:
        self._signer = signer
        self._logs = tuple(logs)
        self._store = store
        self._clock = clock
        self._lock = asyncio.Lock()

    async def add_checkpoint(self, body: str) -> tuple[Verdict, str]:
        """The verdict and, when it is 200, our signature line. Raises InvalidInputError for what is no request."""
        request = AddCheckpoint.parse(body)
        origin = request.note.text.partition("\n")[0]
        async with self._lock:
            last = self._store.load(origin) if any(key.name == origin for key in self._logs) else None
            verdict = judge(request, self._logs, Checkpoint.parse(last.text) if last else None)
            if verdict.status != 200:
                log.error("checkpoint refused", origin=origin, status=verdict.status, reason=verdict.reason)
                return verdict, ""
            line = self._signer.line(request.note.text, int(self._clock.wall().timestamp()))
            await asyncio.to_thread(self._store.save, origin, request.note.with_lines(line))
        log.info("checkpoint signed", origin=origin, size=verdict.last_size)
        return verdict, line

    def latest(self, origin: str) -> str | None:
        """The note signed last for this log, with our signature."""
        note = self._store.load(origin) if any(key.name == origin for key in self._logs) else None
        return str(note) if note else None


def create_witness_app(witness: Witness) -> web.Application:
    """POST /add-checkpoint; GET /checkpoint?origin=… for auditors."""

    async def add(request: web.Request) -> web.Response:
        try:
            verdict, line = await witness.add_checkpoint((await request.read()).decode("utf-8"))
        except (InvalidInputError, UnicodeDecodeError) as error:
            ANSWERED.labels(status="400").inc()
            return web.Response(status=400, text=f"{error}\n")
        ANSWERED.labels(status=str(verdict.status)).inc()
        if verdict.status == 409:
            return web.Response(
                status=409, body=f"{verdict.last_size}\n".encode(), headers={"Content-Type": "text/x.tlog.size"}
            )
        return web.Response(status=verdict.status, text=line or f"{verdict.reason}\n")

    async def latest(request: web.Request) -> web.Response:
        note = witness.latest(request.query.get("origin", ""))
        return web.Response(text=note) if note else web.Response(status=404, text="Nothing signed for that origin.\n")

    app = web.Application(client_max_size=MAX_BODY_BYTES)
    app.router.add_post("/add-checkpoint", add)
    app.router.add_get("/checkpoint", latest)
    return app
