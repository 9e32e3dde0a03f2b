"""Words that name a matter and no wish: "I have a problem with my card". Pure; no model is asked.

Both opinions are drawn to the goal whose thing is named, and neither sees that nothing of it was asked for. Vague is: a
word of trouble or of asking ("it is about"), and beside small words nothing but things that the bundle's own phrases
name as well, too few of them to be one of those ("a question about my balance" is one: "what is my balance").
"""

from collections.abc import Mapping, Sequence, Set
from typing import Final

from services.orchestrator.bundles.bundle import Bundle
from services.orchestrator.dialogue.locales.language import words
from services.orchestrator.dialogue.understanding.examples import plain

_TROUBLE: Final[Mapping[str, frozenset[str]]] = {
    "en": words(
        """
        problem problems issue issues trouble troubles question questions query queries enquiry help wrong missing
        strange odd weird funny mistake error errors worried concerned happened concerning regarding about
        """
    ),
    "de": words(
        """
        problem probleme schwierigkeiten ärger frage fragen anliegen hilfe falsch fehlt fehlen komisch seltsam
        merkwürdig fehler stimmt sorgen passiert bezüglich wegen geht
        """
    ),
}
_SMALL: Final[Mapping[str, frozenset[str]]] = {
    "en": words(
        """
        i m ve d s re ll t a an the my your our their his her me you we it its is are was were be been am have has had
        having got get there here this that these with on of to for from in at by as and or so do does did can
        could would may need want wanted like some something anything kind sort bit think just really well hello hi
        hey good morning afternoon evening please calling call ringing ring what how if matter seem seems
        """
    ),
    "de": words(
        """
        ich mir mich wir uns sie ihr es er ein eine einen einem einer der die das dem den des mein meine meinen meinem
        meiner mit zu zum zur von vom auf an am im in bei beim für um über und oder so ist sind war habe hab haben hat
        hätte gibt da hier etwas was irgendwas mal wohl ja also hallo guten tag morgen abend bitte rufe ruf anruf
        wie ob nicht kann können könnte möchte wollte brauche glaube
        """
    ),
}
# Shorter words are not looked for inside others ("Karte" in "Kreditkarte").
_LEAST: Final = 4


def vague(said: str, bundle: Bundle, locale: str, goals: Sequence[str]) -> tuple[str, ...]:
    """The goals whose things the words name, in the order of `goals`, when the words are vague; else none."""
    language = locale[:2]
    heard = set(plain(said).split())
    trouble = heard & _TROUBLE.get(language, frozenset())
    things = heard - trouble - small(locale)
    if not trouble or not things:
        return ()
    meant: list[str] = []
    known: set[str] = set()
    for goal in goals:
        if any(
            content and all(any(_holds(thing, word) for thing in things) for word in content)
            for content in _contents(bundle, goal, locale)
        ):
            # All of a phrase was said: that is a wish.
            return ()
        found = named(things, bundle, goal, locale)
        if found and trouble & _values(bundle, goal, locale):
            # "My card is missing" says what is to be done: the word is a value of the goal's.
            return ()
        known |= found
        meant += [goal] if found else []
    return tuple(meant) if known == things else ()


def small(locale: str) -> frozenset[str]:
    """Words that name nothing."""
    return _SMALL.get(locale[:2], frozenset())


def named(things: Set[str], bundle: Bundle, goal: str, locale: str) -> set[str]:
    """Those of the words that a goal's own phrases and its title name as well, alone or within a longer word."""
    known = set().union(*_contents(bundle, goal, locale))
    return {thing for thing in things for word in known if _holds(thing, word) or _holds(word, thing)}


def _contents(bundle: Bundle, goal: str, locale: str) -> list[set[str]]:
    spec = bundle.goals[goal]
    return [set(plain(phrase).split()) - small(locale) for phrase in (*spec.entry[locale], spec.title.get(locale, ""))]


def _values(bundle: Bundle, goal: str, locale: str) -> set[str]:
    slots = (bundle.slots[name] for name in bundle.goals[goal].needs)
    said = (phrase for slot in slots for value in slot.values.values() for phrase in value.get(locale, ()))
    return {word for phrase in said for word in plain(phrase).split()}


def _holds(longer: str, word: str) -> bool:
    return longer == word or (len(word) >= _LEAST and word in longer)
