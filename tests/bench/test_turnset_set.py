"""The turn-taking set: its halves, its recipe and the truth about what was rendered. No models."""

import re

import numpy as np
import pytest

from services.cli.turnset import phrases, recipe, sounds
from services.cli.turnset.hearing import BASE_NS, hear
from services.cli.turnset.recipe import COUNTS, HALVES, VOICES, Item, Part
from services.cli.turnset.render import RATE_HZ, render
from services.cli.turnset.speakers import RECORDINGS, cut_at_dip, spoken


def tone(ms: int, hz: float = 220.0, dbfs: float = -15.0) -> np.ndarray:
    t = np.arange(int(RATE_HZ * ms / 1000)) / RATE_HZ
    return (np.sin(2 * np.pi * hz * t) * 32768 * 10 ** (dbfs / 20)).astype(np.int16)


def silent(ms: int) -> np.ndarray:
    return np.zeros(RATE_HZ * ms // 1000, np.int16)


def item(kind: str = "clause", *, pause_ms: int = 700, noise: str = "none", line: str = "g711") -> Item:
    parts = (Part("one", pause_ms), Part("two")) if pause_ms else (Part("one"),)
    return Item("x", "tuning", kind, parts, "joe", 7, line=line, noise=noise, snr_db=10)  # type: ignore[arg-type]


def said(half: str) -> set[str]:
    return {
        " ".join(re.findall(r"[a-z0-9']+", " ".join(part.text for part in made.parts).lower()))
        for made in recipe.items(half, sources=["r/a#0"])  # type: ignore[arg-type]
        if any(part.text for part in made.parts)
    }


def test_no_text_is_in_both_halves() -> None:
    assert not said("tuning") & said("test")
    assert not {m.agent_text for m in recipe.items("tuning") if m.agent_text} & {
        m.agent_text for m in recipe.items("test") if m.agent_text
    }


def test_no_beginning_of_a_sentence_is_in_both_halves() -> None:
    blocks = [value for name, value in vars(phrases).items() if name.isupper() and name != "ASKS_YES_NO"]
    openings = [
        (" ".join(re.findall(r"[a-z0-9']+", text.split("|")[0].lower())), recipe.half_of(text))
        for block in blocks
        for text in phrases.lines(block)
    ]
    by_opening: dict[str, set[str]] = {}
    for opening, half in openings:
        by_opening.setdefault(opening, set()).add(half)
    assert all(len(halves) == 1 for halves in by_opening.values())


def test_no_voice_and_no_reader_is_in_both_halves() -> None:
    names = [{(v.engine, v.variant, v.pitch, v.rate) for v in VOICES[half]} for half in HALVES]
    assert not names[0] & names[1]
    assert not RECORDINGS["tuning"].keys() & RECORDINGS["test"].keys()


def test_a_half_is_the_same_every_time_and_another_seed_is_another_set() -> None:
    assert recipe.items("test", 3) == recipe.items("test", 3)
    assert recipe.items("test", 3) != recipe.items("test", 4)


@pytest.mark.parametrize("half", HALVES)
def test_a_half_has_what_the_counts_say_and_pauses_within_their_bounds(half: recipe.Half) -> None:
    made = recipe.items(half, sources=["r/a#0"])
    assert {kind: sum(m.kind == kind for m in made) for kind in COUNTS} == COUNTS
    pauses = [part.pause_ms for m in made for part in m.parts[:-1]]
    assert len(pauses) >= 280
    assert all(recipe.LEAST_PAUSE_MS <= pause <= recipe.LONGEST_PAUSE_MS for pause in pauses)
    assert 450 < float(np.median(pauses)) < 800
    assert all(m.parts[-1].pause_ms == 0 for m in made)


def test_numbers_have_ten_digits_and_the_agent_asked_for_them() -> None:
    for made in recipe.items("tuning"):
        if made.kind in ("digits", "digits_complete"):
            text = " ".join(part.text for part in made.parts).lower()
            digits = re.findall(r"\b(?:zero|one|two|three|four|five|six|seven|eight|nine)\b", text)
            assert len(digits) == 10
            assert (made.expects, made.expects_length) == ("digits", 10)


@pytest.mark.parametrize("noise", ["none", "pink", "babble"])
@pytest.mark.parametrize("line", ["g711", "wide"])
def test_the_truth_is_where_the_sound_begins_and_ends(noise: str, line: str) -> None:
    one, two = (np.concatenate((silent(80), tone(400), silent(120))) for _ in range(2))
    made = render(item(noise=noise, line=line), [one, two], [tone(900)])
    truth = made.truth
    (hold,) = truth.holds
    assert hold.start_ms - truth.onset_ms == pytest.approx(400, abs=4)
    assert hold.end_ms - hold.start_ms == pytest.approx(700, abs=35)
    assert truth.end_ms - hold.end_ms == pytest.approx(400, abs=4)
    assert made.rate_hz == (8000 if line == "g711" else 16000)
    if noise == "none":
        loud = np.flatnonzero(np.abs(made.pcm.astype(int)) > 1000) * 1000 / made.rate_hz
        assert loud[0] == pytest.approx(truth.onset_ms, abs=6)
        assert loud[-1] == pytest.approx(truth.end_ms, abs=6)


def test_a_pause_that_the_speaker_made_unasked_is_a_pause_too() -> None:
    clip = np.concatenate((tone(300), silent(450), tone(300)))
    holds = render(item(pause_ms=0), [clip], []).truth.holds
    assert [hold.kind for hold in holds] == ["natural"]
    assert holds[0].end_ms - holds[0].start_ms == pytest.approx(450, abs=8)


def test_frames_carry_the_time_of_their_audio_as_in_a_call() -> None:
    heard = hear(render(item(), [tone(400), tone(400)], []))
    onset_ms = heard.truth.onset_ms
    loud = [f for f in heard.frames if max(f.levels_db) > -40]
    first_ms = (loud[0].end_ns - BASE_NS) / 1e6
    assert onset_ms <= first_ms <= onset_ms + 33
    assert all(f.received_ns >= f.end_ns for f in heard.frames)
    assert len(heard.wide()) == heard.packets * 320


def test_a_hum_is_hummed_and_never_spelled_by_a_synthesiser() -> None:
    for half in HALVES:
        for made in recipe.items(half):
            word = made.parts[0].text.lower().strip(" .")
            assert bool(made.hum) == (made.kind == "backchannel" and word in ("mm", "mhm", "hmm"))


@pytest.mark.parametrize("word", sounds.HUMS)
def test_a_hum_is_a_low_voice_of_a_listeners_length(word: str) -> None:
    for seed in range(4):
        hum = sounds.hum(word, seed)
        power = np.abs(np.fft.rfft(hum)) ** 2
        low = power[np.fft.rfftfreq(len(hum), 1 / RATE_HZ) < 600].sum() / power.sum()
        assert low > 0.9
        assert 200 <= len(hum) * 1000 / RATE_HZ <= 600
    assert not np.array_equal(sounds.hum(word, 1)[:1000], sounds.hum(word, 2)[:1000])


def test_coughs_and_laughs_differ_by_seed_and_are_neither_silent_nor_long() -> None:
    for make in (sounds.cough, sounds.laugh):
        lengths = [len(make(seed)) / RATE_HZ for seed in range(40)]
        assert 0.1 < min(lengths) < max(lengths) < 2.6
        assert len({round(length, 3) for length in lengths}) > 20
        assert np.max(np.abs(make(3))) == pytest.approx(1.0)


def test_g711_is_close_for_speech_and_coarse_for_loud() -> None:
    pcm = tone(200, dbfs=-20)
    error = sounds.g711(pcm).astype(float) - pcm
    assert 25 < 10 * np.log10(np.mean(pcm.astype(float) ** 2) / np.mean(error**2)) < 45


def test_an_unfinished_part_keeps_the_voice_up() -> None:
    assert spoken("I would like to", last=False, seed=1) == "I would like to,"
    assert spoken("I would like to", last=False, seed=8) == "I would like to..."
    assert spoken("M, I,", last=False, seed=1) == "M, I,"
    assert spoken("book a table.", last=True, seed=1) == "book a table."


def test_a_recording_is_cut_only_where_the_reader_pauses() -> None:
    clip = np.concatenate((tone(600), silent(120), tone(600)))
    pieces = cut_at_dip(clip, 0)
    assert pieces is not None
    assert len(pieces[0]) / 16 == pytest.approx(660, abs=8)
    assert cut_at_dip(tone(1200), 0) is None
