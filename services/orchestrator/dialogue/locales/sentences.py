"""What a dialogue says by itself, where bundles/standard.py does not: informal German, Hindi, and a few more questions.

A sentence is looked for here in the locale and formality that the bundle states, then among the standard ones. Places
are as theirs: `{option.first}`, `{option.second}`; `{options}` is a spoken list.
"""

from collections.abc import Mapping
from typing import Literal

from services.orchestrator.bundles.standard import STANDARD_NAMES, standard

Formality = Literal["neutral", "formal", "informal"]

ENGLISH: Mapping[str, str] = {
    "talk.which_of": "Which one is it: {options}?",
    "talk.confirm_again": "Let me read that again.",
    "talk.not_finished": "I was not able to finish. Shall I read it again?",
    "talk.callback": "Nobody is free right now. Shall we call you back?",
    "talk.callback_noted": "We will call you back.",
}
GERMAN: Mapping[str, str] = {
    "talk.which_of": "Welche meinen Sie: {options}?",
    "talk.confirm_again": "Ich lese es noch einmal vor.",
    "talk.not_finished": "Ich konnte nicht zu Ende lesen. Soll ich es noch einmal vorlesen?",
    "talk.callback": "Gerade ist niemand frei. Sollen wir Sie zurückrufen?",
    "talk.callback_noted": "Wir rufen Sie zurück.",
}
# Only what differs: most German sentences address nobody.
GERMAN_INFORMAL: Mapping[str, str] = {
    **GERMAN,
    "talk.open": "Wie kann ich dir helfen?",
    "talk.more": "Kann ich sonst noch etwas für dich tun?",
    "talk.which": "Meinst du {option.first} oder {option.second}?",
    "talk.which_of": "Welche meinst du: {options}?",
    "talk.unknown": "Ich kann nicht sicher sagen, ob das geklappt hat. Jemand prüft es und ruft dich zurück.",
    "talk.review": "Das muss sich zuerst jemand ansehen. Wir rufen dich zurück.",
    "talk.person": "Ich verbinde dich.",
    "talk.identify": "Bitte gib deinen Code über die Tasten ein.",
    "talk.welcome_back": "Wir wurden getrennt. Ich habe noch alles, was du mir gesagt hast.",
    "talk.callback": "Gerade ist niemand frei. Sollen wir dich zurückrufen?",
    "talk.callback_noted": "Wir rufen dich zurück.",
}
# Not yet heard by a Hindi speaker on a telephone; polite form throughout.
HINDI: Mapping[str, str] = {
    "talk.open": "मैं आपकी क्या मदद कर सकता हूँ?",
    "talk.more": "क्या मैं आपकी और कोई मदद कर सकता हूँ?",
    "talk.not_heard": "माफ़ कीजिए, मैं समझ नहीं पाया।",
    "talk.which": "आपका मतलब {option.first} है या {option.second}?",
    "talk.which_goal": "बात {option.first} की है या {option.second} की?",
    "talk.which_of": "इनमें से कौन सा: {options}?",
    "talk.is_it": "क्या यह {option.first} है?",
    "talk.none_found": "मुझे वह नहीं मिला।",
    "talk.change": "ठीक है, मैं यह नहीं करूँगा। क्या बदलना है?",
    "talk.cancelled": "ठीक है, रहने देते हैं।",
    "talk.too_late": "यह पहले ही भेजा जा चुका है, अब मैं इसे रोक नहीं सकता।",
    "talk.back_to": "अब {option.first}।",
    "talk.later": "इसके बाद {option.first}।",
    "talk.goodbye": "धन्यवाद, नमस्ते।",
    "talk.working": "मैं अभी सिस्टम का इंतज़ार कर रहा हूँ।",
    "talk.not_allowed": "मैं यह नहीं कर सकता।",
    "talk.refused": "यह स्वीकार नहीं हुआ, कुछ भी बदला नहीं गया।",
    "talk.down": "मैं अभी उस सिस्टम तक नहीं पहुँच पा रहा हूँ।",
    "talk.unknown": "मैं पक्का नहीं कह सकता कि वह हुआ या नहीं। कोई देखेगा और आपको फ़ोन करेगा।",
    "talk.review": "पहले किसी को यह देखना होगा। हम आपको फ़ोन करेंगे।",
    "talk.mismatch": "आपने पहले यही दूसरे विवरण के साथ माँगा था। किसी को दोनों देखने होंगे।",
    "talk.already": "यह पहले ही हो चुका है।",
    "talk.done": "हो गया।",
    "talk.person": "मैं आपको जोड़ रहा हूँ।",
    "talk.identify": "कृपया अपना कोड फ़ोन पर दबाइए।",
    "talk.not_identified": "यह हमारी जानकारी से मेल नहीं खाता।",
    "talk.trouble": "माफ़ कीजिए, हमारी तरफ़ कुछ काम नहीं कर रहा।",
    "talk.welcome_back": "लाइन कट गई थी। आपने जो बताया था, वह मेरे पास है।",
    "talk.confirm_again": "मैं फिर से पढ़ता हूँ।",
    "talk.not_finished": "मैं पूरा नहीं पढ़ पाया। क्या फिर से पढ़ूँ?",
    "talk.callback": "अभी कोई खाली नहीं है। क्या हम आपको फ़ोन करें?",
    "talk.callback_noted": "हम आपको फ़ोन करेंगे।",
}
_TABLES: Mapping[tuple[str, Formality], Mapping[str, str]] = {
    ("de", "informal"): GERMAN_INFORMAL,
    ("de", "formal"): GERMAN,
    ("de", "neutral"): GERMAN,
}
_LANGUAGES: Mapping[str, Mapping[str, str]] = {"en": ENGLISH, "de": GERMAN, "hi": HINDI}
NAMES = STANDARD_NAMES | frozenset(ENGLISH)


def sentence(name: str, language: str, formality: Formality) -> str:
    """The sentence with its places. Raises KeyError for a name that is not in NAMES."""
    own = _TABLES.get((language, formality), _LANGUAGES[language])
    return own[name] if name in own else standard(name, language).text
