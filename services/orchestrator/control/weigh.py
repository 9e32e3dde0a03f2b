"""What is proposed, weighed: completed with what is ours to say, checked against evidence, judged by the rules."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from services.common.personal import Personal
from services.orchestrator.bundles.bundle import Bundle
from services.orchestrator.bundles.model import Slot
from services.orchestrator.control.facts import Caller, constant, gather
from services.orchestrator.control.ledger import Ledger
from services.orchestrator.control.model import Allowed, Denied, Evidence, Proposal, Rejected, Scalar, Value
from services.orchestrator.control.policy import Policy
from services.orchestrator.control.reader import Reader
from services.orchestrator.control.reread import Reread
from services.orchestrator.control.validate import check as check_evidence


@dataclass(frozen=True, slots=True)
class Weighed:
    """A proposal as the runtime completed it, and the facts it was judged by."""

    proposal: Proposal
    facts: Mapping[str, Any]
    verdict: Allowed | Denied | Rejected


class Weigher:
    """One per call. `fetch` reads the records of a tool into the ledger, as far as the rules let this caller."""

    def __init__(
        self,
        bundle: Bundle,
        policy: Policy,
        caller: Caller,
        ledger: Ledger,
        reader: Reader,
        reread: Reread,
        fetch: Callable[[str], Awaitable[object]],
    ) -> None:
        self._bundle, self._policy, self._caller = bundle, policy, caller
        self._ledger, self._reader, self._reread, self._fetch = ledger, reader, reread, fetch

    async def weigh(self, proposal: Proposal, *, fresh: bool) -> Weighed:
        """Evidence first, then policy on facts fetched here; `fresh`: those of the back end, not of this call."""
        spec = self._bundle.tools.get(proposal.tool)
        if spec is None or not spec.writes:
            return Weighed(proposal, {}, Rejected("tool", "is no act of this agent"))
        proposal = self._complete(proposal)
        await self._fetch_records(proposal)
        verdict, facts = await self.decide(proposal.tool, proposal.plain(), proposal.confidence, fresh=fresh)
        if not self._caller.subject and isinstance(verdict, Denied) and verdict.how == "step_up":
            # Who it is comes first; what they said is weighed afterwards.
            return Weighed(proposal, facts, verdict)
        operation = self._bundle.contracts[spec.contract]
        slots = self._slots(proposal.tool)

        def says(name: str, value: Value) -> bool:
            if name not in slots:
                return True
            field = self._bundle.tools[proposal.tool].args[name].split(".")[2:]
            heard, keyed = value.evidence.text.reveal(), value.evidence.origin == "keys"
            return self._reread.says(slots[name], "".join(field), value.value.reveal(), heard, keyed=keyed)

        rejected = check_evidence(proposal, operation, self._allowed(proposal), slots, says)
        return Weighed(proposal, facts, rejected or verdict)

    def _complete(self, proposal: Proposal) -> Proposal:
        """With the arguments that are the runtime's own; whatever came in their place is overwritten or dropped."""
        args = {
            name: value for name, value in proposal.args.items() if value.evidence.origin not in ("caller", "constant")
        }
        for name, value in self.own(proposal.tool, {}).items():
            args[name] = Value(Personal(value, "caller"), Evidence("caller"))
        return Proposal(proposal.tool, args, proposal.turn)

    def own(self, tool: str, given: Mapping[str, Scalar]) -> dict[str, Scalar]:
        """`given` with caller.* and constants put in."""
        found = dict(given)
        for name, origin in self._bundle.tools[tool].args.items():
            if origin.startswith("="):
                found[name] = constant(origin)
            elif origin.startswith("caller."):
                found.pop(name, None)
                if value := self._caller.value(origin.removeprefix("caller.")):
                    found[name] = value
        return found

    async def _fetch_records(self, proposal: Proposal) -> None:
        """Records that arguments come from and this worker has not read: of a call that another worker had before."""
        slots = self._slots(proposal.tool).values()
        tools = {slot.resolve.tool for slot in slots if slot.resolve is not None}
        for tool in tools:
            if self._ledger.records(tool) is None:
                await self._fetch(tool)

    async def decide(
        self, tool: str, args: Mapping[str, Scalar], confidence: float, *, fresh: bool
    ) -> tuple[Allowed | Denied, dict[str, Any]]:
        """What the rules say of a tool with these arguments, and the facts they said it by."""
        facts = await gather(
            self._bundle, self._policy.reads(tool), tool, args, confidence, self._caller, self._ledger, self._reader,
            fresh=fresh,
        )  # fmt: skip
        return self._policy.decide(tool, facts), facts

    def _slots(self, tool: str) -> dict[str, Slot]:
        """Argument → the slot it comes from."""
        found: dict[str, Slot] = {}
        for name, origin in self._bundle.tools[tool].args.items():
            slot = self._bundle.slots.get(origin.removeprefix("slot.").split(".")[0])
            if origin.startswith("slot.") and slot is not None:
                found[name] = slot
        return found

    def _allowed(self, proposal: Proposal) -> dict[str, frozenset[Scalar]]:
        """Argument → the values that records of this call have for it."""
        found: dict[str, frozenset[Scalar]] = {}
        for name, slot in self._slots(proposal.tool).items():
            field = self._bundle.tools[proposal.tool].args[name].rpartition(".")[2]
            if slot.resolve is not None:
                found[name] = self._ledger.allows(slot.resolve.tool, field)
        return found
