"""The search for personal data finds what can be read, and does not take a hash for it."""

import pytest

from tests.leaks import shows


@pytest.mark.parametrize(
    "written",
    [
        "{'last4': '4417'}",
        "the card ending 4417.",
        '"4417"',
        "4417",
        "card-4417, €4417",
        "pin=4417&x",
        "pin4417",
        "k=/4417=",
        "0.4417",
        "+4417",
    ],
)
def test_digits_that_stand_for_themselves_are_shown(written):
    assert shows(written, "4417")


@pytest.mark.parametrize(
    "written",
    [
        "JaCjOIRlHC4417VeGOwdc",
        "9f4417e0",
        "QUJDRA/4417=",
        "datetime.datetime(2026, 11, 28, 1, 34, 104417)",
        "05.104417Z",
        "1764417000000",
        "",
    ],
)
def test_digits_inside_a_hash_a_sealed_value_or_a_time_are_not(written):
    assert not shows(written, "4417")


def test_words_are_looked_for_anywhere():
    assert shows("b'xxHarbourxx'", "Harbour")
