"""`trunkline bench`: real calls on the stack, cell by cell; what is known is saved as each cell ends."""

import contextlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from services.cli.api import Api
from services.cli.benchmark.cell_run import RAMP_S_PER_CALL, CellRun, run_cell
from services.cli.benchmark.documents import Document, cells_of, join, save
from services.cli.benchmark.excerpts import worst_of
from services.cli.benchmark.per_worker import as_it_runs
from services.cli.benchmark.request import BenchRequest, Cell
from services.cli.benchmark.scripts import Voices
from services.cli.benchmark.show import cell_line, tables
from services.cli.benchmark.slo import default_slo, judge, load_slo
from services.cli.benchmark.sounds import coughs, hums
from services.cli.clips import Clip, human_speech
from services.cli.declared import is_scripted
from services.cli.machine import commit, machine
from services.cli.speech_clients import speak
from services.cli.stack import Launch
from services.cli.terminal import EXIT_FAILED, Interrupts, StackView
from services.cli.up import RunningStack, running_or_started
from services.common.clock import Clock
from services.common.errors import TrunklineError, UnavailableError
from services.common.models import ModelStore

# The longest clip that is said: a benchmark of long monologues measures little.
_LONGEST_CLIP_S = 5.0
# The scripted voice detector goes by energy: what follows a longer dip at a clip's end it does not hold to be speech.
_SCRIPTED_DIP_MS = 160.0
# What a turn takes until one has been seen: the caller's sentence, the answer, the pause after it.
_TURN_S = 7.0
_CELL_S = 6.0
_BACKCHANNELS = ("Mm-hmm.", "Uh-huh.", "Okay.", "Right.", "Yeah.")


async def bench(request: BenchRequest, launch: Launch, clock: Clock, interrupts: Interrupts, as_json: bool) -> int:
    """Returns 0 when every call was made and in each cell at least one turn was measured."""
    request.check()
    console = Console(stderr=True)
    slo = load_slo(request.slo) if request.slo else default_slo(launch.settings)
    clips = speech_clips(launch)
    async with running_or_started(launch, clock, interrupts, StackView(console=console)) as found:
        stack = await as_it_runs(found)
        if note := _other_workers(request, stack):
            console.print(note, style="yellow", highlight=False)
        voices = await callers_voices(request, stack, clips, clock)
        facts = await facts_of(request, stack, clock)
        done: list[CellRun] = []
        not_run: list[dict[str, str]] = []
        facts["not_run"] = not_run
        cells = list(request.cells())

        def keep(run: CellRun) -> None:
            done.append(run)
            _write(request, _judged(join(facts, [r.document for r in done], planned=len(cells)), slo), done)

        await _all_cells(cells, request, stack, voices, clock, console, keep, not_run)
    if not done:
        raise UnavailableError(f"No cell could be run: {not_run[0]['why']}")
    document = _judged(join(facts, [r.document for r in done], planned=len(cells)), slo)
    document["complete"] = True
    _write(request, document, done)
    _say(document, request, console, as_json)
    return 0 if not not_run and all(_well(cell) for cell in cells_of(document)) else EXIT_FAILED


def speech_clips(launch: Launch) -> list[Clip]:
    """Recorded speech of a length that is usual in a call. Raises MissingModelError with what fetches it."""
    return [c for c in human_speech(ModelStore(launch.settings.models)) if c.seconds <= _LONGEST_CLIP_S]


async def callers_voices(request: BenchRequest, stack: RunningStack, clips: Sequence[Clip], clock: Clock) -> Voices:
    """What the callers of these scripts need. Backchannels are words of the stack's own voice where it has one."""
    if is_scripted(stack.launch.settings):
        clips = [clip for clip in clips if clip.longest_dip_ms() <= _SCRIPTED_DIP_MS]
    said: list[Clip] = []
    if {"backchannels", "mixed"} & set(request.scripts):
        settings = stack.launch.settings
        said = hums(request.seed)
        if settings.tts.engine != "scripted":
            with contextlib.suppress(TrunklineError):
                said = [await speak(text, settings, clock) for text in _BACKCHANNELS]
    return Voices(clips, coughs(request.seed), said)


async def facts_of(request: BenchRequest, stack: RunningStack, clock: Clock) -> Document:
    """What is the same for every cell."""
    settings = stack.launch.settings
    async with Api(settings) as api:
        about = await api.about()
    asked = {k: v for k, v in asdict(request).items() if k not in ("out", "html", "record", "slo", "talk")}
    return {
        "when": clock.wall().isoformat(timespec="seconds"),
        "commit": commit(),
        "profile": settings.profile,
        "scripted": is_scripted(settings),
        "request": {**asked, **asdict(request.talk)},
        "machine": (await machine()).to_json(),
        "models": about.get("services", {}),
        "stack": {
            "started": stack.ours,
            "workers": settings.orchestrator.workers,
            "workers_asked": request.workers,
        },
    }


