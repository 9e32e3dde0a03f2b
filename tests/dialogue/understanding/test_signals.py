"""What calls for a person at once is heard by its words, in every locale, whatever was asked; nothing like it is."""

import datetime

import pytest

from services.orchestrator.bundles.model import Escalation
from services.orchestrator.dialogue.locales import pack
from services.orchestrator.dialogue.model import Act, Legal
from services.orchestrator.dialogue.understanding.answers import Grammars
from services.orchestrator.dialogue.understanding.signals import signal
from tests.dialogue.core.scripted import NO, converse, start, turn
from tests.dialogue.understanding.scripted import BANK, ScriptedModel, told, understood

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
    for phrase in BANK.agent.escalation.signals[name].phrases(locale):
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
    assert signal(words, SIGNALS, pack("en-GB").language) == name


def test_a_person_asked_for_in_the_same_breath_is_still_told_why():
    assert answered("my wife has passed away, give me a human").acts == (Act("person", "bereavement"),)


def test_the_call_is_handed_over_with_the_signal_as_its_reason():
    desk, _ = converse(turn(start("balance")), turn(Act("person", "bereavement"), NO))
    assert desk.handed_over.reason == "bereavement"


def test_a_bundle_without_signals_has_none():
    assert Escalation(explicit={}, routes={}).signals == {}


@pytest.mark.parametrize(
    ("locale", "words"),
    [
        ("en-GB", "I don't want to speak to a person"),
        ("en-GB", "please don't put me through to an operator"),
        ("en-GB", "I'd rather not talk to a human"),
        ("en-GB", "there is no need for a person"),
        ("en-GB", "it's not a case of being scammed"),
        ("en-GB", "I haven't been scammed"),
        ("en-GB", "he has not passed away"),
        ("en-GB", "I don't have dementia"),
        ("de-DE", "ich möchte nicht mit jemandem sprechen"),
        ("de-DE", "ich brauche keinen Mitarbeiter"),
        ("de-DE", "einen Mitarbeiter brauche ich nicht"),
        ("de-DE", "ich bin nicht betrogen worden"),
        ("de-DE", "nein, mit einem Mitarbeiter will ich nicht sprechen, verbinden Sie mich nicht mit einem Berater"),
    ],
)
def test_what_is_denied_calls_for_nobody(locale, words):
    assert all(act.kind != "person" for act in answered(words, locale).acts), words


@pytest.mark.parametrize(
    ("locale", "words"),
    [
        ("en-GB", "no a person"),
        ("en-GB", "no, person please"),
        ("en-GB", "why don't you give me a person"),
        ("en-GB", "can I not speak to someone"),
        ("en-GB", "I don't want to speak to a machine, I want a person"),
        ("en-GB", "I don't want to speak to a machine I want a person"),
        ("en-GB", "I don't understand you give me a human"),
        ("en-GB", "this is not working, operator"),
        ("en-GB", "I can't go on"),
        ("de-DE", "nein, einen Mitarbeiter"),
        ("de-DE", "können Sie mich nicht mit einem Mitarbeiter verbinden"),
        ("de-DE", "warum verbinden Sie mich nicht mit einem Mitarbeiter"),
        ("de-DE", "ich will nicht mit einer Maschine reden sondern mit einem Berater"),
        ("de-DE", "ich will nicht mehr leben"),
    ],
)
def test_a_denial_of_something_else_refuses_nobody_a_person(locale, words):
    assert [act.kind for act in answered(words, locale).acts] == ["person"], words


async def test_who_wants_no_person_is_given_none_and_asked_again_whatever_the_model_says():
    model = ScriptedModel(("start person",))
    said = await understood("I really don't want to speak to a person", model=model, near={"person": 1.0})
    assert (told(said), said.rivals) == ([("repeat", "")], ())


def test_a_signal_goes_to_the_route_that_it_names_and_others_where_a_person_is_asked_for():
    fraud, _ = converse(turn(Act("person", "fraud_in_progress")))
    assert (fraud.handed_over.route, fraud.handed_over.reason) == ("fraud", "fraud_in_progress")
    loss, _ = converse(turn(Act("person", "bereavement")))
    assert (loss.handed_over.route, loss.handed_over.reason) == ("default", "bereavement")


def test_a_key_of_a_signal_that_is_neither_a_locale_nor_a_route_is_refused():
    with pytest.raises(ValueError, match="roote"):
        Escalation(explicit={}, routes={}, signals={"fraud": {"en-GB": ["scammed"], "roote": ["x"]}})
