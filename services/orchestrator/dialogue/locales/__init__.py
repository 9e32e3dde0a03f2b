"""Locales: what callers' words say in each, and how values are spoken. `pack(locale)` is the way in.

en-GB and de-DE are complete. en-IN and hi-IN+en-IN read and say numbers, amounts, days, yes and no (hindi.py says what
they do not); nothing of Hindi was measured with a recogniser or a voice.
"""

from services.orchestrator.bundles.model import LocaleRules
from services.orchestrator.dialogue.locales.answers import NO_REFERENCE, NoReference
from services.orchestrator.dialogue.locales.english import BRITISH, INDIAN
from services.orchestrator.dialogue.locales.german import GERMAN
from services.orchestrator.dialogue.locales.hindi import MIXED
from services.orchestrator.dialogue.locales.pack import LocalePack
from services.orchestrator.dialogue.locales.saying import UnsayableError

__all__ = ["LOCALES", "NO_REFERENCE", "LocalePack", "NoPackError", "NoReference", "UnsayableError", "pack"]

_RUPEES = LocaleRules(currency="INR")
_PACKS = {
    "en-GB": LocalePack("en-GB", "en", BRITISH, LocaleRules(currency="GBP")),
    "de-DE": LocalePack("de-DE", "de", GERMAN, LocaleRules(currency="EUR", digits="pairs", formality="formal")),
    "en-IN": LocalePack("en-IN", "en", INDIAN, _RUPEES),
    "hi-IN": LocalePack("hi-IN", "hi", MIXED, _RUPEES),
    "hi-IN+en-IN": LocalePack("hi-IN+en-IN", "hi", MIXED, _RUPEES),
}
LOCALES = tuple(_PACKS)


class NoPackError(LookupError):
    """There is no pack for a locale."""

    def __init__(self, locale: str) -> None:
        super().__init__(
            f"no locale pack for {locale!r}; there are {', '.join(LOCALES)}: use one of them in agent.yaml"
        )


def pack(locale: str, rules: LocaleRules | None = None) -> LocalePack:
    """The pack of a locale, under the bundle's rules for it if they are given. Raises NoPackError."""
    try:
        found = _PACKS[locale]
    except KeyError:
        raise NoPackError(locale) from None
    return found.under(rules) if rules is not None else found
