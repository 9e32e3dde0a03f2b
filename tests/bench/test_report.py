"""The report: one file that is valid, holds its sounds, runs no script and says in its first sentence what came out."""

import base64
import io
import json
import wave
from html.parser import HTMLParser

import numpy as np
import pytest

from services.cli.benchmark.excerpts import WORST, Excerpt, cut_excerpts, worst_of
from services.cli.benchmark.report import render
from services.cli.benchmark.request import Cell
from services.cli.benchmark.result import BenchData, CallResult, cell_result
from services.cli.benchmark.show import tables
from services.cli.benchmark.slo import Slo, judge
from services.cli.measure import Utterance, hear_turns
from tests.bench.documents import FACTS, about, document, planted_cell
from tests.cli.signals import MS, burst, line, packets
from tests.cli.test_conversation import ScriptedLeg

RATE = 8000
_VOID = {"meta", "br"}


class Page(HTMLParser):
    """Reads a page; `open` is empty at the end when every tag was closed in order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in _VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open, f"</{tag}> closes nothing"
        assert self.open.pop() == tag

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def sources(self) -> list[str]:
        return [str(value) for _, attrs in self.tags for name, value in attrs.items() if name in ("src", "href")]


def excerpts(count: int = 12) -> list[Excerpt]:
    """Cut from a real conversation of two tracks."""
    sent = packets(line(count * 6000, RATE, *((i * 6000 + 500, burst(1500, RATE)) for i in range(count))), RATE)
    heard = packets(
        line(count * 6000, RATE, *((i * 6000 + 2600 + 50 * i, burst(900, RATE)) for i in range(count))), RATE
    )
    leg = ScriptedLeg.__new__(ScriptedLeg)
    leg.sent, leg.heard = sent, heard
    said = [Utterance(i + 1, (i * 6000 + 500) * 8, (i * 6000 + 2000) * 8) for i in range(count)]
    call = CallResult(1, 0, 60_000 * MS, "c1", turns=hear_turns(said, sent, heard), leg=leg)
    return cut_excerpts(Cell("sip", 1), [call])


def targets(cell, least_n: int = 10) -> dict:
    slo = {"title": "t", "stage": [{"name": "voice_to_voice", "p95_ms": 800, "least_n": least_n}]}
    return {**document(cell), "targets": judge(Slo.model_validate(slo), document(cell))}


def test_the_page_is_valid_runs_no_script_and_loads_nothing() -> None:
    sweep = document(*(planted_cell(c, 12, t) for t in ("sip", "webrtc") for c in (1, 4)))
    for text in (
        render(sweep, worst_of(excerpts())),
        render(targets(planted_cell())),
        render(document(planted_cell())),
    ):
        read = Page(text)
        assert read.open == []
        assert "script" not in {tag for tag, _ in read.tags}
        assert not any(name.startswith("on") for _, attrs in read.tags for name in attrs)
        assert all(source.startswith("data:audio/wav;base64,") for source in read.sources())
        assert "&lt;b&gt;CPU&lt;/b&gt;" in text
        assert "http" not in text
        assert "@import" not in text


def test_the_worst_ten_turns_and_a_typical_one_can_be_heard_and_the_page_stays_small() -> None:
    chosen = worst_of(excerpts())
    assert len(chosen) == WORST + 1
    assert [e.badness for e in chosen[:WORST]] == sorted((e.badness for e in chosen[:WORST]), reverse=True)
    page = render(document(planted_cell()), chosen)
    assert len(page.encode()) < 5_000_000
    sounds = [s for s in Page(page).sources() if s.startswith("data:audio")]
    assert len(sounds) == WORST + 1
    with wave.open(io.BytesIO(base64.b64decode(sounds[0].partition(",")[2]))) as sound:
        assert (sound.getnchannels(), sound.getframerate()) == (2, 8000)
        both = np.frombuffer(sound.readframes(sound.getnframes()), dtype="<i2").reshape(-1, 2)
    worst = chosen[0]
    # Left ear: the caller until the end of its speech; right ear: the agent after it.
    assert np.abs(both[: worst.zero_ms * 8, 0]).max() > 1000
    assert np.abs(both[(worst.zero_ms + 50) * 8 :, 0]).max() == 0
    assert np.abs(both[(worst.zero_ms + 50) * 8 :, 1]).max() > 1000


def test_what_went_wrong_comes_before_what_was_slow_but_leaves_room_for_it() -> None:
    slow = excerpts()
    wrong = [Excerpt(Cell("sip", 1), 2, i, "cut_off", 2e6, 0, b"") for i in range(20)]
    chosen = worst_of([*slow, *wrong])
    assert [e.why for e in chosen] == ["cut_off"] * 5 + ["slow"] * 5 + ["typical"]
    assert [e.why for e in worst_of(wrong)] == ["cut_off"] * WORST


def test_the_first_sentences_say_what_was_run_what_came_out_and_whether_the_targets_are_met() -> None:
    cell = planted_cell()
    page = render(targets(cell))
    assert "4 SIP calls at once, 160 turns of recorded human speech" in page
    assert f"95 % within <b>{cell['stages']['voice_to_voice']['p95_ms']:.0f} ms</b>" in page
    assert "All 1 targets" in page or "All targets" in page
    late = render(targets(planted_cell(extra={"llm_ttft": 900})))
    assert "1 of 1 targets of “t” are missed: voice_to_voice P95" in late
    few = render(targets(cell, least_n=1000))
    assert "None of the 1 targets of “t” is missed. 1 of 1 were kept in too few turns to be believed" in few
    assert "n 160, at least 1000 needed" in few


def test_a_sweep_says_up_to_how_many_calls_the_answers_are_in_time() -> None:
    cells = [planted_cell(1, 30), planted_cell(4, 30), planted_cell(16, 12, extra={"llm_ttft": 700})]
    page = render(document(*cells))
    assert "within 800 ms up to <b>4 SIP calls</b>" in page
    assert page.count("<svg") == 1 + 2 + 3


@pytest.mark.parametrize("cells", [[], [cell_result(BenchData([], [], None), about(), {})]])
def test_a_page_and_tables_can_be_made_when_nothing_was_measured(cells) -> None:
    made = {**FACTS, "targets": None, "complete": False, **({"cells": cells} if not cells else cells[0])}
    assert "Nothing was measured" in render(made)
    assert tables(json.loads(json.dumps(made))) or not cells
