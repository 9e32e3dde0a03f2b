"""The content of a free answer: what is left when carrier phrases ("my new address is") and politeness are gone."""

from collections.abc import Sequence

from services.orchestrator.dialogue.locales.settle import Asked, Found
from services.orchestrator.dialogue.locales.tokens import Token, mask, starts, texts

CONTENT = 0.92
# A question is rarely an answer.
ASKING = 0.4


def read_text(tokens: Sequence[Token], text: str, asked: Asked) -> list[Found]:
    """The content words as they were heard, or nothing."""
    language = asked.language
    start, end = 0, len(tokens)
    while start < end and (size := starts(tokens[:end], start, language.text_openings)):
        start += size
    while end > start:
        size = next((len(p) for p in language.text_closings if texts(tokens[max(start, end - len(p)) : end]) == p), 0)
        if not size:
            break
        end -= size
    repaired = next((at + size for at, size in _repairs(tokens, start, end, asked) if at + size < end), start)
    start = repaired
    content = [token for token in tokens[start:end] if token.text not in language.carriers or token.numeral]
    if not content or _no_answer(tokens, asked):
        return []
    kept = [tokens[start]]
    parts = [tokens[start].raw]
    for token in tokens[start + 1 : end]:
        between = text[kept[-1].end : token.start]
        parts.append((between if not any(char.isalnum() for char in between) else " ") + token.raw)
        kept.append(token)
    asking = text.rstrip().endswith("?")
    return [Found("".join(parts), start, end, ASKING if asking else CONTENT)]


def _no_answer(tokens: Sequence[Token], asked: Asked) -> bool:
    """Nothing beside "I don't know", "what", "wait" and words that carry nothing."""
    language = asked.language
    nothing = mask(tokens, (*language.no_answer, *language.unsure, *language.hold, *language.repeat, *language.repairs))
    rest = [i for i, token in enumerate(tokens) if i not in nothing and token.text not in language.carriers]
    return bool(nothing) and not rest


def _repairs(tokens: Sequence[Token], start: int, end: int, asked: Asked) -> list[tuple[int, int]]:
    """The last correction inside the answer, if any."""
    found = []
    for at in range(start, end):
        size = starts(tokens[:end], at, asked.language.repairs)
        if size:
            found.append((at, size))
    return found[-1:]
