"""From files to a bundle, or to the list of everything that is wrong with them. No I/O but reading a directory.

files ──parse──► sources ──types──► parts ──checks──► Bundle
          │           │                │
          └───────────┴────────────────┴──► problems, each with file, line, column, code and remedy
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError
from pydantic_core import ErrorDetails
from rapidfuzz import process as fuzzy

from services.common.errors import InvalidInputError
from services.orchestrator.bundles.bundle import Bundle
from services.orchestrator.bundles.contracts import Operation, operations
from services.orchestrator.bundles.evals import EvalFile
from services.orchestrator.bundles.model import (
    AgentFile,
    GoalsFile,
    Prompt,
    PromptsFile,
    RulesFile,
    SlotsFile,
    ToolsFile,
)
from services.orchestrator.bundles.problem import Place, Problem
from services.orchestrator.bundles.source import MAX_FILE_BYTES, Source, parse

MAX_FILES = 200
_REQUIRED = ("agent.yaml", "tools.yaml", "rules.yaml", "slots.yaml", "goals.yaml")
TYPES: dict[str, TypeAdapter[Any]] = {
    "agent.yaml": TypeAdapter(AgentFile),
    "tools.yaml": TypeAdapter(ToolsFile),
    "rules.yaml": TypeAdapter(RulesFile),
    "slots.yaml": TypeAdapter(SlotsFile),
    "goals.yaml": TypeAdapter(GoalsFile),
}
PROMPTS: TypeAdapter[PromptsFile] = TypeAdapter(PromptsFile)
EVALS: TypeAdapter[EvalFile] = TypeAdapter(EvalFile)
T = TypeVar("T")


class Loaded:
    """What could be read: `bundle` when types were right, `problems` so far, and where everything stands."""

    def __init__(self, sources: Mapping[str, Source], problems: list[Problem], bundle: Bundle | None) -> None:
        self.sources = sources
        self.problems = problems
        self.bundle = bundle

    def place(self, file: str, *path: str | int) -> Place:
        """Position of a part of a file."""
        source = self.sources.get(file)
        return source.place(path) if source is not None else Place(file)


def read_directory(directory: Path) -> dict[str, str]:
    """The bundle's files by relative name. Raises InvalidInputError for what is no bundle directory."""
    if not (directory / "agent.yaml").is_file():
        raise InvalidInputError(
            "bundle", expected="a directory with an agent.yaml", got=str(directory), remedy="See docs/bundles.md."
        )
    found: dict[str, str] = {}
    for path in sorted(directory.rglob("*.yaml")):
        name = path.relative_to(directory).as_posix()
        if name.split("/")[0] == "backend" or not path.is_file():
            continue
        if len(found) >= MAX_FILES or path.stat().st_size > MAX_FILE_BYTES:
            raise InvalidInputError(
                "bundle", expected=f"at most {MAX_FILES} files of {MAX_FILE_BYTES} bytes", got=f"more ({name})"
            )
        try:
            found[name] = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            raise InvalidInputError(name, expected="UTF-8 text", got="other bytes") from None
    return found


def load(files: Mapping[str, str]) -> Loaded:
    """Parse and type-check all files. The bundle is None while a part is missing or malformed."""
    problems: list[Problem] = []
    sources: dict[str, Source] = {}
    for name, text in sorted(files.items()):
        parsed = parse(name, text)
        if isinstance(parsed, Problem):
            problems.append(parsed)
        else:
            sources[name] = parsed
    for name in _REQUIRED:
        if name not in files:
            problems.append(Problem(Place(name), "B003", f"{name} is missing.", "Create it; it may be empty ({})."))
    parts: dict[str, Any] = {
        name: _typed(sources[name], TYPES[name], problems) for name in _REQUIRED if name in sources
    }
    prompts = _prompts(sources, problems)
    contracts = _contracts(sources, problems)
    evals = {name: _typed(source, EVALS, problems) for name, source in sources.items() if name.startswith("evals/")}
    problems += [
        Problem(Place(name), "B004", "No part of a bundle has this name.", "See docs/bundles.md for the layout.")
        for name in sources
        if name not in TYPES and name.split("/")[0] not in ("prompts", "openapi", "evals")
    ]
    if any(parts.get(name) is None for name in _REQUIRED):
        return Loaded(sources, problems, None)
    bundle = Bundle(
        agent=parts["agent.yaml"],
        tools=parts["tools.yaml"],
        rules=parts["rules.yaml"],
        slots=parts["slots.yaml"],
        goals=parts["goals.yaml"],
        prompts=prompts,
        contracts=contracts,
        files=dict(files),
        evals={name: part for name, part in evals.items() if part is not None},
    )
    return Loaded(sources, problems, bundle)


