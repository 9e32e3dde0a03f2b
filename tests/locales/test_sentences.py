"""Every locale says every sentence of the dialogue, and values the way its people do."""

import pytest

from services.orchestrator.bundles.model import LocaleRules
from services.orchestrator.bundles.templates import TemplateFault, holes
from services.orchestrator.dialogue.locales import LOCALES, NoPackError, UnsayableError, pack
from services.orchestrator.dialogue.locales.sentences import GERMAN_INFORMAL, HINDI, NAMES


@pytest.mark.parametrize("locale", LOCALES)
@pytest.mark.parametrize("formality", ["neutral", "formal", "informal"])
def test_every_sentence_exists_in_every_locale_and_formality(locale: str, formality: str) -> None:
    rules = LocaleRules.model_validate({"currency": "EUR", "formality": formality})
    for name in NAMES:
        text = pack(locale, rules).sentence(name)
        assert text
        assert not [hole for hole in holes(text) if isinstance(hole, TemplateFault)]


def test_all_locales_have_the_same_places_in_a_sentence() -> None:
    for name in NAMES:
        places = {frozenset(text_holes(pack(locale).sentence(name))) for locale in LOCALES}
        assert len(places) == 1, name


def text_holes(text: str) -> list[str]:
    return [hole.name for hole in holes(text) if not isinstance(hole, TemplateFault)]


def test_informal_german_says_du_where_formal_german_says_sie() -> None:
    informal = pack("de-DE", LocaleRules(currency="EUR", formality="informal"))
    assert informal.sentence("talk.which") == "Meinst du {option.first} oder {option.second}?"
    assert pack("de-DE").sentence("talk.which") == "Meinen Sie {option.first} oder {option.second}?"
    for name in NAMES:
        assert not {"Sie", "Ihnen", "Ihre"} & set(informal.sentence(name).replace("?", "").replace(".", "").split())
    assert set(GERMAN_INFORMAL) <= NAMES
    assert set(HINDI) <= NAMES


@pytest.mark.parametrize(
    ("locale", "filter_", "value", "said"),
    [
        ("en-GB", "money", 5020, "fifty pounds and twenty pence"),
        ("en-GB", "money", 100, "one pound"),
        ("en-GB", "money", 1, "one penny"),
        ("en-GB", "money", -5000, "minus fifty pounds"),
        ("en-GB", "date", "2026-05-03", "the third of May twenty twenty-six"),
        ("en-GB", "date", "2005-12-31", "the thirty-first of December two thousand and five"),
        ("en-GB", "time", "2026-05-03T14:05:00Z", "two oh five in the afternoon"),
        ("en-GB", "time", "09:00", "nine o'clock in the morning"),
        ("en-GB", "spell", "RF47-A", "R, F, four, seven, hyphen, A"),
        ("en-GB", "digits", "47110815", "four seven one one, zero eight one five"),
        ("en-GB", "last4", "5555444433334711", "four seven one one"),
        ("en-GB", "number", 1200, "one thousand two hundred"),
        ("en-GB", "number", 3.5, "three point five"),
        ("de-DE", "money", 5020, "fünfzig Euro zwanzig"),
        ("de-DE", "money", 105, "ein Euro und fünf Cent"),
        ("de-DE", "money", 10100, "einhundertein Euro"),
        ("de-DE", "date", "2026-05-03", "dritten Mai zweitausendsechsundzwanzig"),
        ("de-DE", "date", "1984-07-21", "einundzwanzigsten Juli neunzehnhundertvierundachtzig"),
        ("de-DE", "time", "2026-05-03T14:05:00Z", "vierzehn Uhr fünf"),
        ("de-DE", "digits", "4711", "siebenundvierzig elf"),
        ("de-DE", "spell", "MÜ-8", "M, Ü, Bindestrich, acht"),
        ("hi-IN+en-IN", "money", 12345650, "एक लाख तेईस हज़ार चार सौ छप्पन रुपये पचास पैसे"),
        ("hi-IN+en-IN", "date", "2026-05-03", "तीन मई दो हज़ार छब्बीस"),
    ],
)
def test_a_value_is_said_as_people_say_it(locale: str, filter_: str, value: str | int | float, said: str) -> None:
    assert pack(locale).say(value, filter_) == said


@pytest.mark.parametrize(("filter_", "value"), [("money", "12.50"), ("money", True), ("date", "soon"), ("number", "x")])
def test_a_value_of_the_wrong_kind_is_refused_without_being_named(filter_: str, value: str | bool) -> None:
    with pytest.raises(UnsayableError) as refused:
        pack("en-GB").say(value, filter_)
    assert str(value) not in str(refused.value)
    assert filter_ in str(refused.value)


def test_lists_are_joined_as_the_language_joins_them() -> None:
    assert pack("en-GB").list_of(["a", "b", "c"]) == "a, b or c"
    assert pack("de-DE").list_of(["a", "b", "c"]) == "a, b oder c"
    assert pack("de-DE").list_of(["a", "b"], "and") == "a und b"


def test_a_locale_without_a_pack_is_refused_with_those_there_are() -> None:
    with pytest.raises(NoPackError, match="en-GB"):
        pack("fr-FR")
