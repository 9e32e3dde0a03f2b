"""Who calls: by the number (level 1, weak), by a secret that is keyed (level 2). The secret is used once, kept nowhere.

A calling number can be forged by anybody with a trunk: level 1 is for what harms nobody. Money wants level 2. The
number says whom the secret must belong to, so that a right guess for somebody else is worth nothing.
"""

from dataclasses import dataclass
from typing import Literal

from services.common.log import get_logger
from services.common.personal import Personal
from services.orchestrator.bundles.bundle import Bundle
from services.orchestrator.control.backend import BackEndError
from services.orchestrator.control.facts import Caller, own_arguments
from services.orchestrator.control.reader import Reader

log = get_logger(__name__)

BY_NUMBER, BY_KEYS = 1, 2
How = Literal["identified", "unknown", "wrong", "locked", "malformed", "down", "no way"]


@dataclass(slots=True)
class Identity:
    """Of one call."""

    bundle: Bundle
    caller: Caller
    reader: Reader
    _wrong: int = 0
    _locked: bool = False

    async def by_number(self) -> How:
        """Whose number this is; nobody's leaves the level at 0."""
        way = self.bundle.agent.identify.number
        own = own_arguments(self.bundle, way.tool, self.caller) if way is not None else None
        if way is None or own is None:
            return "no way"
        try:
            records = await self.reader.records(way.tool, own)
        except BackEndError as error:
            return "unknown" if error.kind == "refused" else "down"
        subject = records[0].get(way.subject) if len(records) == 1 else None
        if not isinstance(subject, str) or not subject:
            return "unknown"
        self.caller.subject, self.caller.level = subject, max(self.caller.level, BY_NUMBER)
        return "identified"

    async def by_keys(self, secret: Personal[str]) -> How:
        """Whether the keys are the caller's secret. Wrong ones are counted; after the last, none is taken."""
        way = self.bundle.agent.identify.keys
        if way is None or not self.caller.subject:
            return "no way"
        if self._locked:
            return "locked"
        keys = secret.reveal()
        if len(keys) != way.digits or not (keys.isascii() and keys.isdigit()):
            return "malformed"
        tool = self.bundle.tools[way.tool]
        operation = self.bundle.contracts[tool.contract]
        args = {name: self.caller.value(origin.removeprefix("caller.")) for name, origin in tool.args.items()}
        try:
            # Not through the reader: it remembers arguments.
            answer = await self.reader.backend.one(operation, {**args, way.argument: keys}, tool.timeout_ms / 1000)
        except BackEndError as error:
            log.warning("identification not answered", tool=way.tool, kind=error.kind)
            return "unknown" if error.kind == "refused" else "down"
        if answer.get(way.verified) is True:
            self.caller.level, self._wrong = max(self.caller.level, BY_KEYS), 0
            return "identified"
        self._wrong += 1
        self._locked = self._wrong >= way.attempts or answer.get("locked") is True
        return "locked" if self._locked else "wrong"
