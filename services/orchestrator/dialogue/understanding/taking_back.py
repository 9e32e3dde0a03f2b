"""Which act of before is not wanted any more: "forget about the refund", "die Sperrung doch nicht". Pure; no model.

Never in the words of a wish: "cancel my card" is one of the bank's own phrases. Nothing is taken back by this; what
waits is looked up, named, and asked about.
"""

from collections.abc import Sequence

from services.orchestrator.bundles.bundle import Bundle
from services.orchestrator.dialogue.locales.language import Language
from services.orchestrator.dialogue.locales.tokens import mask, tokens_of
from services.orchestrator.dialogue.understanding.examples import plain
from services.orchestrator.dialogue.understanding.vague import named, small


def not_wanted(said: str, bundle: Bundle, locale: str, language: Language, goals: Sequence[str]) -> str:
    """The goal, one that acts; empty: none is meant, or it is not clear which."""
    tokens = tokens_of(said, language.fillers)
    plainly = mask(tokens, language.take_back)
    taken = plainly or mask(tokens, language.take_back_softly)
    if not taken:
        return ""
    words = {token.text for token in tokens}
    verb = {tokens[at].text for at in taken}
    things = {t.text for at, t in enumerate(tokens) if at not in taken and t.text not in small(locale)}
    found: dict[str, int] = {}
    for goal in goals:
        spec = bundle.goals[goal]
        for phrase in spec.entry[locale]:
            content = set(plain(phrase).split()) - small(locale)
            if content & verb and content <= words:
                return ""
        tools = [bundle.tools[name] for name in spec.do if bundle.tools[name].writes]
        if tools and (plainly or any(tool.queues for tool in tools)):
            found[goal] = len(named(things, bundle, goal, locale)) if things else 0
    best = max(found.values(), default=0)
    meant = [goal for goal, count in found.items() if count == best]
    return meant[0] if things and best == len(things) and len(meant) == 1 else ""
