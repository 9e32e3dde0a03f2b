"""Single cases that grammars must not get wrong: what is denied, repaired, left open, keyed, or not said at all."""

from typing import Any

import pytest

from services.orchestrator.dialogue.locales import NO_REFERENCE, pack
from tests.locales.common import CARD, CARDS, CONFUSABLE, PAYMENT, PAYMENTS, REASONS, TODAY, best, read, slot

POUNDS = {"minor": 1500, "currency": "GBP"}
EUROS = {"minor": 1500, "currency": "EUR"}


@pytest.mark.parametrize(
    ("locale", "words", "value"),
    [
        ("en-GB", "not fifty, fifteen", POUNDS),
        ("en-GB", "not fifty fifteen pounds", POUNDS),
        ("en-GB", "fifteen, not fifty", POUNDS),
        ("en-GB", "fifty pounds, no, fifteen", POUNDS),
        ("en-GB", "fifty, I mean fifteen pounds", POUNDS),
        ("en-GB", "no, fifteen", POUNDS),
        ("en-GB", "fifty sorry fifteen pounds", POUNDS),
        ("de-DE", "nicht fünfzig, sondern fünfzehn Euro", EUROS),
        ("de-DE", "fünfzig, nein, fünfzehn Euro", EUROS),
        ("de-DE", "fünfzig Euro, Quatsch, fünfzehn", EUROS),
        ("de-DE", "fünfzehn Euro, nicht fünfzig", EUROS),
        ("hi-IN+en-IN", "pachas nahin, pandrah rupaye", {"minor": 1500, "currency": "INR"}),
    ],
)
def test_what_was_denied_or_repaired_is_not_the_value(locale: str, words: str, value: dict[str, Any]) -> None:
    assert best(locale, "money", words) == value


@pytest.mark.parametrize(
    ("locale", "words", "confusable", "value", "rival"),
    [
        ("en-GB", "fifty pounds", CONFUSABLE, 5000, 1500),
        ("en-GB", "£15", CONFUSABLE, 1500, 5000),
        ("en-GB", "twelve pounds fifty", CONFUSABLE, 1250, 1215),
        ("en-GB", "ten pounds", (("ten", "twenty"),), 1000, 2000),
        ("de-DE", "zwei Euro", CONFUSABLE, 200, 300),
        ("de-DE", "hundertfünfzehn Euro", (), 11500, 15000),
    ],
)
def test_a_word_that_is_easily_misheard_gives_its_rival_and_less_confidence(
    locale: str, words: str, confusable: tuple[tuple[str, ...], ...], value: int, rival: int
) -> None:
    found = pack(locale).read(slot("money"), words, confusable=confusable, today=TODAY)[0]
    assert isinstance(data := found.data.reveal(), dict)
    assert data["minor"] == value
    if (locale, words) != ("de-DE", "hundertfünfzehn Euro"):
        assert rival in [other.reveal()["minor"] for other in found.rivals]  # type: ignore[index]
    sure = read(locale, "money", "elf Euro" if locale == "de-DE" else "eleven pounds")[0]
    assert found.confidence < sure.confidence


@pytest.mark.parametrize("words", ["fifty or sixty pounds", "between fifty and sixty pounds", "fifty, sixty pounds"])
def test_two_amounts_are_never_sure_and_name_each_other(words: str) -> None:
    readings = read("en-GB", "money", words)
    assert readings[0].confidence <= 0.6
    minors = [readings[0].data.reveal(), *(rival.reveal() for rival in readings[0].rivals)]
    assert {"minor": 5000, "currency": "GBP"} in minors
    assert {"minor": 6000, "currency": "GBP"} in minors


@pytest.mark.parametrize(("words", "value", "rival"), [("twelve fifty", 1250, 125000), ("1250", 125000, 1250)])
def test_an_amount_that_may_be_two_is_asked_back(words: str, value: int, rival: int) -> None:
    found = read("en-GB", "money", words)[0]
    assert found.data.reveal() == {"minor": value, "currency": "GBP"}
    assert {"minor": rival, "currency": "GBP"} in [other.reveal() for other in found.rivals]
    assert found.confidence < 0.85


