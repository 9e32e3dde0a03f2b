"""What calls for a person at once is heard by its words, in every locale, whatever was asked; nothing like it is."""

import datetime

import pytest

from services.orchestrator.bundles.model import Escalation
from services.orchestrator.dialogue.locales import pack
from services.orchestrator.dialogue.model import Act, Legal
from services.orchestrator.dialogue.understanding.answers import Grammars
from services.orchestrator.dialogue.understanding.signals import signal
from tests.dialogue.core.scripted import NO, converse, start, turn
from tests.dialogue.understanding.scripted import BANK

SIGNALS = {"loss": ("my husband died", "mein Mann ist verstorben"), "fraud": ("someone is using my card",)}


def answered(words, locale="en-GB", asked=""):
    grammars = Grammars(BANK, locale, pack(locale, BANK.agent.locales[locale]), lambda: datetime.date(2026, 11, 27))
    return grammars.answer(words, (), Legal(tuple(BANK.goals), tuple(BANK.slots), asked))


@pytest.mark.parametrize(
    ("locale", "words", "name"),
    [
        ("en-GB", "hello, my husband has passed away last week", "bereavement"),
        ("en-GB", "Somebody is, um, using my card right now!", "fraud_in_progress"),
        ("en-GB", "i want to kill myself", "vulnerable_customer"),
        ("de-DE", "Meine Mutter ist verstorben.", "bereavement"),
        ("de-DE", "gerade hebt jemand Geld von meinem Konto ab", "fraud_in_progress"),
        ("de-DE", "ich will nicht mehr leben", "vulnerable_customer"),
    ],
)
@pytest.mark.parametrize("asked", ["", "yes_no", "amount"])
def test_a_signal_of_the_bank_is_a_person_with_its_name_whatever_was_asked(locale, words, name, asked):
    found = answered(words, locale, asked)
    assert found.acts == (Act("person", name),)
    assert found.complete


@pytest.mark.parametrize("name", BANK.agent.escalation.always)
@pytest.mark.parametrize("locale", BANK.agent.locales)
def test_every_phrase_of_the_bank_is_heard(name, locale):
    for phrase in BANK.agent.escalation.signals[name][locale]:
        assert answered(f"well {phrase} you see", locale).acts == (Act("person", name),), phrase


def test_no_goal_of_the_bank_is_taken_for_a_signal():
    for locale in BANK.agent.locales:
        for goal in BANK.goals.values():
            for phrase in goal.entry[locale]:
                assert all(not act.name for act in answered(phrase, locale).acts if act.kind == "person"), phrase


@pytest.mark.parametrize(
    ("words", "name"),
    [
        ("my, er, husband died", "loss"),
        ("mein mann ist verstorbn", "loss"),
        ("my husband tried", None),
        ("my husband nearly died", None),
        ("the card my husband was using", None),
        ("", None),
    ],
)
def test_long_words_may_be_misheard_a_little_and_short_ones_not(words, name):
    assert signal(words, SIGNALS, frozenset({"er"})) == name


def test_a_person_asked_for_in_the_same_breath_is_still_told_why():
    assert answered("my wife has passed away, give me a human").acts == (Act("person", "bereavement"),)


def test_the_call_is_handed_over_with_the_signal_as_its_reason():
    desk, _ = converse(turn(start("balance")), turn(Act("person", "bereavement"), NO))
    assert desk.handed_over.reason == "bereavement"


def test_a_bundle_without_signals_has_none():
    assert Escalation(explicit={}, routes={}).signals == {}
