"""Words found again in a clause's phonemes, and the silence kept around a clause."""

from hypothesis import given
from hypothesis import strategies as st

from services.tts.shape import kept_frames
from services.tts.timing import WordSpan, assign_words, phoneme_spans, word_spans

PHONES = st.sampled_from(list("abdefɑɪʃ"))


def joined(*words: str) -> list[str]:
    return list(" ".join(words))


def test_words_said_as_when_alone_get_their_own_phonemes() -> None:
    assert assign_words(joined("abc", "de"), ["abc", "de"]) == [[0, 1, 2], [4, 5]]


def test_merged_small_words_share_their_phonemes() -> None:
    # "of the" is one word to the phonemizer.
    assert assign_words(list("ʌvðə bɛst"), ["ʌv", "ðə", "bɛst"]) == [[0, 1], [2, 3], [5, 6, 7, 8]]


def test_a_number_said_as_several_words_is_one_written_word() -> None:
    assert assign_words(list("θɹiː dɑlɚz naʊ"), ["θɹiː dɑlɚz", "naʊ"]) == [[0, 1, 2, 3, 5, 6, 7, 8, 9], [11, 12, 13]]


def test_a_vowel_reduced_in_context_stays_in_its_word() -> None:
    assert assign_words(list("tʊ ɐn"), ["tuː", "æn"]) == [[0, 1], [3, 4]]


def test_punctuation_belongs_to_no_word() -> None:
    assert assign_words(list("ab, de."), ["ab", "de"]) == [[0, 1], [4, 5]]


@given(st.lists(st.lists(PHONES, min_size=1, max_size=6), min_size=1, max_size=8), st.lists(PHONES, max_size=30))
def test_every_sound_belongs_to_one_word_in_order(words: list[list[str]], clause: list[str]) -> None:
    flat = [index for indices in assign_words(clause, words) for index in indices]
    assert flat == sorted(flat)
    assert flat == list(range(len(clause)))


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 9)), max_size=30))
def test_word_times_never_run_backwards(owned: list[tuple[int, int]]) -> None:
    owners = sorted(owner for owner, _ in owned)
    spans = phoneme_spans(owners, [frames for _, frames in owned], 4)
    result = word_spans(list("ab d"), [["a"], ["b"], ["d"], ["e"]], spans)
    assert all(span.start <= span.end for span in result)
    assert [span.end for span in result] == sorted(span.end for span in result)


def test_almost_no_silence_precedes_a_clause_and_its_pause_follows_the_punctuation() -> None:
    sounds = [WordSpan(6, 10), WordSpan(10, 40)]
    comma, stop, none = (kept_frames(sounds, 80, final, 86.13, 256) for final in ",.e")
    assert comma.start == stop.start == none.start == 5
    pauses = [kept.end + kept.silence - 40 for kept in (none, comma, stop)]
    assert pauses == sorted(pauses)
    assert pauses[0] < pauses[1] < pauses[2]


def test_a_voice_that_stops_at_once_is_given_the_least_pause() -> None:
    kept = kept_frames([WordSpan(2, 40)], 41, ".", 86.13, 256)
    assert (kept.end + kept.silence - 40) / 86.13 >= 0.2


def test_a_clause_without_sound_is_empty() -> None:
    kept = kept_frames([], 30, ".", 86.13, 256)
    assert (kept.start, kept.end, kept.silence) == (0, 0, 0)
