"""Sentences every agent needs and few want to write: asking back, going on, being honest about what did not work.

A bundle says them in its own words by giving a prompt of the same name. Places: `{option.first}` and `{option.second}`
are what a clarification names (Say.options, filled by the same rules as any sentence).
"""

from collections.abc import Mapping

from services.orchestrator.bundles.model import Prompt

_EN = {
    "talk.open": "How can I help you?",
    "talk.more": "Is there anything else I can do for you?",
    "talk.not_heard": "Sorry, I did not catch that.",
    "talk.which": "Do you mean {option.first}, or {option.second}?",
    "talk.which_goal": "Is it about {option.first}, or about {option.second}?",
    "talk.is_it": "Is that {option.first}?",
    "talk.none_found": "I cannot find that one.",
    "talk.change": "All right, I will not do that. What should be different?",
    "talk.cancelled": "All right, I will leave that.",
    "talk.take_back": "That has not been done yet. Shall I take back {option.first}?",
    "talk.taken_back": "I have taken that back, so it will not be done.",
    "talk.kept": "All right, it stays as it is.",
    "talk.nothing_waits": "There is nothing of that waiting to be done.",
    "talk.too_late": "That is on its way already, so I cannot stop it now.",
    "talk.back_to": "Now to {option.first}.",
    "talk.later": "I will come to {option.first} after this.",
    "talk.working": "I am still waiting for the system.",
    "talk.not_allowed": "I am not able to do that.",
    "talk.refused": "That was not accepted, and nothing was changed.",
    "talk.down": "I cannot reach the system for that right now.",
    "talk.unknown": "I cannot tell for certain whether that went through. A colleague will check and call you back.",
    "talk.review": "A colleague has to look at this first. We will call you back.",
    "talk.mismatch": "You asked for that before with other details. A colleague has to look at both.",
    "talk.already": "That has been done already.",
    "talk.done": "That is done.",
    "talk.person": "I am connecting you to a colleague.",
    "talk.identify": "Please key in your code.",
    "talk.not_identified": "That does not match what we have.",
    "talk.trouble": "Sorry, something on our side is not working.",
    "talk.goodbye": "Thank you for calling. Goodbye.",
    "talk.welcome_back": "We were cut off. I still have everything you told me.",
}
_DE = {
    "talk.open": "Wie kann ich Ihnen helfen?",
    "talk.more": "Kann ich sonst noch etwas für Sie tun?",
    "talk.not_heard": "Das habe ich leider nicht verstanden.",
    "talk.which": "Meinen Sie {option.first} oder {option.second}?",
    "talk.which_goal": "Geht es um {option.first} oder um {option.second}?",
    "talk.is_it": "Ist das {option.first}?",
    "talk.none_found": "Das kann ich nicht finden.",
    "talk.change": "Gut, das mache ich nicht. Was soll anders sein?",
    "talk.cancelled": "Gut, das lassen wir.",
    "talk.take_back": "Das ist noch nicht geschehen. Soll ich {option.first} zurücknehmen?",
    "talk.taken_back": "Das ist zurückgenommen und geschieht nicht mehr.",
    "talk.kept": "Gut, es bleibt dabei.",
    "talk.nothing_waits": "Davon steht nichts mehr aus.",
    "talk.too_late": "Das ist schon unterwegs, ich kann es nicht mehr aufhalten.",
    "talk.back_to": "Jetzt zu: {option.first}.",
    "talk.later": "Danach geht es weiter mit: {option.first}.",
    "talk.working": "Ich warte noch auf das System.",
    "talk.not_allowed": "Das kann ich nicht tun.",
    "talk.refused": "Das wurde nicht angenommen, es wurde nichts geändert.",
    "talk.down": "Ich erreiche das System dafür gerade nicht.",
    "talk.unknown": "Ich kann nicht sicher sagen, ob das geklappt hat. Jemand prüft es und ruft Sie zurück.",
    "talk.review": "Das muss sich zuerst jemand ansehen. Wir rufen Sie zurück.",
    "talk.mismatch": "Darum ging es schon einmal mit anderen Angaben. Das muss sich jemand ansehen.",
    "talk.already": "Das ist bereits geschehen.",
    "talk.done": "Das ist erledigt.",
    "talk.person": "Ich verbinde Sie.",
    "talk.identify": "Bitte geben Sie Ihren Code über die Tasten ein.",
    "talk.not_identified": "Das stimmt nicht mit unseren Angaben überein.",
    "talk.trouble": "Entschuldigung, bei uns funktioniert gerade etwas nicht.",
    "talk.goodbye": "Vielen Dank für Ihren Anruf. Auf Wiederhören.",
    "talk.welcome_back": "Wir wurden getrennt. Ich habe noch alles, was Sie mir gesagt haben.",
}
STANDARD: Mapping[str, Mapping[str, Prompt]] = {
    language: {name: Prompt(text=text) for name, text in sentences.items()}
    for language, sentences in (("en", _EN), ("de", _DE))
}
STANDARD_NAMES = frozenset(_EN)


def standard(prompt_id: str, locale: str) -> Prompt:
    """In the language of `locale`, in English where there is none. Raises KeyError for no such sentence."""
    return STANDARD.get(locale.split("-")[0], STANDARD["en"])[prompt_id]
