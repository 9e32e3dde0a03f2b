"""What callers' words are taken for, with the real small model and the real embedder.

    python -m benchmarks.understanding [--half held-out|tuning] [--locale en-GB] [--json F] [--html F] [--svg F]
    python -m benchmarks.understanding --half tuning --save FILE ; … --fit FILE        # weights for bands.py

Every utterance goes through `ModelUnderstander` over the llm service (a real channel), one at a time; then the model
and the second opinion are asked alone. Wrong action: a goal is started that the caller does not want. Needless
clarification: asked though one goal (or none) is meant. Missed: acted upon though it may be either. Not understood: a
goal is meant, nothing is done (the dialogue asks again).
"""

import argparse
import asyncio
import json
import os
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks.understanding import cases, figures, fit
from benchmarks.understanding.hearing import CLOCK, Heard, hear, save, saved, service
from benchmarks.understanding.page import curve, page
from services.cli.machine import commit, machine
from services.common.settings import load_settings


def main() -> None:
    """Measure, print, and write what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--half", choices=["held-out", "tuning"], default="held-out")
    parser.add_argument("--locale")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--html", type=Path)
    parser.add_argument("--svg", type=Path, help="The reliability curve alone.")
    parser.add_argument("--save", type=Path, help="What was heard, as JSON lines.")
    parser.add_argument("--load", type=Path, help="Judge what was saved; no model runs (latency is the saved one).")
    parser.add_argument("--fit", type=Path, help="Fit the weights on what was saved of the tuning half, and end.")
    given = parser.parse_args()
    if given.fit:
        fit.show(saved(given.fit))
        return
    chosen = [case for case in cases.load(given.half) if given.locale in (None, case.locale)]
    heard = saved(given.load) if given.load else asyncio.run(_hear(chosen))
    if given.save:
        save(heard, given.save)
    document = asyncio.run(_document(given.half, heard))
    _print(document, heard)
    if given.json:
        given.json.write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    if given.html:
        given.html.write_text(page(document), encoding="utf-8")
    if given.svg:
        found = document["groups"]["all"]["reliability"]
        title = f"{given.half}: ECE {found['ece']:.3f}, n = {found['n']}"
        given.svg.write_text(curve(found["bins"], title), encoding="utf-8")


async def _hear(chosen: list[cases.Case]) -> list[Heard]:
    async with service(load_settings(env={})) as channel:
        return [one async for one in hear(chosen, channel)]


async def _document(half: str, heard: list[Heard]) -> dict[str, Any]:
    settings = load_settings(env={})
    groups = {"all": heard}
    for key in dict.fromkeys((one.case.bundle, one.case.locale) for one in heard):
        groups[" ".join(key)] = [one for one in heard if (one.case.bundle, one.case.locale) == key]
    groups["en-GB"] = [one for one in heard if one.case.locale == "en-GB"]
    return {
        "what": "Labelled utterances through grammars, model and second opinion",
        "half": half,
        "when": CLOCK.wall().isoformat(timespec="seconds"),
        "commit": commit(),
        "machine": asdict(await machine()),
        "load": round(os.getloadavg()[0], 1),
        "models": f"{settings.llm.model}, {settings.llm.embedder}",
        "note": "Weights and bands: fitted on the tuning half alone. Other work ran beside; latency is an upper bound",
        "groups": {
            name: {
                "outcomes": figures.outcomes(group),
                "latency_ms": figures.latency(group),
                "reliability": asdict(figures.reliability(group)),
            }
            for name, group in groups.items()
            if group
        },
    }


def _print(document: dict[str, Any], heard: list[Heard]) -> None:
    for name, group in document["groups"].items():
        print(f"\n{name}")
        for row in group["outcomes"]:
            counts = "  ".join(f"{what.replace('_', ' ')} {row[what]}" for what in cases.WORTHS)
            print(f"  {row['way']:<48} n={row['n']:<4} {counts}")
        found = group["reliability"]
        print(f"  ECE {found['ece']:.3f}  Brier {found['brier']:.3f}  {found['bins']}")
        print(f"  ms: {group['latency_ms']}")
    print()
    for one in heard:
        started, asked = figures.decided(one)
        what = cases.worth(one.case.want, started, asked)
        if what != "right":
            print(f"{what:<23} {one.case.words!r}: wanted {one.case.want}, started {started}, asked {asked}")


if __name__ == "__main__":
    main()
