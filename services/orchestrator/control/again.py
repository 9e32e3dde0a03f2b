"""The rules weighed again for an act whose caller is gone, on facts fetched now and what was known of them then."""

from collections.abc import Mapping

from services.orchestrator.bundles.bundle import Bundle
from services.orchestrator.control.backend import BackEndError
from services.orchestrator.control.facts import Caller, gather
from services.orchestrator.control.ledger import Ledger, Record
from services.orchestrator.control.model import Allowed, Denied, Scalar
from services.orchestrator.control.reader import Reader
from services.orchestrator.control.room import ControlRoom
from services.orchestrator.store.effects import EffectRow


class _Watched:
    """Reads, noting whether a back end was away: a rule that fails for want of its facts has not been decided."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self.away = False

    async def records(self, tool: str, args: Mapping[str, Scalar], *, fresh: bool = False) -> tuple[Record, ...]:
        try:
            return await self._reader.records(tool, args, fresh=fresh)
        except BackEndError as error:
            self.away = self.away or error.kind != "refused"
            raise


async def weigh_again(
    room: ControlRoom, bundle: Bundle, row: EffectRow, waived: frozenset[str] = frozenset()
) -> tuple[Allowed | Denied, bool]:
    """The verdict, and whether facts could not be had (then a denial may be for want of them).

    `waived`: review rules that a person approved. Raises TrunklineError.
    """
    context = row.context
    caller = Caller(
        str(context.get("caller.ani", "")),
        str(context.get("caller.locale", "")),
        str(context.get("caller.transport", "")),
        row.subject,
        int(context.get("caller.auth_level", 0)),
    )
    reads = _Watched(Reader(bundle, room.backend(bundle.agent.id), room.breakers, room.clock))
    policy = room.policy(bundle)
    confidence = float(context.get("slot.min_confidence", 0.0))
    facts = await gather(
        bundle, policy.reads(row.tool), row.tool, row.request, confidence, caller, Ledger(), reads, fresh=True
    )
    return policy.decide(row.tool, facts, waived), reads.away
