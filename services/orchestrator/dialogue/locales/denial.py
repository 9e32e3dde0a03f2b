"""Whether words are denied where they are said: "I don't want to speak to a person", "it is not a fraud". Pure.

Denied only when nothing but small words of the language stands between the denial and what is denied, in one clause,
and the sentence asks for nothing ("why don't you …", "can I not speak to a person?"). In doubt it is not denied: a
person who is given needlessly does less harm than one who is refused.
"""

from collections.abc import Sequence

from services.orchestrator.dialogue.locales.language import Language
from services.orchestrator.dialogue.locales.tokens import Token, starts


def denied(tokens: Sequence[Token], start: int, end: int, language: Language) -> bool:
    """Whether `tokens[start:end]` are denied by what stands before or behind them."""
    denial = language.denial
    clause = _clause(tokens, start)
    if any(starts(tokens, at, denial.asks) for at in range(clause, start)):
        return False
    at = start
    while at > clause:
        if any(starts(tokens[:at], at - len(phrase), (phrase,)) for phrase in denial.before if len(phrase) <= at):
            return True
        if tokens[at - 1].text not in denial.light:
            break
        at -= 1
    # "No, a person" is an answer and a wish; whether a comma was said, a recogniser does not always know.
    if start - 1 > 0 and start > clause and tokens[start - 1].text in denial.directly:
        return True
    return _behind(tokens, end, language)


def _clause(tokens: Sequence[Token], start: int) -> int:
    """Where the clause begins that `start` is in: behind the last comma or stop, as far as one was written."""
    return next((at for at in range(start, 0, -1) if tokens[at].parted), 0)


def _behind(tokens: Sequence[Token], end: int, language: Language) -> bool:
    """ "Einen Mitarbeiter brauche ich nicht", "mit einem Mitarbeiter will ich nicht sprechen"."""
    denial = language.denial
    stop = next((at for at in range(end, len(tokens)) if tokens[at].parted), len(tokens))
    rest = [token.text for token in tokens[end:stop]]
    return any(word in denial.behind for word in rest) and all(word in denial.behind | denial.light for word in rest)
