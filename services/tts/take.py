"""A take: the audio of one clause, made once and heard by any number of streams while it is being made.

Computation is pulled: a step runs only when somebody waits for the next piece, so nothing is made that nobody asked
for; when the last listener leaves an unfinished take, its computation is cancelled.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

from services.common.errors import TrunklineError
from services.common.load import Load

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class TimedWord:
    """A word of the clause as written: offset in characters from its start, times in samples from its start."""

    written: str
    offset: int
    start_sample: int
    end_sample: int


@dataclass(frozen=True, slots=True)
class Plan:
    """Known before the first sample: samples of the clause at the output rate, and its words."""

    samples: int
    words: tuple[TimedWord, ...]


class Rendering(Protocol):
    """One clause being computed. `step` runs in a worker thread; `cancel` is called from the event loop."""

    plan: Plan | None
    compute_ms: float
    ended: bool

    def step(self) -> bytes:
        """The next PCM (may be empty). The first step sets `plan`, the last one `ended`. Raises TrunklineError."""
        ...

    def cancel(self) -> None:
        """Stop within a millisecond; a step in progress raises."""
        ...


class Runner(Protocol):
    """Runs steps of renderings, most urgent first."""

    async def run(self, step: Callable[[], T], deadline_ns: int, call: str = "") -> T:
        """The step's result. Steps of one `call` take turns with those of others. Raises what the step raises."""
        ...

    def lateness_ms(self) -> float:
        """How long the latest step has been due without being run; 0 when all are in time."""
        ...

    def load(self) -> Load:
        """Who waits, and how busy the threads are."""
        ...

    def close(self) -> None:
        """Start nothing more."""
        ...


class Take:
    """See the module. `listen` before use, `leave` after."""

    def __init__(self, rendering: Rendering, runner: Runner, done: Callable[["Take"], None]) -> None:
        self._rendering = rendering
        self._runner = runner
        self._done = done
        self._pieces: list[bytes] = []
        self._step: asyncio.Task[None] | None = None
        self._listeners = 0
        self.plan: Plan | None = None
        self.complete = False
        self.failed = False

    @property
    def size(self) -> int:
        """Bytes of audio held."""
        return sum(map(len, self._pieces))

    @property
    def compute_ms(self) -> float:
        """Computation so far."""
        return self._rendering.compute_ms

    @classmethod
    def made(cls, plan: Plan, pcm: bytes, runner: Runner) -> "Take":
        """A take that is complete from the start."""
        take = cls(_Made(plan), runner, lambda _: None)
        take._pieces, take.plan, take.complete = [pcm], plan, True
        return take

    def listen(self) -> None:
        """One more listener."""
        self._listeners += 1

    def leave(self) -> None:
        """One listener less; an unfinished take without listeners is given up."""
        self._listeners -= 1
        if self._listeners == 0 and not self.complete:
            self._rendering.cancel()
            self.failed = True
            if self._step is not None:
                self._step.cancel()
            self._done(self)

    async def piece(self, index: int, deadline_ns: int, call: str = "") -> bytes | None:
        """The audio piece of that index, made if need be by `deadline_ns`; None after the last one."""
        while index >= len(self._pieces) and not self.complete:
            if self.failed:
                raise TrunklineError("The clause could not be synthesised.", remedy="See the log of the tts service.")
            if self._step is None:
                self._step = asyncio.create_task(self._advance(deadline_ns, call))
                self._step.add_done_callback(_retrieve)
            # Shielded: another stream may wait for the same step.
            await asyncio.shield(self._step)
        return self._pieces[index] if index < len(self._pieces) else None

    def pieces(self) -> Sequence[bytes]:
        """What was made so far."""
        return tuple(self._pieces)

    async def _advance(self, deadline_ns: int, call: str) -> None:
        try:
            pcm = await self._runner.run(self._rendering.step, deadline_ns, call)
        except BaseException:
            self.failed = True
            self._done(self)
            raise
        finally:
            self._step = None
        self.plan = self._rendering.plan
        self._pieces.append(pcm)
        if self._rendering.ended:
            self.complete = True
            self._done(self)


@dataclass
class _Made:
    """The rendering of a take that needs none."""

    plan: Plan | None
    compute_ms: float = 0.0
    ended: bool = True

    def step(self) -> bytes:
        """Never called."""
        return b""

    def cancel(self) -> None:
        """Nothing runs."""


def _retrieve(step: asyncio.Task[None]) -> None:
    """Look at the outcome: when all listeners left, nobody else does."""
    if not step.cancelled():
        step.exception()