@pytest.mark.parametrize("words", ["about fifty pounds", "maybe fifty", "etwa fünfzig Euro"])
def test_about_an_amount_is_no_amount_yet(words: str) -> None:
    locale = "de-DE" if "Euro" in words else "en-GB"
    assert all(found.confidence <= 0.5 for found in read(locale, "money", words))


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("money", "I would like my money back"),
        ("money", "the blue one"),
        ("money", ""),
        ("money", "um"),
        ("date", "may I ask who is calling"),
        ("date", "the second one"),
        ("date", "the 31st of February 2026"),
        ("digits", "I don't know"),
        ("spelling", "I am not sure"),
        ("phone", "four seven"),
        ("iban", "GB29 NWBK 6016 1331 9268 18 or so"),
        ("postcode", "M4 is a motorway"),
        ("text", "I don't know"),
        ("text", "sorry what"),
        ("yes_no", "who is this"),
    ],
)
def test_words_without_a_value_give_no_reading_that_is_trusted(kind: str, words: str) -> None:
    assert all(found.confidence < 0.85 for found in read("en-GB", kind, words))
    if kind not in ("iban", "postcode"):
        assert not read("en-GB", kind, words)


def test_more_words_that_no_grammar_explains_make_a_value_less_sure() -> None:
    plain, story = "fifty two pounds", "I lent my brother money for petrol and fifty two pounds went missing there"
    assert read("en-GB", "money", story)[0].confidence < read("en-GB", "money", plain)[0].confidence


@pytest.mark.parametrize(
    ("locale", "words"),
    [
        ("en-GB", "one and ninety six pounds"),
        ("en-GB", "eighty five pounds and pence"),
        ("en-GB", "two hundred and pounds and six pence"),
        ("de-DE", "Euro elf"),
        ("de-DE", "achtundvierzig Euro und Cent"),
    ],
)
def test_an_amount_that_seems_to_lack_a_word_is_not_trusted(locale: str, words: str) -> None:
    assert all(found.confidence <= 0.8 for found in read(locale, "money", words))


def test_fillers_and_politeness_cost_nothing() -> None:
    plain = read("en-GB", "money", "sixty one pounds")[0].confidence
    assert read("en-GB", "money", "um, it's sixty one pounds please")[0].confidence == plain


def test_digits_of_another_length_are_not_heard() -> None:
    assert not read("en-GB", slot("digits", length=4), "four seven one")
    assert not read("en-GB", slot("digits", length=4), "four seven one one two")


def test_a_repaired_tail_replaces_the_end_and_is_asked_back() -> None:
    found = read("en-GB", slot("digits", length=4), "four seven one two, no, one one")[0]
    assert found.data.reveal() == "4711"
    assert found.confidence == 0.6
    assert found.text.reveal() == "four seven one two, no, one one"


def test_the_evidence_is_the_words_that_say_the_value() -> None:
    found = read("en-GB", "money", "um, it was Fifty Pounds I think")[0]
    assert found.text.reveal() == "Fifty Pounds"


def test_one_misheard_character_of_an_iban_is_mended_and_never_trusted() -> None:
    found = read("en-GB", "iban", "GB29 NWBK 6016 1331 9268 15")
    assert not found or found[0].confidence < 0.85
    right = read("en-GB", "iban", "GB29 NWBK 6016 1331 5268 19")[0]
    assert right.data.reveal() == "GB29NWBK60161331926819"
    assert right.confidence <= 0.7


@pytest.mark.parametrize(
    ("kind", "keys", "value"),
    [
        (slot("digits", length=4), "4711#", "4711"),
        (slot("digits", length=4), "471#", None),
        (slot("yes_no"), "1", True),
        (slot("yes_no"), "2", False),
        (slot("yes_no"), "7", None),
        (slot("enum", values=REASONS), "2", "stolen"),
        (slot("enum", values=REASONS), "9", None),
        (slot("money"), "12*50", {"minor": 1250, "currency": "GBP"}),
        (slot("money"), "50#", {"minor": 5000, "currency": "GBP"}),
        (slot("date"), "03052026", "2026-05-03"),
        (slot("date"), "310226", None),
        (slot("phone"), "07400123456", "+447400123456"),
        (CARD, "4711", {"last4": "4711"}),
        (slot("text"), "4711", None),
        (slot("digits"), "*#", None),
    ],
)
def test_keys_are_read_by_the_type_of_the_slot(kind: Any, keys: str, value: object) -> None:
    readings = read("en-GB", kind, keys, keyed=True)
    assert (readings[0].data.reveal() if readings else None) == value
    assert all(reading.keyed for reading in readings)


