"""Words per language that decide where speech may be cut; a language without an entry is cut at punctuation only."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class LanguageWords:
    """What to know of a language.

    `abbreviations` end with a full stop that ends nothing (here without it, lower case). A clause may begin with
    `conjunctions`, at a pinch with `prepositions`. No cut comes after `leaning` words. `ordinal_dots`: "3. Mai" is
    one thing.
    """

    abbreviations: frozenset[str] = frozenset()
    conjunctions: frozenset[str] = frozenset()
    prepositions: frozenset[str] = frozenset()
    leaning: frozenset[str] = frozenset()
    ordinal_dots: bool = True


def _words(*lines: str) -> frozenset[str]:
    return frozenset(word for line in lines for word in line.split())


_LANGUAGES = {
    "en": LanguageWords(
        abbreviations=_words(
            "mr mrs ms dr prof st sr jr no nos vs approx ave blvd rd dept est ext fig inc ltd co corp",
            "jan feb mar apr jun jul aug sep sept oct nov dec mon tue wed thu fri",
            "e.g i.e etc cf capt col gen lt rev hon a.m p.m u.s u.k",
        ),
        conjunctions=_words("and but or because which if when while unless although"),
        prepositions=_words(
            "in on at for with by from to as after before during through about between into over under"
        ),
        leaning=_words(
            "a an the of to in on at for with by from as is are was were be been and or but not no",
            "my your his her its our their this that these those i you he she we they it",
            "will would can could may must shall should have has had do does did if when mr mrs ms dr very",
        ),
        ordinal_dots=False,
    ),
    "de": LanguageWords(
        abbreviations=_words(
            "hr fr dr prof nr str bzw ca usw etc evtl ggf inkl mind max min tel vgl abs art st std bspw geb gem zzgl",
            "z.b d.h u.a o.ä z.t i.d.r s.o s.u jan feb mär apr jun jul aug sep sept okt nov dez",
        ),
        conjunctions=_words("und aber oder denn weil dass ob wenn als während obwohl sondern damit bevor nachdem"),
        prepositions=_words(
            "in im an am auf für mit von vom zu zum zur bei nach aus über unter zwischen durch gegen um"
        ),
        leaning=_words(
            "der die das den dem des ein eine einen einem einer eines in im an am auf für mit von vom zu zum zur",
            "bei nach aus ist sind war und oder aber nicht kein keine mein ihr ihre sein ich sie er es wir",
            "hat haben wird werden herr frau dr wenn ob dass sehr",
        ),
    ),
}


def words_of(locale: str) -> LanguageWords:
    """The words of a BCP 47 locale's language."""
    return _LANGUAGES.get(locale.split("-")[0].lower(), LanguageWords())
