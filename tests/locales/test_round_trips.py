"""What a locale says of a value, the same locale reads as that value."""

import re
import string
from datetime import date

import phonenumbers
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from stdnum import iban

from services.orchestrator.bundles.model import LocaleRules
from services.orchestrator.dialogue.locales import pack
from services.orchestrator.dialogue.locales.spoken_numbers import cardinal
from tests.locales.common import TODAY, best, slot

COMPLETE = ("en-GB", "de-DE")
NUMBERS = ("en-GB", "de-DE", "en-IN", "hi-IN+en-IN")
CURRENCY = {"en-GB": "GBP", "de-DE": "EUR", "en-IN": "INR", "hi-IN+en-IN": "INR"}
VALUE_WORDS = re.findall(
    r"\S+",
    """fifty fifteen pounds pence no not sorry point and double four oh the third of may last tuesday 2026 12.50 £
    a hundred grand tenner ago days in hyphen bee for bravo twenty - / 3.5 1,000 ending""",
)
settings.register_profile("locales", derandomize=True, deadline=None, max_examples=60)
settings.load_profile("locales")


@pytest.mark.parametrize("locale", NUMBERS)
@given(number=st.integers(0, 9_999_999))
def test_a_number_in_words_is_that_number(locale: str, number: int) -> None:
    language = pack(locale)
    assert language.language.cardinal(
        tuple(cardinal(number, language.spoken).casefold().replace("-", " ").split())
    ) == (number)


@pytest.mark.parametrize("locale", NUMBERS)
@given(minor=st.integers(1, 99_999_999))
def test_an_amount_that_is_said_is_read_as_that_amount(locale: str, minor: int) -> None:
    said = pack(locale).say(minor, "money", currency=CURRENCY[locale])
    assert best(locale, "money", said) == {"minor": minor, "currency": CURRENCY[locale]}


@pytest.mark.parametrize("locale", NUMBERS)
@given(day=st.dates(date(1930, 1, 1), date(2090, 12, 31)))
def test_a_day_that_is_said_is_read_as_that_day(locale: str, day: date) -> None:
    assert best(locale, "date", pack(locale).say(day.isoformat(), "date")) == day.isoformat()


@pytest.mark.parametrize("how", ["single", "pairs"])
@pytest.mark.parametrize("locale", NUMBERS)
@given(digits=st.text("0123456789", min_size=2, max_size=16))
def test_digits_that_are_said_are_read_as_those_digits(locale: str, how: str, digits: str) -> None:
    rules = LocaleRules.model_validate({"currency": "GBP", "digits": how})
    said = pack(locale, rules).say(digits, "digits")
    assert best(locale, slot("digits", length=len(digits)), said) == digits


@pytest.mark.parametrize("locale", COMPLETE)
@given(text=st.text(string.ascii_uppercase, min_size=2, max_size=12))
def test_letters_that_are_spelled_are_read_as_those_letters(locale: str, text: str) -> None:
    assert best(locale, slot("spelling", length=len(text)), pack(locale).say(text, "spell")) == text


@pytest.mark.parametrize("locale", COMPLETE)
@given(text=st.text(string.ascii_uppercase + string.digits, min_size=3, max_size=12))
def test_a_reference_that_is_spelled_is_read_as_that_reference(locale: str, text: str) -> None:
    assert best(locale, slot("spelling", length=len(text)), pack(locale).say(text, "spell")) == text


@given(
    outward=st.from_regex(r"[A-Z][0-9]|[A-Z]{2}[0-9]{2}|[A-Z]{2}[0-9][A-Z]", fullmatch=True),
    inward=st.from_regex(r"[0-9][A-Z]{2}", fullmatch=True),
)
def test_a_british_postcode_that_is_spelled_is_read_as_that_postcode(outward: str, inward: str) -> None:
    assert best("en-GB", "postcode", pack("en-GB").say(f"{outward} {inward}", "spell")) == f"{outward} {inward}"


@pytest.mark.parametrize("how", ["single", "pairs"])
@given(code=st.integers(1001, 99998))
def test_a_german_postcode_that_is_said_is_read_as_that_postcode(how: str, code: int) -> None:
    rules = LocaleRules.model_validate({"currency": "EUR", "digits": how})
    assert best("de-DE", "postcode", pack("de-DE", rules).say(f"{code:05}", "digits")) == f"{code:05}"


@given(code=st.integers(100000, 999999))
def test_an_indian_pin_that_is_said_is_read_as_that_pin(code: int) -> None:
    assert best("hi-IN+en-IN", "postcode", pack("hi-IN+en-IN").say(str(code), "digits")) == str(code)


@pytest.mark.parametrize(("locale", "region", "prefix"), [("en-GB", "GB", "07400"), ("de-DE", "DE", "0171")])
@given(rest=st.integers(100000, 999999))
def test_a_telephone_number_that_is_said_is_read_as_that_number(
    locale: str, region: str, prefix: str, rest: int
) -> None:
    number = phonenumbers.parse(f"{prefix}{rest}{'' if region == 'GB' else '1'}", region)
    national = phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.NATIONAL)
    e164 = phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
    assert best(locale, "phone", pack(locale).say(national, "digits")) == e164
    assert best(locale, "phone", national) == e164


@pytest.mark.parametrize("locale", COMPLETE)
@given(account=st.integers(0, 10**18 - 1))
def test_an_iban_that_is_spelled_is_read_as_that_iban(locale: str, account: int) -> None:
    body = f"{account:018}"
    number = f"DE{iban.calc_check_digits(f'DE00{body}')}{body}"
    assert best(locale, "iban", pack(locale).say(number, "spell")) == number
    assert best(locale, "iban", " ".join(number[at : at + 4] for at in range(0, 22, 4))) == number


@given(text=st.text(max_size=60))
def test_no_text_whatever_breaks_a_grammar(text: str) -> None:
    kinds = ("digits", "spelling", "money", "date", "text", "phone", "iban", "postcode", "yes_no")
    for locale in (*COMPLETE, "hi-IN+en-IN"):
        for kind in kinds:
            for reading in pack(locale).read(slot(kind), text, today=TODAY):
                assert 0 <= reading.confidence <= 1
        pack(locale).repair(text), pack(locale).reference(text, 3), pack(locale).cancel(text)


@given(words=st.lists(st.sampled_from(VALUE_WORDS), max_size=9))
def test_no_row_of_value_words_breaks_a_grammar(words: list[str]) -> None:
    for kind in ("digits", "spelling", "money", "date", "phone", "iban", "postcode"):
        for reading in pack("en-GB").read(slot(kind), " ".join(words), today=TODAY):
            assert 0 <= reading.confidence <= 1
