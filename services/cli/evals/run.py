"""A whole run: the world up, every plan played and judged, the audit checked, one document out."""

import tempfile
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from services.cli.evals.noise import Rates
from services.cli.evals.proposer import Slips, Understandings, scripted
from services.cli.evals.result import Played, Run
from services.cli.evals.runtime import runtime
from services.cli.evals.text_level import TextLevel, plans
from services.cli.evals.world import Stage, stage
from services.cli.machine import commit, machine
from services.common.clock import Clock, now_s
from services.orchestrator.bundles.bundle import Bundle


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is to be run. `faults`: of scenarios, and random ones for random callers."""

    faults: bool = False
    runs: int = 1
    seed: int = 0
    conversations: int = 0
    # Scenarios, and varieties of random callers, by their ids; none: all of them.
    only: tuple[str, ...] = ()
    rates: Rates = field(default_factory=Rates)
    slips: Slips = field(default_factory=Slips)


Progress = Callable[[Played, int], None]


async def run_text(
    bundle: Bundle,
    directory: Path,
    wanted: Wanted,
    clock: Clock,
    *,
    model: str = "scripted",
    understandings: Understandings | None = None,
    progress: Progress = lambda _played, _number: None,
) -> dict[str, Any]:
    """The result as a document.

    `understandings` stands for the model (default: the scripted proposer). Raises InvalidInputError for a bundle
    without scenarios or a world, UnavailableError when PostgreSQL or the back end does not start.
    """
    started = now_s(clock)
    with tempfile.TemporaryDirectory(prefix="trunkline-eval-") as scratch:
        async with stage(bundle, directory, Path(scratch)) as world:
            played = await play_on(world, wanted, understandings, progress)
    facts = {
        "level": "text",
        "model": model,
        "bundle": {"agent": bundle.agent.id, "version": bundle.agent.version, "digest": bundle.digest},
        "seed": wanted.seed,
        "runs": wanted.runs,
        "faults": wanted.faults,
        "noise": asdict(wanted.rates),
        "slips_of_the_scripted_proposer": asdict(wanted.slips) if model == "scripted" else {},
        "wall_s": round(now_s(clock) - started, 1),
        "machine": (await machine()).to_json(),
        "commit": commit(),
    }
    return played.to_json(facts)


async def play_on(
    world: Stage,
    wanted: Wanted,
    understandings: Understandings | None = None,
    progress: Progress = lambda _played, _number: None,
) -> Run:
    """Every conversation on a stage that is up, and the audit over all of it."""
    async with runtime(world, understandings or scripted(world.bundle, wanted.slips)) as room:
        chosen = [variety for variety in world.world.varieties if variety.id in wanted.only]
        level = TextLevel(world, room, wanted.rates, chosen)
        drawn = plans(
            world,
            conversations=wanted.conversations,
            runs=wanted.runs,
            seed=wanted.seed,
            faults=wanted.faults,
            only=wanted.only,
        )
        for number, plan in enumerate(drawn, 1):
            progress(await level.play(plan), number)
        level.run.audit = await room.verify_audit()
    return level.run
