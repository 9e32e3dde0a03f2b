"""One of the values of an enum by the bundle's words for it, also when they are a little misheard."""

from collections.abc import Sequence

from rapidfuzz import fuzz

from services.orchestrator.dialogue.locales.settle import Asked, Found
from services.orchestrator.dialogue.locales.tokens import Token, texts, tokens_of

EXACT = 0.96
SCATTERED = 0.85
# Below this likeness (0 to 100) other words were said; a short word is like too many others.
LIKE = 82.0
LEAST_LETTERS = 5


def read_enum(tokens: Sequence[Token], asked: Asked) -> list[Found]:
    """The values whose words were said, each once, by its best phrase."""
    found = []
    for value, by_locale in asked.slot.values.items():
        matches = [
            match for phrase in by_locale.get(asked.locale, ()) if (match := _match(tokens, phrase, value, asked))
        ]
        if matches:
            found.append(max(matches, key=lambda match: (match.sure, match.end - match.start)))
    exact = [one for one in found if one.sure == EXACT]
    return exact or found


def _match(tokens: Sequence[Token], phrase: str, value: str, asked: Asked) -> Found | None:
    wanted = texts(tokens_of(phrase, asked.language.fillers))
    size = len(wanted)
    if not wanted:
        return None
    for start in range(len(tokens) - size + 1):
        if texts(tokens[start : start + size]) == wanted:
            return Found(value, start, start + size, EXACT)
    places = [index for index, token in enumerate(tokens) if token.text in wanted]
    if size > 1 and set(wanted) <= {tokens[index].text for index in places}:
        return Found(value, places[0], places[-1] + 1, SCATTERED)
    best: Found | None = None
    for width in (size - 1, size, size + 1):
        for start in range(len(tokens) - width + 1 if width > 0 else 0):
            likeness = fuzz.ratio(" ".join(texts(tokens[start : start + width])), " ".join(wanted))
            sure = 0.5 + 0.35 * (likeness - LIKE) / (100 - LIKE)
            if likeness >= LIKE and len(" ".join(wanted)) >= LEAST_LETTERS and (best is None or sure > best.sure):
                best = Found(value, start, start + width, sure)
    return best
