"""The log file of one supervised process: what it writes, kept within a size, and its last words for an error."""

import asyncio
import json
from collections import deque
from pathlib import Path

_MAX_BYTES = 16 * 1024 * 1024
_TAIL_LINES = 8
# Longer lines are cut: a log line is for reading.
_LINE_LIMIT = 64 * 1024


class ProcessLog:
    """Appends the lines of a process to `path`; at 16 MB the file becomes `….1` and a new one begins."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = path.open("ab", buffering=0)
        self._size = path.stat().st_size
        self._tail: deque[str] = deque(maxlen=_TAIL_LINES)

    async def pump(self, stream: asyncio.StreamReader) -> None:
        """Copy until the process closes its output."""
        rest = b""
        while chunk := await stream.read(_LINE_LIMIT):
            self._write(chunk)
            *lines, rest = (rest + chunk).split(b"\n")
            self._tail.extend(line.decode("utf-8", "replace") for line in lines if line.strip())
            rest = rest[-_LINE_LIMIT:]
        if rest.strip():
            self._tail.append(rest.decode("utf-8", "replace"))

    def last_words(self) -> str:
        """The last line that a person can act on: an error's message, else the last line."""
        for line in reversed(self._tail):
            if line.startswith("trunkline "):
                return line.split(": ", 1)[-1]
        for line in reversed(self._tail):
            event = _parse(line)
            if event.get("level") in ("error", "critical"):
                return f"{event.get('event')} {event.get('error', '')}".strip()
        return self._tail[-1] if self._tail else "it said nothing"

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _write(self, chunk: bytes) -> None:
        if self._size + len(chunk) > _MAX_BYTES:
            self._file.close()
            self.path.replace(self.path.with_name(f"{self.path.name}.1"))
            self._file = self.path.open("ab", buffering=0)
            self._size = 0
        self._file.write(chunk)
        self._size += len(chunk)


def _parse(line: str) -> dict[str, object]:
    try:
        event = json.loads(line)
    except ValueError:
        return {}
    return event if isinstance(event, dict) else {}
