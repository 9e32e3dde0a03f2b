"""Words that name a thing and no wish are asked about; words that take back an act of before are no new wish."""

import pytest

from services.orchestrator.dialogue.locales import pack
from services.orchestrator.dialogue.understanding.bands import LEVEL, level
from services.orchestrator.dialogue.understanding.examples import Likeness, Opinion
from services.orchestrator.dialogue.understanding.taking_back import not_wanted
from services.orchestrator.dialogue.understanding.vague import vague
from tests.dialogue.understanding.scripted import BANK, OPEN, ScriptedModel, knowledge, told, understood

GOALS = tuple(BANK.goals)


@pytest.mark.parametrize(
    ("locale", "words", "goal"),
    [
        ("en-GB", "I have a problem with my card", "block_card"),
        ("en-GB", "I've got a question about a payment", "refund"),
        ("en-GB", "there is something wrong with my address", "change_address"),
        ("en-GB", "it's about my card", "block_card"),
        ("de-DE", "es geht um meine Karte", "block_card"),
        ("de-DE", "ich habe ein Problem mit meiner Karte", "block_card"),
        ("de-DE", "mit meiner Kreditkarte stimmt etwas nicht", "block_card"),
    ],
)
def test_trouble_with_a_thing_is_no_wish(locale, words, goal):
    assert vague(words, BANK, locale, GOALS) == (goal,)


@pytest.mark.parametrize(
    ("locale", "words"),
    [
        ("en-GB", "my card is missing"),
        ("en-GB", "I have a question about my balance"),
        ("en-GB", "help I lost my card"),
        ("en-GB", "I have a question about my card limit"),
        ("en-GB", "I have a problem"),
        ("en-GB", "block my card"),
        ("en-GB", "how much have I got in my account"),
        ("en-GB", "it's about a refund"),
        ("de-DE", "ich habe eine Frage zu meinem Kontostand"),
        ("de-DE", "meine Karte wurde gestohlen"),
    ],
)
def test_a_wish_or_another_matter_is_not_vague(locale, words):
    assert vague(words, BANK, locale, GOALS) == ()


async def test_it_is_asked_about_and_no_model_is_waited_for():
    model = ScriptedModel(("start block_card",))
    said = await understood("um I have a problem with my card", model=model, near={"block_card": 1.0, "refund": 0.5})
    assert (said.acts, said.rivals) == ((), ("block_card", "refund"))
    assert model.asked == []


def test_two_goals_as_near_by_meaning_are_level_in_english_only():
    def opinion(second):
        of = {"balance": Likeness(0.2, 0.5), "refund": Likeness(second, 0.0), "": Likeness(0.3, 0.0)}
        return Opinion(of, by_meaning=True)

    assert level("en-GB", opinion(0.2 - LEVEL / 2), "balance", GOALS)
    assert not level("en-GB", opinion(0.2 - LEVEL * 2), "balance", GOALS)
    assert not level("de-DE", opinion(0.2), "balance", GOALS)


@pytest.mark.parametrize("words", ["block um my card please", "I er lost my card"])
async def test_a_filler_between_the_words_of_a_phrase_changes_nothing(words):
    said = await understood(words, model=ScriptedModel(("start block_card",)), known=knowledge(embedded=False))
    assert told(said)[0] == ("start", "block_card")


@pytest.mark.parametrize(
    ("locale", "words", "goal"),
    [
        ("en-GB", "forget about the refund", "refund"),
        ("en-GB", "please forget about blocking the card", "block_card"),
        ("en-GB", "undo the change of address", "change_address"),
        ("de-DE", "vergessen Sie die Rückerstattung", "refund"),
        ("de-DE", "die Sperrung der Karte doch nicht", "block_card"),
    ],
)
async def test_an_act_of_before_is_taken_back_by_its_name(locale, words, goal):
    assert not_wanted(words, BANK, locale, pack(locale).language, GOALS) == goal
    assert told(await understood(words, locale=locale)) == [("cancel", goal)]


@pytest.mark.parametrize(
    ("locale", "words"),
    [
        ("en-GB", "cancel my card"),
        ("en-GB", "can you cancel my card please it is gone"),
        ("en-GB", "can you stop my card"),
        ("en-GB", "I forgot my password"),
        ("en-GB", "forget about it"),
        ("en-GB", "I want a refund"),
        ("de-DE", "nehmen Sie meine neue Adresse auf"),
        ("de-DE", "ich möchte mein Geld zurück"),
    ],
)
def test_a_wish_takes_nothing_back(locale, words):
    assert not_wanted(words, BANK, locale, pack(locale).language, GOALS) == ""


@pytest.mark.parametrize(("words", "kind"), [("okay", "affirm"), ("yes please", "affirm"), ("No.", "deny")])
async def test_a_bare_answer_at_the_open_question_is_one(words, kind):
    assert [act.kind for act in (await understood(words, model=ScriptedModel())).acts] == [kind]


@pytest.mark.parametrize("words", ["can you stop it", "the card is broken please stop it", "that charge is wrong"])
async def test_a_stop_in_a_sentence_is_no_no(words):
    said = await understood(words, OPEN, model=ScriptedModel(), near={"": 1.0})
    assert all(act.kind != "deny" for act in said.acts)


@pytest.mark.parametrize(
    "words", ["freeze the thing right now please", "can you please do something", "bitte tun Sie etwas"]
)
async def test_a_please_in_a_sentence_is_no_yes(words):
    locale = "de-DE" if "Sie" in words else "en-GB"
    said = await understood(words, OPEN, model=ScriptedModel(), locale=locale, near={"": 1.0})
    assert all(act.kind != "affirm" for act in said.acts)