def _typed(source: Source, adapter: TypeAdapter[T], problems: list[Problem]) -> T | None:
    data = source.data
    if data is None:
        data = [] if source.file == "rules.yaml" else {}
    try:
        return adapter.validate_python(data)
    except ValidationError as error:
        problems += _explain(source, error)
        return None


def _explain(source: Source, error: ValidationError) -> Iterator[Problem]:
    for item in error.errors(include_url=False, include_context=True):
        yield _problem(source, item, error)


def _problem(source: Source, item: ErrorDetails, error: ValidationError) -> Problem:
    path = [part for part in item["loc"] if part not in ("[key]", "str", "Prompt")]
    place, name = source.place(path), ".".join(str(part) for part in path)
    if item["type"] == "extra_forbidden":
        nearest = fuzzy.extractOne(str(path[-1]), _known_keys(source.file), score_cutoff=50)
        hint = f"Did you mean {nearest[0]!r}?" if nearest else "Remove it."
        return Problem(
            place, "B010", f"Unknown key {path[-1]!r} in {'.'.join(map(str, path[:-1])) or 'the file'}.", hint
        )
    if item["type"] == "missing":
        return Problem(place, "B011", f"{'.'.join(map(str, path[:-1])) or 'The file'} lacks {path[-1]!r}.", "Add it.")
    got = type(item["input"]).__name__ if isinstance(item["input"], Mapping | list) else repr(item["input"])[:60]
    message = item["msg"][:1].lower() + item["msg"][1:]
    return Problem(place, "B012", f"{name}: {message}, got {got}.", "See docs/bundles.md.")


def _known_keys(file: str) -> list[str]:
    """Every key of a file's types, for the nearest."""
    adapter = EVALS if file.startswith("evals/") else TYPES.get(file, PROMPTS)
    keys: set[str] = set()

    def collect(node: Any) -> None:
        if isinstance(node, Mapping):
            keys.update(node.get("properties", {}))
            for value in node.values():
                collect(value)
        elif isinstance(node, list):
            for value in node:
                collect(value)

    collect(adapter.json_schema())
    return sorted(keys)


def _prompts(sources: Mapping[str, Source], problems: list[Problem]) -> dict[str, dict[str, Prompt]]:
    """prompts/<locale>.yaml → locale → id → prompt."""
    found: dict[str, dict[str, Prompt]] = {}
    for name, source in sources.items():
        if not name.startswith("prompts/"):
            continue
        typed = _typed(source, PROMPTS, problems)
        locale = name.removeprefix("prompts/").removesuffix(".yaml")
        found[locale] = {
            key: value if isinstance(value, Prompt) else Prompt(text=value) for key, value in (typed or {}).items()
        }
    return found


def _contracts(sources: Mapping[str, Source], problems: list[Problem]) -> dict[str, Operation]:
    """openapi/*.yaml → `file#operationId` → operation."""
    found: dict[str, Operation] = {}
    for name, source in sources.items():
        if not name.startswith("openapi/"):
            continue
        for operation in operations(source.data):
            if isinstance(operation, str):
                problems.append(
                    Problem(Place(name), "B060", f"The contract cannot be used: {operation}.", "Correct the contract.")
                )
            else:
                found[f"{name}#{operation.id}"] = operation
    return found
