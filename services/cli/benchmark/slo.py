"""Targets of a benchmark (TOML), and whether a result meets them: `trunkline bench gate`. Pure but for reading a file.

title = "One GPU, 16 calls"
[where]                     # which cells are judged; what is left out is any
calls = [16]
transport = ["sip"]
script = ["plain"]
scripted = false            # true: results of scripted models only
[[stage]]
name = "voice_to_voice"     # any stage of the result, or "overhead"
p50_ms = 500                # p50_ms, p95_ms, p99_ms: at most
p95_ms = 800
least_n = 100               # fewer samples prove nothing: the row is unproven, which fails too
[counts]                    # at most, in each judged cell
dropped_frames = 0
failed_calls = 0
refused_calls = 0
cut_off_percent = 5         # of all turns
unanswered_percent = 1
[situation.cough]           # at least, of those that happened while the agent spoke
resumed_percent = 95
least_n = 20
"""

import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from rapidfuzz import process as fuzzy

from services.cli.benchmark.documents import Document, cells_of, key_of, name_of
from services.common.errors import InvalidInputError
from services.common.settings import Settings

_FOLDER = Path(__file__).resolve().parents[3] / "benchmarks" / "slo"
_PERCENTS = ("p50_ms", "p95_ms", "p99_ms")
_GOOD_ASIDES = ("went_on", "resumed")

