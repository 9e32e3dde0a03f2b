"""A bundle in memory: its parts, typed, and the text of its files. Immutable; the same text has the same digest."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

from services.orchestrator.bundles.contracts import Operation
from services.orchestrator.bundles.evals import EvalFile, Scenario, World
from services.orchestrator.bundles.model import AgentFile, FactType, Goal, Prompt, Rule, Slot, Tool
from services.orchestrator.bundles.standard import standard

# Facts every call has, beside those a bundle declares.
CALL_FACTS: dict[str, FactType] = {
    "caller.auth_level": "int",
    "caller.transport": "string",
    "slot.min_confidence": "double",
}


@dataclass(frozen=True)
class Bundle:
    """What a call works with. `prompts` by locale, `contracts` by `file#operationId`."""

    agent: AgentFile
    tools: Mapping[str, Tool]
    rules: tuple[Rule, ...]
    slots: Mapping[str, Slot]
    goals: Mapping[str, Goal]
    prompts: Mapping[str, Mapping[str, Prompt]]
    contracts: Mapping[str, Operation]
    files: Mapping[str, str]
    evals: Mapping[str, EvalFile] = field(default_factory=dict)

    @cached_property
    def digest(self) -> str:
        """sha256 over names and contents of all files: the address of this bundle."""
        return digest_of(self.files)

    def facts(self) -> dict[str, FactType]:
        """Every fact a rule may read: the call's, the declared, and what tools answer."""
        return {**CALL_FACTS, **self.agent.fact_types(), **self.answered_facts()}

    def answered_facts(self) -> dict[str, FactType]:
        """`tool.committed` and `tool.ok`, and the fields that each tool says."""
        found: dict[str, FactType] = {}
        for name, tool in self.tools.items():
            found[f"{name}.committed" if tool.writes else f"{name}.ok"] = "bool"
            operation = self.contracts.get(tool.contract)
            for said in tool.says:
                kind = operation.answer[said].type if operation and said in operation.answer else "string"
                found[f"{name}.{said}"] = _FACT_TYPES.get(kind, "string")
        return found

    def scenarios(self) -> tuple[Scenario, ...]:
        """Those of the files that agent.yaml names, in that order."""
        return tuple(one for name in self.agent.evals for one in self.evals[name].scenarios)

    def world(self) -> World | None:
        """Where scenarios happen."""
        return next((part.world for part in self.evals.values() if part.world is not None), None)

    def prompt(self, prompt_id: str, locale: str) -> Prompt:
        """The sentence in `locale`, its own or the standard one (standard.py).

        Raises KeyError for a name that validation would have refused.
        """
        return self.prompts[locale].get(prompt_id) or standard(prompt_id, locale)


_FACT_TYPES: dict[str, FactType] = {"integer": "int", "number": "double", "boolean": "bool", "string": "string"}


def digest_of(files: Mapping[str, str]) -> str:
    """Content digest: sha256 of the canonical list of (name, sha256 of content)."""
    listing = {name: hashlib.sha256(text.encode()).hexdigest() for name, text in files.items()}
    canonical = json.dumps(listing, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(canonical.encode()).hexdigest()
