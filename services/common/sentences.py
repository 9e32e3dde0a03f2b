"""What an agent says by itself, per locale, as data: the defaults of `agent.*` until a site or a bundle sets its own.

A locale takes what it does not say from its language, an unknown language from English. Keys are those of
`AgentSettings`; `fillers` are said one after the other while an answer takes long.
"""

from collections.abc import Mapping

Sentence = str | tuple[str, ...]

ENGLISH: Mapping[str, Sentence] = {
    "system_prompt": (
        "You are the voice assistant of a company, on the telephone. Answer in one or two short spoken "
        "sentences, without lists, symbols or markup. If you did not understand, say so and ask."
    ),
    "greeting": "Hello, you are talking to an automated assistant. How can I help you?",
    "disclosure": "",
    "apology_retry": "Sorry, give me a moment, please.",
    "apology_goodbye": "I am sorry, we have a technical problem. Please call again later. Goodbye.",
    "reprompt": "Are you still there?",
    "reprompt_simpler": "I cannot hear you. Please say in a few words what you need.",
    "reprompt_offer": "I still cannot hear you. If you hear me, press any key on your telephone.",
    "goodbye": "I cannot hear you, so I will end the call. Goodbye.",
    "time_over": "We have come to the longest time a call may take. Goodbye.",
    "not_understood": "Sorry, I did not catch that. Could you say it again?",
    "not_understood_score": "Sorry, the line is not clear. Please say that once more, a little slower.",
    "not_understood_language": "Sorry, I understand English only. Could you say that in English?",
    "fillers": ("One moment.", "I am still on it.", "Thank you for waiting."),
    "keyed": "I pressed {keys} on my telephone.",
    "call_back": "I am sorry, nobody can take your call right now. We will call you back. Goodbye.",
    "nobody_there": "I am sorry, nobody can take your call right now. Please call again later. Goodbye.",
}

GERMAN: Mapping[str, Sentence] = {
    "system_prompt": (
        "Du bist der Sprachassistent einer Firma am Telefon. Antworte auf Deutsch in ein oder zwei kurzen "
        "gesprochenen Sätzen, ohne Listen, Zeichen oder Auszeichnung, und sprich den Anrufer mit Sie an. Wenn du "
        "etwas nicht verstanden hast, sage es und frage nach."
    ),
    "greeting": "Guten Tag, Sie sprechen mit einem automatischen Assistenten. Wie kann ich Ihnen helfen?",
    "disclosure": "",
    "apology_retry": "Entschuldigung, einen Moment bitte.",
    "apology_goodbye": "Es tut mir leid, wir haben eine technische Störung. Bitte rufen Sie später noch einmal an. "
    "Auf Wiederhören.",
    "reprompt": "Sind Sie noch da?",
    "reprompt_simpler": "Ich kann Sie nicht hören. Bitte sagen Sie mit wenigen Worten, worum es geht.",
    "reprompt_offer": "Ich höre Sie noch immer nicht. Wenn Sie mich hören, drücken Sie bitte eine Taste.",
    "goodbye": "Ich kann Sie nicht hören und beende deshalb das Gespräch. Auf Wiederhören.",
    "time_over": "Wir haben die längste Dauer eines Gesprächs erreicht. Auf Wiederhören.",
    "not_understood": "Entschuldigung, das habe ich nicht verstanden. Können Sie es bitte wiederholen?",
    "not_understood_score": "Entschuldigung, die Verbindung ist undeutlich. Sagen Sie es bitte noch einmal, etwas "
    "langsamer.",
    "not_understood_language": "Entschuldigung, ich verstehe nur Deutsch. Können Sie das bitte auf Deutsch sagen?",
    "fillers": ("Einen Moment.", "Ich bin noch dabei.", "Danke, dass Sie warten."),
    "keyed": "Ich habe {keys} auf dem Telefon gedrückt.",
    "call_back": "Es tut mir leid, im Moment ist niemand frei. Wir rufen Sie zurück. Auf Wiederhören.",
    "nobody_there": "Es tut mir leid, im Moment ist niemand frei. Bitte rufen Sie später noch "
    "einmal an. Auf Wiederhören.",
}

LOCALES: Mapping[str, Mapping[str, Sentence]] = {
    "en-US": ENGLISH,
    "en-GB": {
        **ENGLISH,
        "apology_retry": "Sorry, bear with me a moment, please.",
        "apology_goodbye": "I am sorry, we have a technical problem. Please ring again later. Goodbye.",
        "fillers": ("Bear with me.", "I am still on it.", "Thank you for waiting."),
    },
    "de-DE": GERMAN,
}
_LANGUAGES: Mapping[str, Mapping[str, Sentence]] = {"en": ENGLISH, "de": GERMAN}


def sentences_of(locale: str) -> Mapping[str, Sentence]:
    """The sentences of a BCP 47 locale: its own, or its language's, or English."""
    return LOCALES.get(locale) or _LANGUAGES.get(locale.split("-")[0].lower(), ENGLISH)
