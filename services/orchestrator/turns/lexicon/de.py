"""German."""

from services.orchestrator.turns.lexicon.words import Lexicon, phrases, words

_ONES = {"eins": "1", "ein": "1", "eine": "1", "zwei": "2", "zwo": "2", "drei": "3", "vier": "4", "fünf": "5"} | {
    "sechs": "6",
    "sieben": "7",
    "acht": "8",
    "neun": "9",
}
_TENS = {"zwanzig": "2", "dreißig": "3", "dreissig": "3", "vierzig": "4", "fünfzig": "5", "sechzig": "6"} | {
    "siebzig": "7",
    "achtzig": "8",
    "neunzig": "9",
}
_TEENS = ["zehn", "elf", "zwölf", "dreizehn", "vierzehn", "fünfzehn", "sechzehn", "siebzehn", "achtzehn", "neunzehn"]

LEXICON = Lexicon(
    language="de",
    open_last=words(
        """und oder aber denn weil wenn dass obwohl während ob sondern sowie als der die das den dem des ein eine einen
        einem einer eines mein meine meinen meinem meiner dein ihr ihre ihren ihrem unser unsere von vom zu zum zur bei
        beim für gegen ohne durch um über unter nach aus in im am ans ins sehr jede jeder jeden kein keine keinen
        würde könnte sollte zwischen wegen damit bevor nachdem sobald bis seit pro"""
    ),
    weak_last=words(
        """ist sind war waren bin habe hat hatte haben kann können will möchte muss soll werde wird ich wir sie er es
        man mit auf an vor so nur noch auch dann also nicht mehr wie was wo wer wann diese dieser dieses diesen nächste
        nächsten neue neuen wirklich vielleicht brauche bräuchte"""
    ),
    fillers=words("äh ähm öh ehm hm hmm em eh na tja"),
    subordinate=words("wenn falls obwohl nachdem bevor während solange sobald"),
    open_phrases=phrases(
        """ich möchte | ich will | ich brauche | ich hätte gern | ich hätte gerne | ich würde gern | ich würde gerne |
        können sie | könnten sie | kann ich | könnte ich | ich wollte | ich habe | es geht um | ich rufe an | ich
        meine | ich glaube | moment | einen moment | augenblick | warten sie | ich suche | gibt es | haben sie | wie
        gesagt | ich dachte"""
    ),
    announces=phrases(
        """nummer ist | nummer lautet | das ist | das ist die | name ist | ich heiße | adresse ist | code ist | lautet
        | kundennummer | telefonnummer | kontonummer | geburtsdatum ist | buchstabiert | postleitzahl ist | pin ist
        | die nummer"""
    ),
    closings=phrases(
        """bitte | danke | danke schön | vielen dank | tschüss | auf wiederhören | auf wiedersehen | das war's | das
        wär's | das ist alles | nichts mehr | stimmt so | ist gut | heute | morgen | dankeschön"""
    ),
    short_answers=phrases(
        """ja | nein | jo | nee | nö | ja bitte | nein danke | ja gern | ja gerne | genau | richtig | stimmt | das
        stimmt | das ist richtig | korrekt | okay | ok | gut | danke | danke schön | vielen dank | bitte | hallo |
        guten tag | tschüss | auf wiederhören | stopp | natürlich | klar | na klar | auf jeden fall | passt | in
        ordnung | alles klar | weiß ich nicht | ich weiß nicht | keine ahnung | noch nicht | doch |
        selbstverständlich | gern | gerne | auf keinen fall | mitarbeiter | hilfe | abbrechen | weder noch | beides
        | keins"""
    ),
    yes=words(
        "ja jo jawohl genau richtig stimmt korrekt okay ok klar natürlich gern gerne doch sicher selbstverständlich"
    ),
    no=words("nein nee nö nicht falsch niemals"),
    plain_answers=words("ja jawohl doch nein nee nö"),
    polite=words("bitte danke schön vielen dank das ist sehr na auf jeden fall gern gerne sie"),
    backchannels=words(
        """mhm mm mmm hm hmm aha ah ach oh ja jo jaja genau okay ok gut klar so verstehe ich stimmt richtig alles prima
        super echt toll schön bitte danke"""
    ),
    listening=phrases("alles klar | verstehe | in ordnung | ja ja | genau | okay | ach so | sehr gut | ich verstehe"),
    commands=phrases(
        """stopp | stop | halt | moment | nein | warten sie | warte | entschuldigung | wie bitte | hallo | hören sie |
        falsch | nicht | einen moment | eine frage | was | wer | warum | welche | hilfe | abbrechen | langsamer"""
    ),
    numbers={
        "null": "0",
        **_ONES,
        **{word: str(value) for value, word in enumerate(_TEENS, 10)},
        **{ten: f"{value}0" for ten, value in _TENS.items()},
        **{f"{one}und{ten}": f"{t}{u}" for one, u in _ONES.items() for ten, t in _TENS.items()},
    },
    repeats={"doppel": 2, "zweimal": 2, "dreimal": 3},
    magnitudes={"hundert": 2, "tausend": 3, "million": 6, "millionen": 6},
    months=words("""januar jänner februar märz april mai juni juli august september oktober november dezember"""),
    weekdays=words("montag dienstag mittwoch donnerstag freitag samstag sonnabend sonntag"),
    relative_days=words("heute morgen übermorgen gestern jetzt"),
    ordinals=words(
        """ersten zweiten dritten vierten fünften sechsten siebten achten neunten zehnten elften zwölften dreizehnten
        vierzehnten fünfzehnten sechzehnten siebzehnten achtzehnten neunzehnten zwanzigsten dreißigsten erste zweite
        dritte"""
    ),
    currencies=words("euro euros cent franken rappen dollar pfund prozent"),
    alternative="oder",
    question_spelling=(r"\bbuchstabier",),
    question_digits=(
        r"(kunden|telefon|handy|konto|karten|bestell|auftrags|vertrags|rechnungs|vorgangs|buchungs|policen|zähler)nummer",
        r"\bnummer\b",
        r"\bziffern?\b",
        r"\bpostleitzahl\b",
        r"\bpin\b",
        r"\bcode\b",
    ),
    question_date=(r"\bdatum\b", r"geburts(tag|datum)", r"\b(welche[rmns]?|was für ein) tag\b", r"\bwann\b"),
    question_amount=(r"\bwie viel\b", r"\bwieviel\b", r"\bbetrag\b", r"\bsumme\b"),
    question_story=(
        r"\bwas (ist|war) (passiert|geschehen)\b",
        r"\berzählen sie\b",
        r"\bbeschreiben sie\b",
        r"\bschildern sie\b",
        r"\bworum geht es\b",
        r"\bwas ist das problem\b",
    ),
    question_yes_no=(
        r"^(und |also |dann )?(ist|sind|war|waren|haben|hat|hatten|möchten|wollen|soll|sollen|kann|können|darf|dürfen|"
        r"werden|würden|geht|passt|stimmt|wollten) ",
        r"\b(ja oder nein|richtig|stimmt das|korrekt|in ordnung|soll ich|möchten sie)\b[^,.]*\?$",
    ),
    question_requests=(
        r"\b(können|könnten|würden|darf|kann) (sie|ich) .{0,60}\b(sagen|nennen|geben|haben|wiederholen|durchgeben)\b",
    ),
    question_keys=(r"\b(drücken|tippen|geben sie .{0,40} ein|eingeben|tastatur|taste)\b",),
)