@pytest.mark.parametrize(
    ("words", "order"),
    [
        ("amazon", [(1, 1.0), (2, 1.0)]),
        ("hello there", []),
        ("a payment of nine hundred pounds", []),
        ("", []),
    ],
)
def test_records_that_words_do_not_tell_apart_have_the_same_score(words: str, order: list[tuple[int, float]]) -> None:
    assert pack("en-GB").resolve(PAYMENT, words, PAYMENTS, today=TODAY) == order


@pytest.mark.parametrize(
    ("words", "index"),
    [
        ("tesko", 0),
        ("the fifty pound one", 1),
        ("amazon fifteen", 2),
        ("amazon, not fifty, fifteen", 2),
        ("the one from last Tuesday", 0),
        ("the twenty first of November", 2),
        ("it was twelve pounds something at Tesco", 0),
    ],
)
def test_a_record_is_found_by_what_the_words_say_of_it(words: str, index: int) -> None:
    ranked = pack("en-GB").resolve(PAYMENT, words, PAYMENTS, today=TODAY)
    assert ranked[0][0] == index
    assert len(ranked) == 1 or ranked[0][1] > ranked[1][1]


def test_a_card_whose_digits_were_misheard_is_found_and_never_sure() -> None:
    cards = [{"last4": "4722", "kind": "debit"}, {"last4": "0815", "kind": "credit"}]
    ranked = pack("de-DE").resolve(CARD, "vier sieben zwei drei", cards, confusable=CONFUSABLE, today=TODAY)
    assert ranked == [(0, 0.55)]
    assert pack("en-GB").resolve(CARD, "nine nine nine nine", CARDS, today=TODAY) == []


def test_a_reference_names_the_fields_it_is_resolved_by() -> None:
    assert best("en-GB", PAYMENT, "the Tesco one for twelve pounds fifty from last Tuesday") == {
        "merchant": "Tesco",
        "amount_minor": 1250,
        "date": "2026-11-24",
    }


@pytest.mark.parametrize(
    ("locale", "words", "which"),
    [
        ("en-GB", "that one", None),
        ("en-GB", "the same account", None),
        ("en-GB", "the second one please", 1),
        ("en-GB", "number three", 2),
        ("en-GB", "first", 0),
        ("en-GB", "the last one", -1),
        ("en-GB", "the fourth", NO_REFERENCE),
        ("en-GB", "the last four digits are 4711", NO_REFERENCE),
        ("en-GB", "last Tuesday", NO_REFERENCE),
        ("en-GB", "the second of May", NO_REFERENCE),
        ("en-GB", "fifty pounds", NO_REFERENCE),
        ("en-GB", "one second", NO_REFERENCE),
        ("de-DE", "die zweite", 1),
        ("de-DE", "der letzte bitte", -1),
        ("de-DE", "dasselbe Konto", None),
        ("de-DE", "am zweiten Mai", NO_REFERENCE),
        ("de-DE", "die letzten vier Ziffern sind 4711", NO_REFERENCE),
        ("hi-IN+en-IN", "dusra wala", 1),
    ],
)
def test_a_reference_points_to_one_of_what_was_offered(locale: str, words: str, which: object) -> None:
    assert pack(locale).reference(words, 3) is which or pack(locale).reference(words, 3) == which


@pytest.mark.parametrize(
    ("locale", "words", "meant"),
    [
        ("en-GB", "yeah go ahead", True),
        ("en-GB", "no wait", False),
        ("en-GB", "no problem", True),
        ("en-GB", "that's not right", False),
        ("en-GB", "not sure", None),
        ("en-GB", "I know", None),
        ("de-DE", "ja, genau", True),
        ("de-DE", "passt", True),
        ("de-DE", "nein", False),
        ("de-DE", "das ist nicht richtig", False),
        ("de-DE", "bin nicht sicher", None),
        ("de-DE", "kein Problem", True),
        ("hi-IN+en-IN", "haan ji theek hai", True),
        ("hi-IN+en-IN", "जी नहीं", False),
        ("hi-IN+en-IN", "pata nahi", None),
    ],
)
def test_yes_and_no_are_told_from_what_is_neither(locale: str, words: str, meant: bool | None) -> None:
    answer = pack(locale).yes_no(words)
    assert (answer[0] if answer else None) is meant
    assert answer is None or answer[1] > 0.9


