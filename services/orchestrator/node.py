"""One machine's orchestrator workers: their names, sockets and ports, as every process derives them from the settings.

With `orchestrator.workers` above 1 the machine runs, in place of one orchestrator process: N workers (each with its
own event loop, calls and metrics port), a front that has `web.port` and hands requests to the workers over unix
sockets, and, without `database.dsn`, one process that owns the embedded PostgreSQL.
"""

import hashlib
import os
import tempfile
from pathlib import Path
from typing import Final

from services.common.errors import UnavailableError
from services.common.settings import Settings

# sun_path holds 108 bytes with its NUL.
_MAX_SOCKET_PATH: Final = 100
# Worker 1's metrics port is this far above `orchestrator.metrics_port`, clear of the other services' ports.
_METRICS_STEP: Final = 10
# A call's id is a UUIDv7 (RFC 9562 section 5.7); its 12 bits after the version, left to us, are the worker's number.
_WORKER_DIGITS: Final = slice(13, 16)


def workers(settings: Settings) -> range:
    """Numbers of the workers; empty when one process does everything."""
    count = settings.orchestrator.workers
    return range(1, count + 1) if count > 1 else range(0)


def worker_name(worker: int) -> str:
    """As shown by `trunkline up`, and told to the telephony worker."""
    return f"orchestrator-{worker}" if worker else "orchestrator"


def metrics_port(settings: Settings, worker: int) -> int:
    """Worker 1 has `orchestrator.metrics_port` + 11, and so on; the front, or the only process, the setting itself."""
    base = settings.orchestrator.metrics_port
    return base + _METRICS_STEP + worker if base and worker else base


def socket_path(settings: Settings, worker: int) -> Path:
    """Where a worker answers HTTP: below data_dir, or a short path when that one is too long for a socket."""
    path = settings.data_dir.expanduser().resolve() / "workers" / f"{worker}.sock"
    if len(os.fsencode(path)) <= _MAX_SOCKET_PATH:
        return path
    digest = hashlib.sha256(os.fsencode(path.parent)).hexdigest()[:12]
    return Path(tempfile.gettempdir()) / f"trunkline-workers-{digest}" / path.name


def prepare_socket(path: Path) -> None:
    """Make the folder, for this user only, and remove what a killed worker left. Raises UnavailableError."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    if path.parent.stat().st_uid != os.geteuid():
        raise UnavailableError(f"{path.parent} belongs to another user.", remedy="Choose a shorter data_dir.")
    path.parent.chmod(0o700)
    path.unlink(missing_ok=True)


def worker_of(call_id: str) -> int | None:
    """The worker that has, or had, the call; None for what is no call id of ours."""
    if len(call_id) != 32:
        return None
    try:
        return int(call_id[_WORKER_DIGITS], 16)
    except ValueError:
        return None
