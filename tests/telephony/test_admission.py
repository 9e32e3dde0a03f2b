"""Cap and rate limit, on numbers alone."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.telephony.admission import Admission, TokenBucket

MS = 1_000_000


def test_a_burst_is_spread_to_the_rate():
    bucket = TokenBucket(20, max_wait_ns=3000 * MS)
    assert [bucket.reserve(0) for _ in range(4)] == [0, 50 * MS, 100 * MS, 150 * MS]


def test_what_would_wait_too_long_is_refused_and_takes_no_token():
    bucket = TokenBucket(10, max_wait_ns=150 * MS)
    assert [bucket.reserve(0) for _ in range(4)] == [0, 100 * MS, None, None]
    assert bucket.reserve(100 * MS) == 100 * MS


def test_after_a_quiet_time_the_burst_is_free_again():
    bucket = TokenBucket(10, burst=3)
    assert [bucket.reserve(0) for _ in range(4)] == [0, 0, 0, None]
    assert [bucket.reserve(1000 * MS) for _ in range(4)] == [0, 0, 0, None]


@given(st.lists(st.integers(0, 200 * MS), min_size=1, max_size=80), st.floats(1, 30))
def test_no_second_ever_sees_more_than_the_rate(gaps: list[int], rate: float):
    bucket = TokenBucket(rate, max_wait_ns=4000 * MS)
    now, granted = 0, []
    for gap in gaps:
        now += gap
        if (wait := bucket.reserve(now)) is not None:
            granted.append(now + wait)
    assert granted == sorted(granted)
    for start in granted:
        assert sum(start <= at < start + 1_000 * MS for at in granted) <= rate + 1


@pytest.mark.parametrize(
    ("client", "draining", "active", "refusal"),
    [
        (True, False, 0, None),
        (True, False, 2, None),
        (True, False, 3, "cap"),
        (False, False, 0, "no_client"),
        (True, True, 0, "draining"),
    ],
)
def test_a_call_is_welcome_only_with_a_client_and_below_the_cap(client, draining, active, refusal):
    admission = Admission(3, TokenBucket(10), client_present=client, draining=draining)
    assert admission.refusal(active) == refusal
