"""The track of a test call: samples, their times, and the timeline of a recording."""

import numpy as np
import pytest

from services.cli.caller import Track
from services.common.errors import InvalidInputError

MS = 1_000_000


def ones(n: int, value: int = 1) -> np.ndarray:
    return np.full(n, value, dtype=np.int16)


def test_a_sample_has_the_time_of_its_packet_plus_its_place_in_it() -> None:
    track = Track(8000)
    track.add(ones(160), 1_000 * MS)
    track.add(ones(160), 1_023 * MS)
    assert track.time_ns(0) == 1_000 * MS
    assert track.time_ns(159) == 1_000 * MS + 159 * 125_000
    assert track.time_ns(160) == 1_023 * MS
    assert track.time_ns(400) == 1_023 * MS + 240 * 125_000


def test_the_tail_of_a_track_starts_in_the_middle_of_a_packet() -> None:
    track = Track(8000)
    track.add(ones(160, 1), 0)
    track.add(ones(160, 2), 20 * MS)
    assert track.since(150).tolist() == [1] * 10 + [2] * 160
    assert track.since(320).tolist() == []
    assert len(track.audio()) == 320


def test_the_timeline_shows_gaps_but_not_jitter() -> None:
    track = Track(1000)
    track.add(ones(20), 100 * MS)
    track.add(ones(20), 131 * MS)
    track.add(ones(20), 400 * MS)
    line = track.on_timeline(0, 500 * MS)
    assert np.flatnonzero(line).tolist() == [*range(100, 140), *range(400, 420)]


def test_half_a_sample_and_endless_audio_are_refused() -> None:
    with pytest.raises(InvalidInputError, match="16-bit"):
        Track(8000).add(b"abc", 0)
    track = Track(8000, max_s=0.01)
    with pytest.raises(InvalidInputError, match="at most"):
        track.add(ones(160), 0)


def test_an_empty_track_has_no_times() -> None:
    with pytest.raises(InvalidInputError):
        Track(8000).time_ns(0)


def test_a_piece_of_a_track_holds_what_passed_then_and_nothing_of_before() -> None:
    track = Track(8000)
    for index in range(100):
        track.add(np.full(160, index, dtype=np.int16), index * 20 * MS)
    piece = track.on_timeline(1000 * MS, 1100 * MS)
    assert list(piece[::160]) == [50, 51, 52, 53, 54]
