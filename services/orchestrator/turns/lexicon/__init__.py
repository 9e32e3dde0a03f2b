"""What a language's words say about turns: data per language, no behaviour."""

from services.orchestrator.turns.lexicon import de, en, es, fr
from services.orchestrator.turns.lexicon.words import Lexicon

_BY_LANGUAGE = {"en": en.LEXICON, "de": de.LEXICON, "es": es.LEXICON, "fr": fr.LEXICON}
# A language without a lexicon: punctuation and audio decide alone.
_UNKNOWN = Lexicon("und")


def lexicon(locale: str) -> Lexicon:
    """The lexicon of a BCP 47 locale ("de-CH" → German); one without words for a language we have none for."""
    return _BY_LANGUAGE.get(locale.replace("_", "-").split("-", 1)[0].lower(), _UNKNOWN)
