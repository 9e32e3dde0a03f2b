"""Finished items on disk: what was rendered and heard, by a hash of the recipe, so that a replay makes nothing anew."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from services.cli.turnset.hearing import Frame, Hearing
from services.cli.turnset.recipe import REVISIONS, VERSION, Item
from services.cli.turnset.render import Hold, Rendered, Truth


class Shelf:
    """`made_with`: what else the audio depends on (voice model, whether espeak-ng is here)."""

    def __init__(self, folder: Path, made_with: str) -> None:
        self._folder = folder
        self._made_with = made_with
        folder.mkdir(parents=True, exist_ok=True)

    def get(self, item: Item) -> Hearing | None:
        """The item, if it was made before."""
        path = self._path(item)
        if not path.exists():
            return None
        with np.load(path) as kept:
            facts = json.loads(str(kept["facts"]))
            rendered = Rendered(kept["pcm"], facts["rate_hz"], _truth(facts["truth"]))
            frames = tuple(
                Frame(int(received_ns), int(end_ns), tuple(levels))
                for (received_ns, end_ns), levels in zip(kept["times"], kept["levels"].tolist(), strict=True)
            )
        return Hearing(facts["sha"], frames, facts["delay_ns"], facts["packets"], rendered.truth, rendered)

    def put(self, item: Item, hearing: Hearing) -> None:
        """Keep it."""
        facts = {
            "rate_hz": hearing.rendered.rate_hz,
            "truth": hearing.truth.to_json(),
            "sha": hearing.sha,
            "delay_ns": hearing.delay_ns,
            "packets": hearing.packets,
        }
        path = self._path(item)
        partial = path.with_suffix(".part.npz")
        np.savez(
            partial,
            pcm=hearing.rendered.pcm,
            times=np.array([(frame.received_ns, frame.end_ns) for frame in hearing.frames], dtype=np.int64),
            levels=np.array([frame.levels_db for frame in hearing.frames]),
            facts=np.array(json.dumps(facts)),
        )
        partial.replace(path)

    def _path(self, item: Item) -> Path:
        recipe = json.dumps([VERSION, self._made_with, asdict(item), *_revision(item.kind)], sort_keys=True)
        return self._folder / f"{hashlib.sha256(recipe.encode()).hexdigest()[:24]}.npz"


def _revision(kind: str) -> list[int]:
    return [REVISIONS[kind]] if kind in REVISIONS else []


def _truth(facts: Mapping[str, Any]) -> Truth:
    return Truth(facts["onset_ms"], facts["end_ms"], tuple(Hold(**hold) for hold in facts["holds"]))
