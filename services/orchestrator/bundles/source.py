"""YAML 1.2 with positions: every key and item of a file knows its line, so that every problem can name it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq
from ruamel.yaml.constructor import DuplicateKeyError
from ruamel.yaml.error import MarkedYAMLError, YAMLError

from services.orchestrator.bundles.problem import Place, Problem

MAX_FILE_BYTES = 200_000
_DEEPEST = 24
Path = Sequence[str | int]


@dataclass(frozen=True, slots=True)
class Source:
    """One parsed file: plain data, and where each part of it stands."""

    file: str
    data: Any
    _marked: Any

    def place(self, path: Path) -> Place:
        """Where `path` (keys and indexes from the root) stands; the nearest parent when it is not there."""
        node, line, column = self._marked, 0, 0
        for part in path:
            found = _position(node, part)
            if found is None:
                break
            line, column = found
            node = node[part]
        return Place(self.file, line + 1, column + 1)


@lru_cache(maxsize=256)
def parse(file: str, text: str) -> Source | Problem:
    """Data of a YAML 1.2 file (`on:` is a string, no arbitrary tags), or what is wrong with it.

    Reading with positions is slow (some 10 ms a kB), and an editor asks again about files of which one has changed.
    """
    if len(text.encode()) > MAX_FILE_BYTES:
        return Problem(Place(file), "B001", f"The file has more than {MAX_FILE_BYTES} bytes.", "Split it.")
    reader = YAML(typ="rt")
    try:
        marked = reader.load(text)
        return Source(file, _plain(marked, 0), marked)
    except DuplicateKeyError as error:
        return _at(file, error, "B002", "A key stands twice.", "Keep one of them.")
    except MarkedYAMLError as error:
        return _at(file, error, "B001", f"This is not YAML 1.2: {error.problem or 'syntax error'}.", "")
    except (YAMLError, ValueError, RecursionError) as error:
        return Problem(Place(file), "B001", f"This is not YAML 1.2: {type(error).__name__}.")


def _at(file: str, error: MarkedYAMLError, code: str, message: str, remedy: str) -> Problem:
    mark = error.problem_mark or error.context_mark
    place = Place(file, mark.line + 1, mark.column + 1) if mark is not None else Place(file)
    return Problem(place, code, message, remedy)


def _position(node: Any, part: str | int) -> tuple[int, int] | None:
    if isinstance(node, CommentedMap) and part in node:
        line, column = node.lc.key(part)
        return int(line), int(column)
    if isinstance(node, CommentedSeq) and isinstance(part, int) and 0 <= part < len(node):
        line, column = node.lc.item(part)
        return int(line), int(column)
    return None


def _plain(node: Any, depth: int) -> Any:
    """Round-trip types as plain ones; anchors are followed, so depth is bounded (billion laughs)."""
    if depth > _DEEPEST:
        raise ValueError("too deep")
    if isinstance(node, Mapping):
        return {str(key): _plain(value, depth + 1) for key, value in node.items()}
    if isinstance(node, list):
        return [_plain(value, depth + 1) for value in node]
    if isinstance(node, bool) or node is None:
        return node
    for kind in (int, float, str):
        if isinstance(node, kind):
            return kind(node)
    raise ValueError(f"{type(node).__name__} is not allowed")
