"""Sent, queued, flushed and starved samples from readings of a ring."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.telephony.ledger import FrameLedger, RingCounters

F = 160


def ledger() -> FrameLedger:
    return FrameLedger(8000, F)


def test_what_left_the_ring_was_sent():
    book = ledger()
    book.wrote(3 * F)
    book.observe(RingCounters(fill=2 * F))
    assert (book.sent, book.queued, book.flushed) == (F, 2 * F, 0)
    book.observe(RingCounters(fill=0))
    assert (book.sent, book.queued) == (3 * F, 0)


def test_flushed_audio_was_never_sent():
    book = ledger()
    book.wrote(3 * F)
    book.observe(RingCounters(fill=2 * F))
    book.observe(RingCounters(fill=0, flushed=2 * F, silence_frames=1))
    assert (book.sent, book.flushed) == (F, 2 * F)


def test_a_short_gap_between_audio_is_an_underrun():
    book = ledger()
    book.wrote(F)
    book.observe(RingCounters(silence_frames=3))
    assert book.starved == 0
    book.wrote(F)
    assert book.starved == 3 * F


def test_silence_after_an_utterance_is_not_an_underrun():
    book = ledger()
    book.wrote(F)
    book.observe(RingCounters(silence_frames=50))
    book.wrote(F)
    assert book.starved == 0


def test_silence_after_a_clear_is_not_an_underrun():
    book = ledger()
    book.wrote(2 * F)
    book.cleared()
    book.observe(RingCounters(flushed=F, silence_frames=2))
    book.wrote(F)
    assert book.starved == 0


def test_silence_before_the_first_audio_is_not_an_underrun():
    book = ledger()
    book.rebase(RingCounters(silence_frames=2), 8000, F)
    book.observe(RingCounters(silence_frames=5))
    book.wrote(F)
    assert book.starved == 0


def test_a_frame_padded_in_its_middle_counts_only_its_padding():
    book = ledger()
    book.wrote(100)
    book.observe(RingCounters(starved_frames=1))
    book.wrote(F)
    assert book.starved == 60


def test_a_renegotiated_stream_keeps_totals_and_loses_what_was_queued():
    book = ledger()
    book.wrote(3 * F)
    book.observe(RingCounters(fill=F))
    book.rebase(RingCounters(epoch=1), 8000, F)
    assert (book.sent, book.queued, book.flushed) == (2 * F, 0, F)
    book.wrote(F)
    book.observe(RingCounters(epoch=1, fill=0))
    assert book.sent == 3 * F


def test_totals_are_restated_when_the_rate_changes():
    book = ledger()
    book.wrote(2 * F)
    book.observe(RingCounters(fill=0))
    book.rebase(RingCounters(epoch=1), 16_000, 320)
    assert book.sent == 4 * F
    assert book.room(60) == 960


def test_a_reading_of_other_streams_is_refused():
    with pytest.raises(ValueError, match="rebase"):
        ledger().observe(RingCounters(epoch=2))


@given(
    st.lists(
        st.one_of(
            st.tuples(st.just("write"), st.integers(1, 3)),
            st.tuples(st.just("tick"), st.integers(1, 4)),
            st.tuples(st.just("flush"), st.just(0)),
        ),
        max_size=60,
    )
)
def test_every_accepted_sample_is_sent_queued_or_flushed(steps: list[tuple[str, int]]):
    """Against a model of the engine's sender: one frame a tick, a flush first where one was asked."""
    book, ring, sent = ledger(), RingCounters(), 0
    for kind, count in steps:
        if kind == "write":
            book.observe(ring)
            book.wrote(count * F)
            ring.fill += count * F
        elif kind == "flush":
            ring.flushed += ring.fill
            ring.fill = 0
            book.cleared()
        else:
            for _ in range(count):
                if ring.fill:
                    ring.fill -= F
                    sent += F
                else:
                    ring.silence_frames += 1
        book.observe(ring)
        assert book.sent == sent
        assert book.accepted == book.sent + book.queued + book.flushed
        assert book.starved >= 0
