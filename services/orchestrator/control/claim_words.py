"""Words that claim: outcome verbs, months, days, number words the readers miss, per language. Data.

A language that is not here has no guard, so its free text is never said.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ClaimWords:
    """One language. `outcomes`: what tells that something was, is being or will be done."""

    outcomes: tuple[re.Pattern[str], ...]
    months: frozenset[str]
    days: frozenset[str]
    # Times relative to now: a promise when nobody knows.
    relative: re.Pattern[str]
    # Number words that stay words after text2num, and shares.
    numbers: re.Pattern[str]
    # What is only an article or an idiom in these phrases.
    harmless: re.Pattern[str]


def _any(*patterns: str) -> tuple[re.Pattern[str], ...]:
    return tuple(re.compile(pattern, re.IGNORECASE) for pattern in patterns)


_EN_DONE = (
    "(?:un)?blocked|cancell?ed|refunded|credited|debited|transferred|sent|booked|rebooked|changed|updated|"
    "processed|complete|completed|confirmed|approved|declined|rejected|refused|activated|deactivated|issued|reversed|paid|"
    "closed|opened|ordered|submitted|rescheduled|moved|done|sorted|resolved|arranged|registered|recorded|noted|added|"
    "removed|deleted|renewed|replaced|frozen|stopped|placed|made|taken|set|fixed|settled|executed|initiated|requested|"
    "scheduled|verified|identified|authori[sz]ed|reported|logged|filed|raised|waived|returned|received|posted|saved|"
    "finished|successful|locked|unlocked|charged|withdrawn|deposited|granted"
)
_EN_DO = (
    "block|cancel|refund|credit|transfer|send|book|change|update|process|complete|approve|activate|issue|reverse|pay|"
    "close|open|order|submit|reschedule|move|arrange|register|record|add|remove|delete|renew|replace|freeze|stop|place|"
    "fix|waive|return|lock|unlock|charge|deposit|grant"
)
_EN_DOING = (
    "block|cancell?|refund|credit|transferr|send|book|chang|updat|process|approv|pay|clos|mov|reschedul|revers|issu|"
    "freez|lock"
)
_EN = ClaimWords(
    outcomes=_any(
        rf"\b(?:i|we|they|he|she|it|you|someone|somebody|colleague|bank|system)\b[^.!?]{{0,60}}?\b(?:{_EN_DONE})\b",
        rf"(?:\b(?:is|are|was|were|be|been|being|has|have|had|got|gets|get)|['’](?:s|re|ve|m))\b[^.!?]{{0,60}}?\b(?:{_EN_DONE})\b",
        rf"(?:\b(?:will|shall|going to|gonna|about to)|['’]ll)\b[^.!?]{{0,40}}?\b(?:{_EN_DO})\b",
        rf"(?:\b(?:am|are|is|now)|['’](?:m|re|s))\b[^.!?]{{0,40}}?\b(?:{_EN_DOING})ing\b",
        rf"(?:^|[.!?;:,]\s*)(?:all |it'?s |that'?s |now )?(?:{_EN_DONE})\b",
        r"\bsuccess(?:fully|ful)?\b|\ball set\b|\btaken care\b|\b(?:went|gone|goes) through\b",
        r"\bon (?:its|the) way\b|\byou(?:'ll| will) (?:get|receive|have|see)\b",
        r"\bno longer (?:active|valid|usable)\b|\bmoney back\b|\bgood to go\b",
    ),
    months=frozenset(
        [
            "january",
            "february",
            "march",
            "april",
            "may",
            "june",
            "july",
            "august",
            "september",
            "october",
            "november",
            "december",
            "jan",
            "feb",
            "mar",
            "apr",
            "jun",
            "jul",
            "aug",
            "sep",
            "sept",
            "oct",
            "nov",
            "dec",
        ]
    ),
    days=frozenset(["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"]),
    relative=re.compile(
        r"\b(?:tomorrow|yesterday|tonight|midnight|noon|fortnight|"
        r"(?:next|last|this|past|coming|within|in|after) (?:an? |the |few |next )*"
        r"(?:minutes?|hours?|days?|weeks?|months?|years?))\b",
        re.IGNORECASE,
    ),
    numbers=re.compile(
        r"(?<!\w)(?:zero|nought|nil|one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|\w*teen|twenty|thirty|"
        r"fou?rty|fifty|sixty|seventy|eighty|ninety|hundreds?|thousands?|millions?|billions?|dozens?|half|halves|quarters?|"
        r"thirds?|percent|double|triple|twice|thrice|grand|couple|pair|first|second|fifth|eighth|ninth|twelfth|\w+tieth)(?!\w)",
        re.IGNORECASE,
    ),
    harmless=re.compile(
        r"\b(?:one (?:moment|second|more time|of)|(?:which|that|this|another|no|every|any|each|some|right) one|"
        r"(?:no|any|every|some)one|a second|one another|at first|first of all|first name|may i|may we|may have|you may|"
        r"that may|it may|may be)\b",
        re.IGNORECASE,
    ),
)
_DE_DONE = (
    "gesperrt|entsperrt|storniert|gekündigt|erstattet|zurückerstattet|überwiesen|gutgeschrieben|abgebucht|gebucht|"
    "umgebucht|geändert|aktualisiert|bearbeitet|abgeschlossen|bestätigt|genehmigt|abgelehnt|aktiviert|deaktiviert|"
    "ausgestellt|zurückgebucht|bezahlt|gezahlt|ausgezahlt|geschlossen|eröffnet|bestellt|eingereicht|verschoben|verlegt|"
    "erledigt|geklärt|gelöst|veranlasst|eingetragen|vermerkt|notiert|gespeichert|hinzugefügt|entfernt|gelöscht|"
    "verlängert|ersetzt|eingefroren|gestoppt|aufgegeben|vorgenommen|ausgeführt|durchgeführt|angestoßen|beantragt|"
    "geplant|verifiziert|identifiziert|autorisiert|gemeldet|aufgenommen|erlassen|zurückgegeben|erhalten|verbucht|fertig|"
    "erfolgreich|gesendet|geschickt|verschickt|versandt|umgestellt|freigegeben|eingeleitet|getan|gemacht|belastet"
)
_DE_DO = (
    "sperre|sperren|storniere|stornieren|erstatte|erstatten|überweise|überweisen|buche|buchen|ändere|ändern|"
    "aktualisiere|aktualisieren|genehmige|genehmigen|aktiviere|aktivieren|zahle|zahlen|schließe|schließen|bestelle|"
    "bestellen|verschiebe|verschieben|verlege|verlegen|veranlasse|veranlassen|lösche|löschen|schicke|schicken|sende|"
    "senden|schreibe|gutschreiben|ersetze|ersetzen|erledige|erledigen|zurückrufen"
)
_DE = ClaimWords(
    outcomes=_any(
        rf"\b(?:{_DE_DONE})\b",
        r"\b(?:wurde|wurden|worden)\b",
        rf"\b(?:ich|wir)\s+(?:{_DE_DO})\b|\b(?:wird|werde|werden)\b(?:\W+\w+){{0,6}}?\W+(?:{_DE_DO})\b",
        rf"\b(?:{_DE_DO})\s+(?:ich|wir)\b",
        r"\bunterwegs\b|\bgeld zurück\b|\balles klar, (?:ist|das)\b|\bsie (?:bekommen|erhalten)\b",
    ),
    months=frozenset(
        [
            "januar",
            "jänner",
            "februar",
            "märz",
            "april",
            "mai",
            "juni",
            "juli",
            "august",
            "september",
            "oktober",
            "november",
            "dezember",
        ]
    ),
    days=frozenset(["montag", "dienstag", "mittwoch", "donnerstag", "freitag", "samstag", "sonnabend", "sonntag"]),
    relative=re.compile(
        r"\b(?:gestern|vorgestern|übermorgen|mitternacht)\b|\b(?<!guten )(?-i:morgen)\b|"
        r"\b(?:nächste[nrsm]?|letzte[nrsm]?|diese[nrsm]?|kommende[nrsm]?|in|binnen|innerhalb|nach) (?:\w+ )?"
        r"(?:minuten?|stunden?|tage?n?|wochen?|monate?n?|jahre?n?)\b",
        re.IGNORECASE,
    ),
    numbers=re.compile(
        r"(?<!\w)(?:null|eins|zwei|zwo|drei|vier|fünf|sechs|sieben|acht|neun|zehn|elf|zwölf|\w*zehn|\w*zig|\w*ßig|"
        r"\w*hundert\w*|\w*tausend\w*|million(?:en)?|milliarden?|dutzend|halbe?[nrsm]?|hälfte|viertel|drittel|prozent|"
        r"doppelt\w*|dreifach\w*|zweimal|dreimal|paar|zweite[nrsm]?|dritte[nrsm]?|vierte[nrsm]?|fünfte[nrsm]?|"
        r"ein(?:e|en|er|em|es)? (?:euro|cent|pfund|franken|dollar|prozent|million))(?!\w)",
        re.IGNORECASE,
    ),
    harmless=re.compile(
        r"\b(?:ein(?:en)? moment|in acht|achtung|ein bisschen|einmal|noch einmal|ein paar fragen)\b", re.IGNORECASE
    ),
)
LANGUAGES: Mapping[str, ClaimWords] = {"en": _EN, "de": _DE}
# Units that make a number an amount.
CURRENCIES = re.compile(
    r"[£€$¥₹]|\b(?:pounds?|quid|pence|penny|euros?|cents?|dollars?|francs?|franken|pfund|rupees?|gbp|eur|usd|chf|inr)\b",
    re.IGNORECASE,
)
