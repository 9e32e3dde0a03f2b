"""The hand-written utterances: every one of the tuning half, and a floor for the held-out half."""

import pytest

from benchmarks.entities import LOCALES, cells, results

# 276 utterances; the held-out halves have 72 and 67 (benchmarks/entities.py prints them).
FLOOR = 0.93


@pytest.mark.parametrize("locale", LOCALES)
def test_every_tuned_utterance_is_read_right(locale: str) -> None:
    assert [(one.slot, one.words, one.got) for one in results("tune", (locale,)) if not one.right] == []


@pytest.mark.parametrize("locale", LOCALES)
def test_the_held_out_half_does_not_fall(locale: str) -> None:
    row = cells("held")[locale]["all"]
    assert row.n >= 60
    assert row.right / row.n >= FLOOR
