"""Callers and the scripted recogniser: seeded, at their declared rates, and never turning a no into a yes."""

import random
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.cli.evals.callers import RandomCaller, ScriptedCaller
from services.cli.evals.noise import CLEAN, KEPT, Rates, Recogniser, alike
from services.cli.evals.said import Grounds, names
from services.cli.evals.transcript import Asked, Spoken
from services.orchestrator.bundles.checks import validate_directory

BUNDLE, _ = validate_directory(Path(__file__).parents[2] / "deploy" / "agents" / "bank-retail")
WORLD = BUNDLE.world()
SCENARIOS = {one.id: one for one in BUNDLE.scenarios()}
ENTRIES = {name: goal.entry["en-GB"] for name, goal in BUNDLE.goals.items()}


def ears(seed=0, rates=None, locale="en-GB"):
    return Recogniser.of(BUNDLE, locale, random.Random(seed), rates or Rates())


def asked(text="", prompt="", **what):
    return Asked(1, (Spoken(1, "agent", text, prompt=prompt),), **what)


def test_the_same_seed_mishears_the_same_words():
    said = "the fifteen pounds from Northern Rail please"
    assert [ears(7).hear(said) for _ in range(1)] == [ears(7).hear(said)]
    assert len({ears(seed).hear(said).text for seed in range(200)}) > 5


def test_without_noise_every_word_arrives():
    heard = ears(rates=CLEAN).hear("the fifteen pounds from Northern Rail please")
    assert (heard.text, heard.confidence) == ("the fifteen pounds from Northern Rail please", 0.98)


def test_confusions_come_at_their_declared_rates_and_lower_the_confidence():
    ear, swapped, lost = ears(1), 0, 0
    for _ in range(4000):
        heard = ear.hear("fifteen pounds")
        swapped += any("heard as fifty" in note for note in heard.confusions)
        lost += any("pounds lost" in note for note in heard.confusions)
        assert bool(heard.confusions) <= (heard.confidence <= 0.9)
    assert 0.10 < swapped / 4000 < 0.14
    assert 0.012 < lost / 4000 < 0.028


@settings(derandomize=True, max_examples=200)
@given(st.integers(), st.sampled_from(["yes", "no", "ja", "nein", "no, fifty", "not that one"]))
def test_a_yes_and_a_no_always_arrive(seed, said):
    words = [word.strip(",") for word in said.split() if word.strip(",") in KEPT]
    heard = [word.strip(",") for word in ears(seed, Rates(1, 1, 1, 1)).hear(said).text.split()]
    assert [word for word in heard if word in KEPT] == words


def test_words_that_sound_alike_are_confused_and_others_are_not():
    assert alike("fifteen", "fifty") or "fifty" in ears().sounds_like["pair fifteen"]
    assert alike("sieben", "siebzehn")
    assert not alike("card", "balance")
    assert "pair zwei" not in ears(locale="en-GB").sounds_like


def test_a_scripted_caller_says_its_moments_in_order_then_what_it_knows_then_goodbye():
    caller = ScriptedCaller(SCENARIOS["refund-corrected-en"], WORLD.customers["york"], ENTRIES)
    assert caller.open().say == "I want a refund"
    assert caller.answer(asked(prompt="p.identify_first", keys=True, code=True)).keys == "4711"
    assert caller.answer(asked(prompt="p.ask_txn", slot="txn")).say == "the fifty pounds from Northern Rail"
    assert caller.answer(asked(prompt="p.ask_amount", slot="amount")).say == "fifteen pounds"
    assert caller.answer(asked(prompt="p.refund_readback", yes_no=True)).say == "no, fifty"
    assert caller.answer(asked(prompt="p.refund_readback", yes_no=True)).say == "yes"
    assert caller.answer(asked(prompt="talk.more")).hang_up


@pytest.mark.parametrize("seed", range(30))
def test_a_random_caller_agrees_only_to_what_it_wants(seed):
    chance = random.Random(seed)
    refunds = [one for one in WORLD.varieties if one.id == "refund-en"]
    caller, customer = RandomCaller.drawn(chance, refunds, WORLD.customers, frozenset({"p.refund_readback"}))
    assert customer == "york"
    caller.open()
    meant = caller.wishes[0].meant["txn"].named[0]
    other = "City Lottery" if meant == "Blue Kettle Cafe" else "Blue Kettle Cafe"
    said = caller.answer(asked(f"I will refund £10.00 for {other}. Say yes.", "p.refund_readback", yes_no=True))
    assert not said.say.startswith("yes") or other == "City Lottery"


def test_the_same_seed_is_the_same_caller():
    def talk(seed):
        caller, _ = RandomCaller.drawn(random.Random(seed), WORLD.varieties, WORLD.customers, frozenset())
        return [caller.open(), *(caller.answer(asked(slot="amount")) for _ in range(5))]

    assert talk(3) == talk(3)
    assert len({str(talk(seed)) for seed in range(40)}) > 20


@pytest.mark.parametrize(
    ("text", "word", "says"),
    [
        ("ending 4 4 1 7.", "4417", True),
        ("£10.00 for you", "10", True),
        ("£12.50 for you", "12", False),
        ("12,50 € für Sie", "12,50", True),
        ("for Blue Kettle Cafe on", "Blue Kettle Cafe", True),
        ("L S 1 4 A P", "LS14AP", True),
    ],
)
def test_a_listener_reads_figures_spellings_and_names(text, word, says):
    assert names(text, (word,), "de-DE" if "Sie" in text else "en-GB") is says


def test_what_is_grounded_is_said_in_any_form():
    grounds = Grounds("en-GB")
    for value in ("4417", "125050", "2026-11-20", "RE1001"):
        grounds.add_value(value)
    for good in ("4 4 1 7", "£1,250.50", "20 November 2026", "R E 1 0 0 1"):
        assert grounds.strange(f"It is {good}.") == [], good
    for bad in ("4 4 1 8", "£1,250.51", "21 November", "R E 1 0 0 2"):
        assert grounds.strange(f"It is {bad}."), bad