@pytest.mark.parametrize("words", ["yes, no", "yeah but it was fifteen", "no, that's right", "yes except the amount"])
def test_a_yes_with_something_against_it_is_never_sure(words: str) -> None:
    answer = pack("en-GB").yes_no(words)
    assert answer is not None
    assert answer[1] <= 0.6


@pytest.mark.parametrize(
    ("locale", "words", "instead"),
    [
        ("en-GB", "no, fifty", "fifty"),
        ("en-GB", "I mean the second one", "the second one"),
        ("en-GB", "not fifty, fifteen", "fifteen"),
        ("en-GB", "fifteen, not fifty", "fifteen"),
        ("en-GB", "sorry, four seven one one", "four seven one one"),
        ("en-GB", "no", None),
        ("en-GB", "no wait", None),
        ("en-GB", "no, that's right", None),
        ("en-GB", "sorry?", None),
        ("en-GB", "fifty", None),
        ("de-DE", "nein, fünfzig", "fünfzig"),
        ("de-DE", "Quatsch, die zweite", "die zweite"),
        ("de-DE", "nicht fünfzig sondern fünfzehn", "fünfzehn"),
        ("de-DE", "nein danke", None),
    ],
)
def test_a_repair_gives_the_words_that_are_meant_instead(locale: str, words: str, instead: str | None) -> None:
    assert pack(locale).repair(words) == instead


@pytest.mark.parametrize(
    ("locale", "words", "act"),
    [
        ("en-GB", "oh never mind", "cancel"),
        ("en-GB", "cancel", "cancel"),
        ("en-GB", "no, forget it please", "cancel"),
        ("en-GB", "cancel my card", ""),
        ("en-GB", "can you say that again", "repeat"),
        ("en-GB", "sorry?", "repeat"),
        ("en-GB", "sorry, fifty", ""),
        ("en-GB", "hang on a second", "hold"),
        ("en-GB", "I have waited for three weeks", ""),
        ("de-DE", "vergessen Sie es", "cancel"),
        ("de-DE", "Karte sperren", ""),
        ("de-DE", "wie bitte", "repeat"),
        ("de-DE", "bitte sperren", ""),
        ("de-DE", "einen Moment bitte", "hold"),
        ("de-DE", "ja", ""),
    ],
)
def test_dropping_asking_again_and_waiting_are_told_apart(locale: str, words: str, act: str) -> None:
    found = pack(locale)
    said = {"cancel": found.cancel(words), "repeat": found.repeat(words), "hold": found.hold(words)}
    assert [name for name, is_said in said.items() if is_said] == ([act] if act else [])


def test_a_day_without_a_year_is_the_nearest_one_and_names_the_other() -> None:
    found = read("en-GB", "date", "the twentieth of November")[0]
    assert found.data.reveal() == "2026-11-20"
    assert [rival.reveal() for rival in found.rivals] == ["2027-11-20"]


def test_a_weekday_settles_the_year_and_what_does_not_fit_it_is_asked_back() -> None:
    assert best("en-GB", "date", "Saturday the 20th of November") == "2027-11-20"
    assert read("en-GB", "date", "Monday the 3rd of November 2026")[0].confidence < 0.85


def test_hindi_words_with_two_meanings_are_not_read() -> None:
    assert not read("hi-IN+en-IN", "date", "kal")
    assert best("hi-IN+en-IN", "date", "aaj") == "2026-11-27"


@pytest.mark.parametrize(
    ("words", "rupees"),
    [
        ("do lakh pachas hazaar rupaye", 250000),
        ("two lakh fifty thousand rupees", 250000),
        ("dedh sau rupees", 150),
        ("saadhe teen hazaar", 3500),
        ("दो सौ पचास रुपये", 250),
        ("paanch hundred rupees", 500),
    ],
)
def test_hindi_and_english_numbers_mix(words: str, rupees: int) -> None:
    assert best("hi-IN+en-IN", "money", words) == {"minor": rupees * 100, "currency": "INR"}
