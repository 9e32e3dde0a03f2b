"""Telephone numbers, IBANs and postcodes: what is valid by its own rules, from figures, words and spelled letters."""

import re
from collections.abc import Callable, Iterator, Sequence

import phonenumbers
from stdnum import iban

from services.orchestrator.dialogue.locales.digits import runs
from services.orchestrator.dialogue.locales.language import Language
from services.orchestrator.dialogue.locales.settle import SURE, Asked, Found
from services.orchestrator.dialogue.locales.spelling import Spelled, spelled
from services.orchestrator.dialogue.locales.tokens import Token

# Of the right form by a change of one misheard character; possible, but in no range that is given out.
MENDED = 0.7
POSSIBLE = 0.5
VALID = 0.96
# A letter or digit beside a postcode makes it less sure; with more of them it is none.
STRAY, MOST_STRAY = 0.08, 3
_IBAN_LENGTHS = range(15, 35)
_PLAUSIBLE_IBAN = re.compile(r"(?=([A-Z]{2}[0-9OI]{2}[A-Z0-9]{11,30}))")
# Digits that are taken for each other on a telephone, in English and German.
_DIGIT_PAIRS = (("5", "9"), ("2", "3"), ("6", "7"))
_AS_DIGIT = {"O": "0", "I": "1"}
_AS_LETTER = {"0": "O", "1": "I"}
_SHAPES = ("LL9L9LL", "LL999LL", "LL99LL", "L9L9LL", "L999LL", "L99LL")


def read_phone(tokens: Sequence[Token], asked: Asked) -> list[Found]:
    """E.164. A number of the locale's country needs no country code."""
    found = []
    for run in runs(tokens, asked.language):
        plus = run.start > 0 and tokens[run.start - 1].text in ("+", "plus")
        # "Twenty seven" is 27, or 20 and 7: what is a number that is given out decides.
        forms = [_e164(("+" if plus else "") + digits, asked.language.region) for digits in (run.digits, run.split)]
        best = max((form for form in forms if form), key=lambda form: form[1], default=None)
        if best:
            found.append(Found(best[0], run.start - plus, run.end, best[1]))
    return found


def _e164(digits: str, region: str) -> tuple[str, float] | None:
    try:
        number = phonenumbers.parse(digits, region)
    except phonenumbers.NumberParseException:
        return None
    if not phonenumbers.is_possible_number(number):
        return None
    sure = VALID if phonenumbers.is_valid_number(number) else POSSIBLE
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164), sure


def read_iban(tokens: Sequence[Token], asked: Asked) -> list[Found]:
    """An IBAN whose check digits hold; one misheard character is mended, and less sure."""
    found = []
    for one in _stretches(tokens, asked.language):
        exact, mended = _iban_in(one.text, asked.language)
        if exact:
            found.append(Found(exact, one.start, one.end, VALID))
        elif mended:
            found.append(Found(mended[0], one.start, one.end, MENDED, tuple(mended[1:])))
    return found


def read_postcode(tokens: Sequence[Token], asked: Asked) -> list[Found]:
    """ "SW1A 1AA", five digits in Germany, six in India: of the region of the locale."""
    return _POSTCODES[asked.language.region](tokens, asked)


def _stretches(tokens: Sequence[Token], language: Language) -> Iterator[Spelled]:
    """Spelled stretches; and figures and letters as a recogniser groups them ("de89 3704 0044")."""
    for one in spelled(tokens, language):
        yield Spelled(re.sub(r"[^A-Z0-9]", "", one.text.upper()), one.start, one.end, one.sure)
    grouped = [token for token in tokens if token.raw.isalnum() and token.text.isascii()]
    if grouped:
        text = "".join(token.text for token in grouped).upper()
        yield Spelled(text, tokens.index(grouped[0]), tokens.index(grouped[-1]) + 1, SURE)


def _iban_in(text: str, language: Language) -> tuple[str, list[str]]:
    candidates = [match[1] for match in _PLAUSIBLE_IBAN.finditer(text)]
    for candidate in candidates:
        head = candidate[:2] + "".join(_AS_DIGIT.get(char, char) for char in candidate[2:4])
        whole = head + candidate[4:]
        for body in (whole, head + whole[4:].replace("O", "0")):
            for length in _IBAN_LENGTHS:
                if length <= len(body) and iban.is_valid(body[:length]):
                    return body[:length], []
    mended = [fixed for candidate in candidates[:1] for fixed in _mended(candidate, language)]
    return "", mended


def _mended(text: str, language: Language) -> Iterator[str]:
    swaps = dict[str, set[str]]()
    for a, b in (*_DIGIT_PAIRS, *language.letter_pairs):
        swaps.setdefault(a.upper(), set()).add(b.upper())
        swaps.setdefault(b.upper(), set()).add(a.upper())
    for index, char in enumerate(text):
        for other in sorted(swaps.get(char, ())):
            changed = text[:index] + other + text[index + 1 :]
            if iban.is_valid(changed):
                yield changed


def _british(tokens: Sequence[Token], asked: Asked) -> list[Found]:
    best: list[Found] = []
    for one in _stretches(tokens, asked.language):
        for found in _shaped(one.text):
            rest = len(one.text) - len(found.replace(" ", ""))
            if rest <= MOST_STRAY:
                best.append(Found(found, one.start, one.end, VALID - STRAY * rest))
    best.sort(key=lambda found: -found.sure)
    return best[:1]


def _shaped(text: str) -> list[str]:
    """What has the shape of a postcode, best first: the longest, then with the fewest "oh" taken for noughts."""
    found: list[tuple[int, int, str]] = []
    for shape in _SHAPES:
        for start in range(len(text) - len(shape) + 1):
            heard = text[start : start + len(shape)]
            made = "".join(
                (_AS_DIGIT if kind == "9" else _AS_LETTER).get(char, char)
                for char, kind in zip(heard, shape, strict=True)
            )
            if all(char.isdigit() == (kind == "9") for char, kind in zip(made, shape, strict=True)):
                changed = sum(a != b for a, b in zip(heard, made, strict=True))
                found.append((len(text) - len(shape), changed, f"{made[:-3]} {made[-3:]}"))
    return [postcode for _, _, postcode in sorted(found)]


def _of_digits(length: int, valid: re.Pattern[str]) -> Callable[[Sequence[Token], Asked], list[Found]]:
    def read(tokens: Sequence[Token], asked: Asked) -> list[Found]:
        found = []
        for run in runs(tokens, asked.language):
            for digits, sure in ((run.digits, VALID), (run.split, POSSIBLE + 0.3)):
                if len(digits) == length and valid.fullmatch(digits):
                    found.append(Found(digits, run.start, run.end, sure))
                    break
        return found

    return read


_POSTCODES: dict[str, Callable[[Sequence[Token], Asked], list[Found]]] = {
    "GB": _british,
    "DE": _of_digits(5, re.compile(r"0[1-9]\d{3}|[1-9]\d{4}")),
    "IN": _of_digits(6, re.compile(r"[1-9]\d{5}")),
}
