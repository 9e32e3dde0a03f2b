"""Makes a half of the set and asks the models what is not known yet. What was made before is taken from the cache."""

import asyncio
import contextlib
import functools
import hashlib
from collections.abc import AsyncIterator, Callable, Sequence
from importlib import resources
from pathlib import Path

from services.cli.caller import Pcm
from services.cli.stack import Launch, grpc_probe
from services.cli.terminal import Interrupts, StackView
from services.cli.turnset.ask import Models
from services.cli.turnset.hearing import Hearing, hear
from services.cli.turnset.outputs import Ask, Kind, MissingOutputError, Outputs
from services.cli.turnset.recipe import Half, Item, items
from services.cli.turnset.render import render
from services.cli.turnset.shelf import Shelf
from services.cli.turnset.speakers import Speakers
from services.cli.turnset.systems import Entry, questions, replay, shifted
from services.cli.up import started_stack
from services.common.clock import Clock
from services.common.models import ModelStore
from services.common.settings import Settings

SERVICES = ("vad", "asr", "tts")
PATIENT = ("asr.max_queue_ms=120000", "vad.turn_queue_ms=120000", "tts.max_late_ms=120000")
# Items worked on at once; the services batch what comes together.
AT_ONCE = 6
Tell = Callable[[int, int], None]


def model_names(settings: Settings, store: ModelStore) -> dict[Kind, str]:
    """Which weights answer each kind of question, by the manifest's hash."""

    def named(model: str) -> str:
        entry = store.entry(model)
        largest = max(entry.files, key=lambda file: file.size)
        return f"{model}:{largest.sha256[:12]}"

    # What is learnt on top of MiniLM has no entry in the manifest: it is part of the asr service.
    head = hashlib.sha256(resources.files("services").joinpath("asr", "endings_en.npz").read_bytes()).hexdigest()[:12]
    ending = f"{named(settings.asr.ending_model)}:{head}" if settings.asr.ending_model else "none"
    return {
        "vad": named(settings.vad.model),
        "turn": named(settings.vad.turn_model),
        "text": f"{named(settings.asr.model)}:{settings.asr.compute_type}:{settings.asr.window}:{ending}",
    }


@contextlib.asynccontextmanager
async def services(launch: Launch, clock: Clock, interrupts: Interrupts, view: StackView) -> AsyncIterator[None]:
    """vad, asr and tts: those that answer at the settings' addresses; the others are started and stopped here."""
    settings = launch.settings
    missing = []
    for name in SERVICES:
        health, _ = await grpc_probe(getattr(settings, name).address(), settings, clock)()
        if health != "ready":
            missing.append(name)
    if not missing:
        yield
        return
    # Nobody waits for these answers: whatever the load of the machine, none is refused for being late.
    patient = launch.with_overrides(*PATIENT)
    async with started_stack(patient, clock, interrupts, view, missing):
        yield


class Maker:
    """One half. `chosen` items; `make` gives those that could be made, all of whose questions are answered."""

    def __init__(
        self, half: Half, settings: Settings, folder: Path, outputs: Outputs, clock: Clock, seed: int, limit: int
    ) -> None:
        self._settings = settings
        self._outputs = outputs
        self._clock = clock
        store = ModelStore(settings.models)
        self.speakers = Speakers(settings, folder / "voices", clock, store)
        self.chosen = first_of_each_kind(items(half, seed, self.speakers.sources(half)), limit)
        made_with = f"{settings.tts.voices[0]} espeak={self.speakers.espeak}"
        self._shelf = Shelf(folder / "items", made_with)
        self._half: Half = half
        self._babble: list[Pcm] | None = None

    async def close(self) -> None:
        """Free the channels."""
        await self.speakers.close()

    def made_before(self) -> list[Entry] | None:
        """Every item from the cache; None when one is missing."""
        entries = []
        for item in self.chosen:
            hearing = self._shelf.get(item)
            if hearing is None:
                if item.kind == "human_hold":
                    # Recordings that cannot be cut are no items.
                    continue
                return None
            entries.append(Entry(item, hearing))
        return entries

    async def make(self, shifts_ms: Sequence[int], tell: Tell) -> list[Entry]:
        """Render what is not on the shelf, and ask the models until the replay at every shift and the baselines need
        nothing more. Items overlap, so that every service has something to do. Raises TrunklineError.
        """
        models = Models(self._settings, self._clock)
        gate = asyncio.Semaphore(AT_ONCE)
        done = 0

        async def one(item: Item) -> Entry | None:
            nonlocal done
            async with gate:
                hearing = self._shelf.get(item) or await self._render(item)
                entry = None if hearing is None else Entry(item, hearing)
                if entry is not None:
                    await self._complete(entry, models, shifts_ms)
            done += 1
            tell(done, len(self.chosen))
            return entry

        tasks = [asyncio.create_task(one(item)) for item in self.chosen]
        try:
            await models.check()
            made = await asyncio.gather(*tasks)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await models.close()
        return [entry for entry in made if entry is not None]

    async def _complete(self, entry: Entry, models: Models, shifts_ms: Sequence[int]) -> None:
        turns = self._settings.orchestrator.turns
        shifts = (0,) if entry.item.barge_in else shifts_ms
        for shift_ms in shifts:
            attempt = functools.partial(replay, entry, self._outputs, shifted(turns, shift_ms))
            while (ask := missing(attempt)) is not None:
                self._outputs.put(ask, await models.answer(ask, entry.hearing))
        for ask in questions(entry, self._outputs, sweep=len(shifts_ms) > 1):
            if not self._outputs.has(ask):
                self._outputs.put(ask, await models.answer(ask, entry.hearing))

    async def _render(self, item: Item) -> Hearing | None:
        clips = await self.speakers.clips(item)
        if clips is None:
            return None
        if item.noise == "babble" and self._babble is None:
            self._babble = await self.speakers.babble(self._half)
        hearing = await asyncio.to_thread(lambda: hear(render(item, clips, self._babble or [])))
        self._shelf.put(item, hearing)
        return hearing


def missing(attempt: Callable[[], object]) -> Ask | None:
    """The question that stops `attempt`, if one does."""
    try:
        attempt()
    except MissingOutputError as stopped:
        return stopped.ask
    return None


def first_of_each_kind(made: Sequence[Item], limit: int) -> list[Item]:
    """At most `limit` items of each kind (0: all)."""
    if not limit:
        return list(made)
    count: dict[str, int] = {}
    chosen = []
    for item in made:
        count[item.kind] = count.get(item.kind, 0) + 1
        if count[item.kind] <= limit:
            chosen.append(item)
    return chosen