Limit = Annotated[float, Field(ge=0)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Where(_Part):
    """Which cells are judged; None: any."""

    calls: tuple[int, ...] | None = None
    transport: tuple[str, ...] | None = None
    script: tuple[str, ...] | None = None
    scripted: bool | None = None


class StageLimit(_Part):
    """Limits of one stage, ms."""

    name: str
    p50_ms: Limit | None = None
    p95_ms: Limit | None = None
    p99_ms: Limit | None = None
    least_n: int = 1


class Counts(_Part):
    """Limits of what went wrong, per cell."""

    dropped_frames: int | None = None
    failed_calls: int | None = None
    refused_calls: int | None = None
    cut_off_percent: Limit | None = None
    unanswered_percent: Limit | None = None


class SituationLimit(_Part):
    """Least share of coughs or backchannels after which the agent went on."""

    resumed_percent: Limit
    least_n: int = 1


class Slo(_Part):
    """The file."""

    title: str
    where: Where = Where()
    stage: tuple[StageLimit, ...] = ()
    counts: Counts = Counts()
    situation: dict[str, SituationLimit] = {}


def load_slo(path: Path) -> Slo:
    """Raises InvalidInputError naming the key that is wrong."""
    try:
        return Slo.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise InvalidInputError(
            str(path), expected="a readable TOML file", got=str(error), remedy="See trunkline bench gate --help."
        ) from error
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        key = ".".join(str(part) for part in first["loc"])
        nearest = fuzzy.extractOne(str(first["loc"][-1]), _keys()) if first["type"] == "extra_forbidden" else None
        raise InvalidInputError(
            f"{path}: {key}",
            expected="a key of an SLO file" if nearest else first["msg"],
            got=repr(first["loc"][-1]) if nearest else repr(first["input"]),
            remedy=f"Did you mean {nearest[0]}?" if nearest else "See trunkline bench gate --help.",
        ) from error


def default_slo(settings: Settings) -> Slo | None:
    """The targets that are shipped for these settings; None where no checkout is around."""
    scripted = all(getattr(settings, name).engine == "scripted" for name in ("vad", "asr", "llm", "tts"))
    name = "overhead" if scripted else "gpu-16-calls" if settings.profile == "nvidia" else "cpu"
    path = _FOLDER / f"{name}.toml"
    return load_slo(path) if path.exists() else None


def judge(slo: Slo, document: Mapping[str, Any]) -> Document:
    """`{"title", "met": bool or null, "rows": [{"cell", "what", "expected", "got", "n", "met", "unproven", "note"}]}`.

    `met` is null when no cell is one that the file judges. `unproven`: the limit was kept, in too few turns to be
    believed: not met, and not missed either.
    """
    cells = [cell for cell in cells_of(document) if _judged(slo.where, cell, bool(document.get("scripted")))]
    rows = [row for cell in cells for row in _rows(slo, cell)]
    return {"title": slo.title, "met": all(row["met"] for row in rows) if rows else None, "rows": rows}


def _judged(where: Where, cell: Mapping[str, Any], scripted: bool) -> bool:
    transport, script, calls = key_of(cell)
    wanted = ((where.calls, calls), (where.transport, transport), (where.script, script))
    return all(allowed is None or value in allowed for allowed, value in wanted) and where.scripted in (None, scripted)


def _rows(slo: Slo, cell: Mapping[str, Any]) -> Iterator[Document]:
    for limit in slo.stage:
        yield from _stage_rows(limit, cell)
    yield from _count_rows(slo.counts, cell)
    for kind, least in slo.situation.items():
        yield _situation_row(kind, least, cell)


def _stage_rows(limit: StageLimit, cell: Mapping[str, Any]) -> Iterator[Document]:
    figures = cell["overhead"] if limit.name == "overhead" else cell["stages"].get(limit.name)
    for percent in _PERCENTS:
        if (most := getattr(limit, percent)) is None:
            continue
        got = figures.get(percent) if figures else None
        n = figures["n"] if figures else 0
        note = f"n {n}, at least {limit.least_n} needed" if n < limit.least_n else ""
        name = f"{limit.name} {percent.removesuffix('_ms').upper()}"
        interval = _interval(figures, percent)
        shown = "none" if got is None else f"{got:.0f} ms{interval}"
        yield _row(cell, name, f"at most {most:.0f} ms", shown, n, got is not None and got <= most, note)


def _interval(figures: Mapping[str, Any] | None, percent: str) -> str:
    low_high = figures.get(percent.replace("_ms", "_ci_ms")) if figures else None
    return f" [{low_high[0]:.0f}–{low_high[1]:.0f}]" if low_high else ""


def _count_rows(counts: Counts, cell: Mapping[str, Any]) -> Iterator[Document]:
    outcomes, turns = cell["outcomes"], sum(cell["outcomes"].values())
    plain = (
        ("dropped frames", counts.dropped_frames, cell["dropped_frames"]),
        ("calls that failed", counts.failed_calls, cell["calls"]["failed"]),
        ("calls that were refused", counts.refused_calls, cell["calls"]["refused"]),
    )
    for what, most, got in plain:
        if most is not None:
            yield _row(cell, what, f"at most {most}", str(got), turns, got <= most)
    for what, share, outcome in (
        ("turns cut off", counts.cut_off_percent, "cut_off"),
        ("turns unanswered", counts.unanswered_percent, "unanswered"),
    ):
        if share is not None:
            percent = 100 * outcomes.get(outcome, 0) / turns if turns else 100.0
            yield _row(cell, what, f"at most {share:g} %", f"{percent:.1f} %", turns, percent <= share)


def _situation_row(kind: str, least: SituationLimit, cell: Mapping[str, Any]) -> Document:
    outcomes = cell.get("situations", {}).get(kind, {}).get("outcomes", {})
    n = sum(count for name, count in outcomes.items() if name != "agent_was_silent")
    percent = 100 * sum(outcomes.get(name, 0) for name in _GOOD_ASIDES) / n if n else 0.0
    note = f"n {n}, at least {least.least_n} needed" if n < least.least_n else ""
    what, kept = f"agent went on after a {kind}", percent >= least.resumed_percent
    return _row(cell, what, f"at least {least.resumed_percent:g} %", f"{percent:.1f} %", n, kept and n > 0, note)


def _row(
    cell: Mapping[str, Any], what: str, expected: str, got: str, n: int, kept: bool, note: str = ""
) -> dict[str, Any]:
    row = {"cell": name_of(cell), "what": what, "expected": expected, "got": got, "n": n}
    return {**row, "met": kept and not note, "unproven": kept and bool(note), "note": note}


def verdict_of(row: Mapping[str, Any]) -> Literal["met", "unproven", "missed"]:
    """What a row of `judge` says. Results of before `unproven` have only met and missed."""
    return "met" if row["met"] else "unproven" if row.get("unproven") else "missed"


def _keys() -> list[str]:
    parts = (Slo, Where, StageLimit, Counts, SituationLimit)
    return [key for part in parts for key in part.model_fields]