def _other_workers(request: BenchRequest, stack: RunningStack) -> str:
    """A running stack is measured as it is; empty where that is what was asked for."""
    has = stack.launch.settings.orchestrator.workers
    if stack.ours or request.workers in (None, has):
        return ""
    return (
        f"The stack that runs at {stack.web} has {has} orchestrator worker{'s' if has > 1 else ''}: measured as it is. "
        f"--workers {request.workers} is for a stack that this command starts."
    )


async def _all_cells(
    cells: Sequence[Cell],
    request: BenchRequest,
    stack: RunningStack,
    voices: Voices,
    clock: Clock,
    console: Console,
    keep: Callable[[CellRun], None],
    not_run: list[dict[str, str]],
) -> None:
    def skip(cell: Cell, why: str) -> None:
        not_run.append({"cell": cell.name, "why": why})
        course.skip(cell, why)

    full: set[tuple[str, str]] = set()
    with _Course(cells, console, clock) as course:
        for cell in cells:
            if (cell.transport, cell.script) in full:
                skip(cell, "not tried: calls of a smaller load were refused already")
                continue
            course.begin(cell)
            own = replace(request, record=_folder(request.record, cell, len(cells)))
            try:
                run = await run_cell(cell, own, stack, voices, clock, course.turn_done)
            except TrunklineError as error:
                skip(cell, f"could not be run: {error.message}")
                continue
            keep(run)
            if run.document["stopped"]:
                full.add((cell.transport, cell.script))
            course.end(cell, run.document)


class _Course:
    """The bar with the time left, and a line for each cell that ended."""

    def __init__(self, cells: Sequence[Cell], console: Console, clock: Clock) -> None:
        self._left = list(cells)
        self._console, self._clock = console, clock
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        self._progress = Progress(*columns, TextColumn("{task.fields[left]}"), console=console, transient=True)
        self._task = self._progress.add_task("", total=sum(c.calls * c.turns for c in cells), left="")
        self._turn_s = _TURN_S
        self._began_ns = 0
        self._turns = 0

    def __enter__(self) -> "_Course":
        self._progress.start()
        self._tell_left()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def begin(self, cell: Cell) -> None:
        """The cell starts now."""
        self._began_ns, self._turns = self._clock.now_ns(), 0
        self._progress.update(self._task, description=cell.name)

    def turn_done(self) -> None:
        """A caller has finished a turn."""
        self._turns += 1
        self._progress.advance(self._task)
        self._tell_left()

    def end(self, cell: Cell, document: Mapping[str, Any]) -> None:
        """The cell is over: a line for the person who waits."""
        took_s = (self._clock.now_ns() - self._began_ns) / 1e9
        if self._turns:
            self._turn_s = max(1.0, took_s / max(1.0, self._turns / cell.calls))
        self._progress.advance(self._task, cell.calls * cell.turns - self._turns)
        self._left.remove(cell)
        self._console.print(f"{cell_line(document)}{self._time_left()}", highlight=False)

    def skip(self, cell: Cell, why: str) -> None:
        """It will not be run."""
        self._left.remove(cell)
        self._progress.advance(self._task, cell.calls * cell.turns - self._turns)
        self._turns = 0
        self._console.print(f"{cell.name}: {why}", highlight=False)

    def _time_left(self) -> str:
        return f"; {len(self._left)} cells to go, about {self._left_s() / 60:.0f} min" if self._left else ""

    def _tell_left(self) -> None:
        done = self._turns / max(1, self._left[0].calls) if self._left else 0
        left_s = max(0.0, self._left_s() - done * self._turn_s)
        self._progress.update(self._task, left=f"about {left_s / 60:.0f} min left")

    def _left_s(self) -> float:
        return sum(c.turns * self._turn_s + c.calls * RAMP_S_PER_CALL + _CELL_S for c in self._left)


def _folder(record: Path | None, cell: Cell, cells: int) -> Path | None:
    if record is None or cells == 1:
        return record
    return record / f"{cell.transport}-{cell.script}-{cell.calls}"


def _judged(document: Document, slo: Any) -> Document:
    return {**document, "targets": judge(slo, document) if slo is not None else None}


def _write(request: BenchRequest, document: Document, done: Sequence[CellRun]) -> None:
    save(request.out, document)
    if request.html is None:
        return
    from services.cli.benchmark.report import render

    chosen = worst_of([excerpt for run in done for excerpt in run.excerpts])
    request.html.write_text(render(document, chosen), encoding="utf-8")


def _well(cell: Mapping[str, Any]) -> bool:
    return bool(cell["stages"]["voice_to_voice"]["n"]) and not cell["calls"]["failed"]


def _say(document: Document, request: BenchRequest, console: Console, as_json: bool) -> None:
    if as_json:
        Console().print_json(json.dumps(without_turns(document)))
        return
    for table in tables(document):
        console.print(table)
    console.print(f"written: {request.out}" + (f", {request.html}" if request.html else ""), highlight=False)


def without_turns(document: Mapping[str, Any]) -> Document:
    """For the terminal: the figures, not every turn."""
    short = {key: value for key, value in document.items() if key not in ("turns", "values")}
    if "cells" in short:
        short["cells"] = [without_turns(cell) for cell in short["cells"]]
    return short
