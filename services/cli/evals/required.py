"""Evals as a condition: what `bundle publish` and `bundle release` run, and what they put on record."""

from pathlib import Path
from typing import Any

from services.cli.evals.run import Wanted, run_text
from services.common.clock import Clock
from services.common.errors import TrunklineError
from services.orchestrator.bundles.bundle import Bundle

# Random callers beside the scenarios: enough to meet most of what is drawn, little enough to wait for (about 20 s).
CONVERSATIONS = 20
NONE, SKIPPED, PASSED = "none", "skipped (--no-evals)", "passed"


class EvalsFailedError(TrunklineError):
    """A gate does not hold: nothing is published or released."""


async def required(bundle: Bundle, directory: Path, clock: Clock, *, skip: bool) -> str:
    """Run the scenarios with faults and some random callers; what the audit says of it.

    `directory`: where the bundle's back end lies. Raises EvalsFailedError, and what `run_text` raises.
    """
    if skip:
        return SKIPPED
    if not bundle.scenarios():
        return NONE
    document = await run_text(bundle, directory, Wanted(faults=True, conversations=CONVERSATIONS), clock)
    if not document["ok"]:
        raise EvalsFailedError(
            f"The evals of {bundle.agent.id} {bundle.agent.version} fail: {_failed(document)}",
            remedy=f"`trunkline eval {directory} --faults --conversations {CONVERSATIONS} --html report.html` shows "
            "each conversation; --no-evals goes on without, and says so in the audit.",
        )
    return f"{PASSED} ({document['conversations']} conversations)"


async def released(bundle: Bundle, record: str, directory: Path | None, clock: Clock, *, skip: bool) -> str:
    """The same for a published bundle: run now where its back end is at hand, else by the record of its publishing."""
    if skip or directory is not None:
        return await required(bundle, directory or Path(), clock, skip=skip)
    if bundle.scenarios() and not record.startswith(PASSED):
        raise EvalsFailedError(
            f"The evals of {bundle.agent.id} {bundle.agent.version} did not pass when it was published "
            f"({record or 'no record'}).",
            remedy="--back-end DIR runs them now; --no-evals goes on without, and says so in the audit.",
        )
    return record or NONE


def _failed(document: dict[str, Any]) -> str:
    gates = document["gates"]
    bad = [name for name, value in gates.items() if (value != 1.0 if name == "end_state_match" else value)]
    first = next((f"{one['name']}: {next(iter(one['findings'].values()))[0]}" for one in document["failed"]), "")
    return f"{', '.join(f'{name} {gates[name]:g}' for name in bad)}. {first or '; '.join(document['audit'])}"
