"""German as spoken in Germany: words of numbers, money, days, answers."""

import re
from decimal import Decimal
from functools import lru_cache

from services.orchestrator.dialogue.locales.calendar_words import months_of, weekdays_of
from services.orchestrator.dialogue.locales.language import Denial, Language, Money, phrases, table, words
from services.orchestrator.dialogue.locales.numbers import german, ordinal_of

_MINOR = Money("", minor=True)


_HALF = re.compile(r"(\w+?)(?:und|)einhalb(hundert|tausend)|anderthalb(hundert|tausend)")


@lru_cache(maxsize=8192)
def _cardinal(said: tuple[str, ...]) -> int | None:
    """German numbers, and "dreieinhalbtausend", which text2num does not know."""
    halves = _HALF.fullmatch("".join(said)) if "halb" in said[0] or "halb" in said[-1] else None
    if halves is None:
        return german(said)
    count = german((halves[1],)) if halves[1] else 1
    scale = 100 if "hundert" in (halves[2], halves[3]) else 1000
    return None if count is None else count * scale + scale // 2


@lru_cache(maxsize=4096)
def _ordinal(said: tuple[str, ...]) -> int | None:
    return ordinal_of(said, "de")


GERMAN = Language(
    babel=("de_DE",),
    region="DE",
    cardinal=_cardinal,
    ordinal=_ordinal,
    decimal_mark=",",
    group_mark=".",
    digits=table(
        """
        0: null; 1: eins ein eine; 2: zwei zwo; 3: drei; 4: vier; 5: fünf fuenf; 6: sechs; 7: sieben; 8: acht; 9:
        neun
    """
    ),
    near_digits=table("0: o; 2: zwoh; 4: für"),
    times={"doppel": 2, "doppelt": 2, "doppelte": 2, "zweimal": 2, "dreimal": 3, "dreifach": 3, "viermal": 4},
    scales={"hundert": 100, "tausend": 1000, "mille": 1000, "million": 10**6, "millionen": 10**6},
    weak_numbers=words("ein eine einen einer einem eins"),
    letters=table(
        """
        a: a ah; b: b be bee; c: c ce zeh cee; d: d de deh; e: e eh; f: f eff ef; g: g ge geh; h: h ha hah; i: i ih;
        j: j jott jot yot; k: k ka kah; l: l ell el; m: m emm em; n: n enn en; o: o oh; p: p pe peh; q: q ku kuh; r:
        r err er; s: s ess es; t: t te teh tee; u: u uh; v: v vau fau; w: w we weh; x: x ix; y: y ypsilon üpsilon;
        z: z zett zet; ä: ä ae; ö: ö; ü: ü; ß: eszett
    """
    ),
    alphabet=table(
        """
        a: anton aachen; b: berta berlin; c: cäsar caesar chemnitz; d: dora düsseldorf; e: emil essen; f: friedrich
        frankfurt; g: gustav goslar; h: heinrich hamburg; i: ida ingelheim; j: julius jena; k: kaufmann konrad köln;
        l: ludwig leipzig; m: martha marta münchen; n: nordpol nathan nürnberg; o: otto offenbach; p: paula potsdam;
        q: quelle quickborn; r: richard rostock; s: samuel siegfried salzwedel; t: theodor tübingen; u: ulrich unna;
        v: viktor völklingen; w: wilhelm wuppertal; x: xanthippe xanten; y: zypern; z: zacharias zeppelin zwickau;
        ä: ärger; ö: ökonom; ü: übermut
    """
    ),
    such_as=phrases("wie | für | wie in"),
    marks={("bindestrich",): "-", ("minus",): "-", ("strich",): "-", ("leerzeichen",): " ", ("punkt",): ".",
           ("scharfes", "s"): "ß", ("unterstrich",): "_"},
    letter_pairs=tuple((a, b) for a, b in ("bp", "dt", "mn", "fs", "bd", "bw", "dw", "pt", "gk", "vf")),
    fillers=words("äh ähm öh öhm ehm hm hmm em tja na mhm halt ähem"),
    carriers=words(
        """
        aber also am an auf aus bei beim betrag bin bitte da danke dann das daß dass datum dem den denn der des die
        dieser diese diesen dieses doch ein eine einen einer einem endet endnummer endung er es etwas ja für gegeben
        geht gerne gern glaube gewesen habe haben hab hat hatte ich ihnen im in ist iban jetzt karte karten konto
        kosten kostet lautet letzten letzte vier machen mal man mein meine meinen meiner meinem mich mir mit möchte
        hätte nach name neue neuen noch nummer nun nur ok okay postleitzahl plz sage schon sein sie sind so summe
        telefonnummer handynummer rufnummer über um und ungefähr uns vom von vor war waren was weil wäre waere will
        wir wird wohl wollte würde zahlung zu zum zur ziffern überweisung insgesamt genau gut guten tag hallo
        erstattet erstatten erstattung zurück geld buchstabiert buchstabiere straße anschrift adresse wurde
        abgebucht heißt heiße geburtstag geboren stimmt richtig natürlich klar uhr gekauft bezahlt und zwar großes
        kleines groß klein
    """
    ),
    negations=words("nicht kein keine keinen keiner"),
    repairs=phrases(
        """
        nein | ich meine | ich meinte | quatsch | entschuldigung | moment | nein moment | nein quatsch | sorry | nee
        | nein ich meine | nein entschuldigung | stopp | halt | pardon | beziehungsweise | besser gesagt | ach nein
        | nein nein | sondern | vielmehr | korrektur | falsch | ach quatsch | verzeihung | nö | nee quatsch | nee
        moment | doch nicht | eigentlich | nein warte | warte | ach nee
    """
    ),
    negates_behind=False,
    money={
        **dict.fromkeys(words("euro euros € eur"), Money("EUR")),
        **dict.fromkeys(words("cent cents pence"), _MINOR),
        **dict.fromkeys(words("dollar $ usd"), Money("USD")),
        **dict.fromkeys(words("pfund £ gbp"), Money("GBP")),
        **dict.fromkeys(words("franken chf"), Money("CHF")),
    },
    point=words("komma"),
    joins=words("und"),
    alternatives=words("oder bis"),
    approximate=words("etwa ungefähr circa zirka ca rund knapp gut fast vielleicht über unter"),
    half={("und", "ein", "halb"): Decimal("0.5"), ("einhalb",): Decimal("0.5")},
    homophones=(
        ("zwei", "drei"), ("dreizehn", "dreißig"), ("vierzehn", "vierzig"), ("fünfzehn", "fünfzig"),
        ("sechzehn", "sechzig"), ("siebzehn", "siebzig"), ("achtzehn", "achtzig"), ("neunzehn", "neunzig"),
    ),
    compounds=True,
    days={
        ("heute",): 0, ("gestern",): -1, ("vorgestern",): -2, ("morgen",): 1, ("übermorgen",): 2,
        ("heute", "morgen"): 0,
        ("gestern", "abend"): -1, ("heute", "früh"): 0, ("gestern", "morgen"): -1, ("morgen", "früh"): 1,
        ("vorvorgestern",): -3,
    },
    months={**months_of("de_DE"), "jänner": 1, "maerz": 3, "juno": 6, "julei": 7},
    weekdays={**weekdays_of("de_DE"), "sonnabend": 5},
    last=words("letzten letzter letzte letztem vergangenen vorigen vergangener"),
    next=words("nächsten nächster nächste nächstem kommenden kommender"),
    this=words("diesen dieser diesem diese"),
    units={"tag": 1, "tage": 1, "tagen": 1, "woche": 7, "wochen": 7},
    ago_before=words("vor"),
    ago_after=frozenset(),
    ahead_before=words("in"),
    day_marks=words("am der den dem vom zum ab"),
    month_joins=words("des"),
    tail_cues=phrases("""
        endung | endet auf | endend auf | endnummer | letzten vier | letzten vier ziffern | endziffern | hinten
    """),
    yes=phrases(
        """
        ja | jo | jawohl | jep | jup | genau | richtig | korrekt | stimmt | das stimmt | das ist richtig | passt |
        passt so | in ordnung | okay | ok | gut | gerne | gern | natürlich | klar | na klar | selbstverständlich |
        sicher | auf jeden fall | machen sie das | machen sie | mach das | ja bitte | ja gerne | ja genau | bitte |
        einverstanden | das passt | so ist es | ganz genau | alles klar | ja das ist richtig | stimmt so | bestätigt
        | ich bestätige | tun sie das | nur zu | kein problem | bitte machen sie das | von mir aus | freilich | aber
        ja | perfekt | meinetwegen
    """
    ),
    no=phrases(
        """
        nein | nee | nö | ne | falsch | stimmt nicht | das stimmt nicht | nicht richtig | das ist falsch | auf
        keinen fall | nein danke | lieber nicht | bitte nicht | nicht | niemals | stopp | stop | noch nicht | das
        ist nicht richtig | passt nicht | doch nicht | bloß nicht | nicht ganz | natürlich nicht | auf gar keinen
        fall | eher nicht | das passt nicht | machen sie das nicht | lassen sie das | so nicht | nicht korrekt |
        besser nicht
    """
    ),
    unsure=phrases(
        """
        weiß nicht | weiß ich nicht | ich weiß nicht | ich weiß es nicht | nicht sicher | bin nicht sicher | keine
        ahnung | vielleicht | kann sein | ich glaube schon | weiß ich gerade nicht | mal sehen | eventuell | bin mir
        nicht sicher | ich bin mir nicht sicher | schon möglich
    """
    ),
    contrast=words("aber allerdings außer"),
    farewell=phrases(
        """
        auf wiederhören | auf wiedersehen | tschüss | tschüs | tschau | das war's | das wars | das war alles | das ist
        alles | sonst nichts | nichts mehr | nichts weiter | mehr nicht | das wäre alles | schönen tag noch | ich bin
        fertig | wiederhören | alles gut | alles klar soweit
    """
    ),
    cancel=phrases(
        """
        abbrechen | vergessen sie es | vergessen sie das | vergiss es | lassen sie es | lassen wir das | lass gut
        sein | hat sich erledigt | brechen sie ab | ich habe es mir anders überlegt | ich hab's mir anders überlegt
        | schon gut | lassen sie's | egal | das hat sich erledigt | abbruch | doch lieber nicht
    """
    ),
    repeat=phrases(
        """
        wie bitte | noch mal | nochmal | noch einmal | wiederholen | was haben sie gesagt | nicht verstanden | sagen
        sie das noch mal | wie war das | bitte wiederholen | können sie das wiederholen | was war das | wiederholen
        sie das | höre sie nicht | was sagten sie
    """
    ),
    hold=phrases(
        """
        moment | einen moment | moment bitte | augenblick | einen augenblick | warten sie | warte | sekunde | eine
        sekunde | kleinen moment | momentchen | ich schau mal | ich schaue nach | ich suche | bleiben sie dran |
        eine minute | warten sie mal | ich muss nachsehen | sekündchen | kurz warten
    """
    ),
    in_focus=phrases(
        """
        die da | das da | den da | dieser | diese | dieses | diesen | das gleiche | dasselbe | dieselbe | derselbe |
        die gleiche | der gleiche | das gleiche konto | dasselbe konto | dieselbe karte | die gleiche karte | diese
        karte | dieses konto | genau die | genau das | genau der | eben die
    """
    ),
    last_of=words("letzte letzten letzter letztes"),
    which_nouns=words("karte konto zahlung buchung möglichkeit option da bitte von überweisung"),
    which_articles=words("die der das den dem"),
    which_positions={
        **{f"{stem}{end}": place for stem, place in (("erste", 0), ("zweite", 1), ("dritte", 2), ("vierte", 3),
           ("fünfte", 4), ("sechste", 5), ("erstere", 0)) for end in ("", "r", "n", "s")},
    },
    number_nouns=words("nummer option möglichkeit"),
    text_openings=phrases(
        """
        es ist | das ist | die adresse ist | meine neue adresse ist | meine adresse ist | ich wohne in der | ich
        wohne jetzt in der | ich wohne jetzt in | ich wohne jetzt | ich wohne in | ich wohne | die neue adresse ist
        | die neue adresse lautet | meine neue adresse lautet | meine adresse lautet | die straße ist | also | ja |
        okay | mein name ist | ich heiße | gut | das wäre | das wäre die | es wäre | und zwar | sie lautet | neue
        adresse | nein | wir wohnen jetzt in der | das ist die | das ist der | das ist das | es ist der |
        es ist die | es ist das | die adresse lautet | wir wohnen in der | wir sind
        umgezogen in die | ich bin umgezogen in die | jetzt | in der
    """
    ),
    text_closings=phrases("bitte | danke | das war's | genau | vielen dank | glaube ich | ist das"),
    no_answer=phrases(
        """
        weiß ich nicht | ich weiß nicht | ich weiß es nicht | keine ahnung | was | warum | hallo | wie bitte | nicht
        sicher | habe ich nicht | das habe ich nicht | hab ich nicht | moment | warten sie | ja | nein | hilfe | wie
        meinen sie das | habe ich vergessen | weiß ich gerade nicht | einen moment
    """
    ),
    take_back=phrases(
        """
        vergessen sie | vergiss | zurücknehmen | zurückziehen | rückgängig machen | rückgängig | doch nicht |
        doch keine | doch keinen
        """
    ),
    take_back_softly=phrases("stornieren | abbrechen"),
    denial=Denial(
        before=phrases("nicht | kein | keine | keinen | keinem | keiner | nie | niemals | niemand | ohne"),
        directly=words("kein keine keinen keinem keiner"),
        behind=words("nicht"),
        light=words(
            """
            ich mir mich sie mit zu zum zur einem einen einer ein eine der die das dem den es ist war bin wurde worden
            brauche will möchte wollte muss müssen haben sprechen reden verbinden verbunden werden um von jetzt gerade
            echten echtem richtigen art fall
            """
        ),
        asks=phrases(
            """
            warum | wieso | weshalb | können sie | kann ich | könnte ich | könnten sie | würden sie | darf ich | kann
            man | wollen sie | gibt es
            """
        ),
    ),
)  # fmt: skip
