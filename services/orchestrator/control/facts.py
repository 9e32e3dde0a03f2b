"""The facts a verdict is reached on, fetched by the server itself: never what the caller or a model says they are.

For `list_transactions.refundable` that is the one record the arguments name, read again; for `customer.vulnerable` the
source the bundle declares. What cannot be fetched is left out, and a rule that reads it does not hold.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Protocol

from services.orchestrator.bundles.bundle import Bundle
from services.orchestrator.bundles.model import FactType
from services.orchestrator.control.backend import BackEndError
from services.orchestrator.control.ledger import Ledger, Record
from services.orchestrator.control.model import Scalar


@dataclass(slots=True)
class Caller:
    """Who calls, as far as is known: changed by identification alone. `level` 0: nobody we know."""

    ani: str
    locale: str
    transport: str
    subject: str = ""
    level: int = 0

    def value(self, name: str) -> str:
        """caller.NAME as an argument; empty when unknown."""
        return {"subject": self.subject, "ani": self.ani, "locale": self.locale}.get(name, "")


class Reads(Protocol):
    """Records of a read tool (control.reader.Reader)."""

    async def records(self, tool: str, args: Mapping[str, Scalar], *, fresh: bool = False) -> tuple[Record, ...]:
        """Raises BackEndError."""
        ...


def own_arguments(bundle: Bundle, tool: str, caller: Caller) -> dict[str, Scalar] | None:
    """The arguments the runtime gives (caller.*, constants); None when the tool needs others, or one is unknown."""
    found: dict[str, Scalar] = {}
    for argument, origin in bundle.tools[tool].args.items():
        value = constant(origin) if origin.startswith("=") else caller.value(origin.removeprefix("caller."))
        if not origin.startswith(("caller.", "=")) or not value:
            return None
        found[argument] = value
    return found


def constant(origin: str) -> str:
    """The text of a constant argument (`="text"`)."""
    return origin[1:].strip().strip("\"'")


async def gather(
    bundle: Bundle,
    wanted: frozenset[str],
    tool: str,
    args: Mapping[str, Scalar],
    confidence: float,
    caller: Caller,
    ledger: Ledger,
    reads: Reads,
    *,
    fresh: bool,
) -> dict[str, Any]:
    """Every wanted fact that can be had now. `fresh`: nothing from a cache."""
    sources = bundle.agent.fact_sources()
    facts: dict[str, Any] = {
        "caller.auth_level": caller.level,
        "caller.transport": caller.transport,
        "slot.min_confidence": confidence,
        **{f"args.{name}": value for name, value in args.items()},
    }
    needed: dict[str, list[str]] = {}
    for name in sorted(wanted):
        root, _, field = name.partition(".")
        if name in sources:
            needed.setdefault(sources[name].tool, [])
        elif field in ("committed", "ok") and root in bundle.tools:
            facts[name] = ledger.has(name)
        elif root in bundle.tools and bundle.tools[root].effect == "read":
            needed.setdefault(root, []).append(field)
        elif root in bundle.tools and (value := ledger.one(root, field)) is not None:
            facts[name] = value
    read = list(needed)
    answers = await asyncio.gather(*(_read(bundle, name, caller, reads, fresh) for name in read))
    known = dict(zip(read, answers, strict=True))
    for name, source in sources.items():
        records = known.get(source.tool)
        if name in wanted and records is not None and len(records) == 1 and source.field in records[0]:
            _put(facts, name, source.type, records[0][source.field])
    for name, fields in needed.items():
        record = _named(bundle, tool, args, name, known[name])
        for field in fields if record is not None else ():
            if record is not None and field in record:
                facts[f"{name}.{field}"] = record[field]
    return facts


async def _read(bundle: Bundle, tool: str, caller: Caller, reads: Reads, fresh: bool) -> tuple[Record, ...] | None:
    own = own_arguments(bundle, tool, caller)
    if own is None:
        return None
    try:
        return await reads.records(tool, own, fresh=fresh)
    except BackEndError:
        return None


def _named(
    bundle: Bundle, tool: str, args: Mapping[str, Scalar], read: str, records: tuple[Record, ...] | None
) -> Record | None:
    """The record of `read` that the arguments of `tool` point to; the only one where none is pointed to."""
    if records is None:
        return None
    keys: dict[str, Scalar] = {}
    for argument, origin in bundle.tools[tool].args.items():
        slot_name, _, field = origin.removeprefix("slot.").partition(".")
        slot = bundle.slots.get(slot_name) if origin.startswith("slot.") else None
        if slot is not None and slot.resolve is not None and slot.resolve.tool == read and argument in args:
            keys[field] = args[argument]
    if not keys:
        return records[0] if len(records) == 1 else None
    found = [record for record in records if all(record.get(field) == value for field, value in keys.items())]
    return found[0] if len(found) == 1 else None


def _put(facts: dict[str, Any], name: str, kind: FactType, value: Scalar) -> None:
    """A value as CEL wants it; one of another kind is left out, so that its rule does not hold."""
    if kind == "timestamp":
        try:
            at = datetime.fromisoformat(str(value))
        except ValueError:
            return
        facts[name] = at if at.tzinfo else at.replace(tzinfo=UTC)
    elif kind == "double" and isinstance(value, int) and not isinstance(value, bool):
        facts[name] = float(value)
    else:
        facts[name] = value
