"""Reads of one call: by contract, with a deadline, the worker's breakers and a short memory; several at once."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from services.common.clock import Clock
from services.orchestrator.bundles.bundle import Bundle
from services.orchestrator.bundles.contracts import Operation
from services.orchestrator.control.backend import Answer, BackEndError
from services.orchestrator.control.breaker import Breakers
from services.orchestrator.control.ledger import Record
from services.orchestrator.control.model import Scalar


class ReadOperations(Protocol):
    """What reading asks of a back end (control.backend.BackEnd)."""

    async def one(
        self, operation: Operation, args: Mapping[str, Scalar], timeout_s: float, key: str = ""
    ) -> Answer: ...

    async def many(self, operation: Operation, args: Mapping[str, Scalar], timeout_s: float) -> list[Answer]: ...


@dataclass(slots=True)
class Reader:
    """Remembers an answer for the tool's `cache_s`, within this call only: another call's data is never in reach."""

    bundle: Bundle
    backend: ReadOperations
    breakers: Breakers
    clock: Clock
    _kept: dict[tuple[str, tuple[tuple[str, Scalar], ...]], tuple[int, tuple[Record, ...]]] = field(
        default_factory=dict
    )

    async def records(self, tool: str, args: Mapping[str, Scalar], *, fresh: bool = False) -> tuple[Record, ...]:
        """One record for a single answer, all of a list. Raises BackEndError; `unreached` while the breaker is open."""
        spec = self.bundle.tools[tool]
        operation = self.bundle.contracts[spec.contract]
        key = (tool, tuple(sorted(args.items())))
        now_ns = self.clock.now_ns()
        kept = self._kept.get(key)
        if kept is not None and not fresh and now_ns - kept[0] <= spec.cache_s * 1_000_000_000:
            return kept[1]
        breaker = self.breakers.of(tool, spec)
        if not breaker.admits(now_ns):
            raise BackEndError("unreached", "its breaker is open")
        timeout_s = spec.timeout_ms / 1000
        try:
            if operation.many:
                found: tuple[Record, ...] = tuple(await self.backend.many(operation, args, timeout_s))
            else:
                found = (await self.backend.one(operation, args, timeout_s),)
        except BackEndError as error:
            if error.kind == "refused":
                breaker.succeeded()
            else:
                breaker.failed(self.clock.now_ns())
            raise
        except BaseException:
            breaker.abandoned()
            raise
        breaker.succeeded()
        self._kept[key] = (now_ns, found)
        return found

    def forget(self) -> None:
        """Something was written: what was read before may be stale."""
        self._kept.clear()
