"""What a benchmark is asked to do: which cells, how many turns in each, and how its callers are."""

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from services.cli.benchmark.documents import load_name
from services.cli.benchmark.scripts import PlainTalk, Script
from services.cli.benchmark.sounds import NOISES, Noise
from services.cli.dialers import Transport
from services.common.errors import InvalidInputError

TURNS_PER_CELL = 200
# Fewer turns of one call say little about a call.
_LEAST_TURNS = 3
_TRANSPORTS: tuple[Transport, ...] = ("sip", "webrtc")
_MOST_CALLS = 1000


@dataclass(frozen=True, slots=True)
class Cell:
    """One load: `calls` at once over `transport`, each of `turns` turns by `script`."""

    transport: Transport
    calls: int
    script: Script = "plain"
    turns: int = 10

    @property
    def name(self) -> str:
        """ "16 SIP calls, plain"."""
        return load_name(self.transport, self.calls, self.script)


@dataclass(frozen=True, slots=True)
class BenchRequest:
    """What the user asked for. `turns`: per call; without it as many as make `turns_per_cell` in each cell."""

    transports: tuple[Transport, ...]
    calls: tuple[int, ...]
    out: Path
    scripts: tuple[Script, ...] = ("plain",)
    turns: int | None = None
    turns_per_cell: int = TURNS_PER_CELL
    html: Path | None = None
    slo: Path | None = None
    warmup: int = 1
    seed: int = 1
    talk: PlainTalk = field(default_factory=PlainTalk)
    agent_done_ms: int = 900
    codec: str = "pcmu"
    record: Path | None = None
    noise: Noise = "babble"
    snr_db: float = 15.0
    loss_percent: float = 3.0
    # Asked for; a stack that runs already has what it has.
    workers: int | None = None

    def check(self) -> None:
        """Raises InvalidInputError for sizes that make no benchmark."""
        for name, values in (("calls", self.calls), ("turns", (self.turns,)), ("per-cell", (self.turns_per_cell,))):
            for value in values:
                if value is not None and value < 1:
                    raise InvalidInputError(f"--{name}", expected="at least 1", got=str(value))
        if max(self.calls) > _MOST_CALLS:
            raise InvalidInputError("--calls", expected=f"at most {_MOST_CALLS}", got=str(max(self.calls)))
        if not 0 <= self.loss_percent < 100:
            raise InvalidInputError("--loss", expected="0 to below 100 %", got=f"{self.loss_percent:g}")
        for option, path in (("--out", self.out), ("--html", self.html)):
            if path is not None and not path.parent.exists():
                raise InvalidInputError(option, expected="an existing directory", got=str(path.parent))

    def turns_of(self, calls: int) -> int:
        """Turns of each call in a cell of so many calls."""
        return self.turns or max(_LEAST_TURNS, math.ceil(self.turns_per_cell / calls))

    def cells(self) -> Iterator[Cell]:
        """In the order they run: small loads before large ones, so that a stack that breaks has told most by then."""
        for transport in self.transports:
            for script in self.scripts:
                for calls in sorted(set(self.calls)):
                    yield Cell(transport, calls, script, self.turns_of(calls))


def parse_calls(text: str) -> tuple[int, ...]:
    """ "1,4,16". Raises InvalidInputError."""
    try:
        calls = tuple(int(part) for part in text.split(",") if part.strip())
    except ValueError:
        calls = ()
    if not calls:
        raise InvalidInputError("--calls", expected="numbers of calls, e.g. 1,4,16", got=repr(text))
    return calls


def parse_transports(text: str) -> tuple[Transport, ...]:
    """ "sip,webrtc". Raises InvalidInputError."""
    names = [part.strip() for part in text.split(",") if part.strip()]
    unknown = [name for name in names if name not in _TRANSPORTS]
    if unknown or not names:
        raise InvalidInputError("--transport", expected="sip, webrtc or sip,webrtc", got=repr(text))
    return tuple(transport for transport in _TRANSPORTS if transport in names)


def parse_noise(text: str) -> Noise:
    """ "pink" or "babble". Raises InvalidInputError."""
    found = next((noise for noise in NOISES if noise == text), None)
    if found is None:
        raise InvalidInputError("--noise", expected=" or ".join(NOISES), got=repr(text))
    return found
