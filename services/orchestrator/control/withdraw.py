"""Taking back an act that waits for its back end: found by whose it is, and ended under its own lock, or too late.

The row decides, in one statement: from `queued` it goes either to `executing` (a worker tries it) or to `failed` (it
was taken back), whoever holds the act's lock first; the other finds it there. What waits no longer is not touched.
"""

from typing import Final

from services.common.errors import TrunklineError
from services.common.log import get_logger
from services.orchestrator.bundles.bundle import Bundle
from services.orchestrator.control.facts import Caller
from services.orchestrator.control.identity import BY_KEYS
from services.orchestrator.control.model import Outcome
from services.orchestrator.control.room import ControlRoom
from services.orchestrator.dialogue.model import WaitingAct
from services.orchestrator.store.effects import EffectRow

log = get_logger(__name__)
TAKEN_BACK: Final = "taken back by the caller"


async def waiting_acts(
    room: ControlRoom, bundle: Bundle, call_id: str, caller: Caller, tools: tuple[str, ...]
) -> tuple[WaitingAct, ...]:
    """Of this caller at this agent. Raises UnavailableError when the database is away."""
    if not caller.subject:
        return ()
    found = []
    for row in await room.effects.all_queued():
        if row.tool in tools and row.subject == caller.subject and await _ours(room, bundle, row):
            found.append(WaitingAct(row.effect_id, row.tool, level_for(bundle, row, call_id)))
    return tuple(found)


def level_for(bundle: Bundle, row: EffectRow, call_id: str) -> int:
    """What was shown when it was asked for; in another call the secret besides, for a number can be forged."""
    level = int(row.context.get("caller.auth_level", 0))
    if row.call_id != call_id and bundle.agent.identify.keys is not None:
        level = max(level, BY_KEYS)
    return level


async def take_back(room: ControlRoom, bundle: Bundle, call_id: str, caller: Caller, effect_id: str) -> Outcome | None:
    """The act as it is then; None: it is not this caller's to take back. Raises TrunklineError when it is held."""
    row = await room.effects.get(effect_id)
    if row is None or not caller.subject or row.subject != caller.subject or not await _ours(room, bundle, row):
        return None
    if level_for(bundle, row, call_id) > caller.level:
        return None
    return await room.executor(room.backend(bundle.agent.id)).take_back(bundle, row, TAKEN_BACK)


async def _ours(room: ControlRoom, bundle: Bundle, row: EffectRow) -> bool:
    """Whether an act is of this agent: a subject of another one is somebody else."""
    if row.agent_digest == bundle.digest:
        return True
    if room.reviewing is None:
        return False
    try:
        return (await room.reviewing.bundle_of(row)).agent.id == bundle.agent.id
    except TrunklineError as error:
        log.warning("the agent of a waiting act is not known", effect=row.effect_id, error=type(error).__name__)
        return False
