"""Hindi mixed with English, as Indian callers speak it: numbers under a hundred, lakh and crore, yes and no, days.

Covered: numbers in Devanagari and in the usual romanisations, English numbers among them, dates by CLDR names, PIN
codes, telephone numbers, yes and no, references, repairs. Not covered: spelled letters in Hindi (English letters are
understood), inflected forms beyond those listed, addresses, Urdu script. No Hindi voice and no Hindi recogniser were
at hand: what a recogniser writes of Hindi speech, and how a voice speaks these sentences, was not measured.
"""

from dataclasses import replace
from decimal import Decimal
from functools import lru_cache

from services.orchestrator.dialogue.locales.calendar_words import months_of, weekdays_of
from services.orchestrator.dialogue.locales.english import ALPHABET, BRITISH, INDIAN, INDIAN_SCALES, INDIAN_SMALL
from services.orchestrator.dialogue.locales.language import Language, Money, phrases, words
from services.orchestrator.dialogue.locales.numbers import compose, ordinal_of

# 0 to 99, one line for ten: Devanagari/romanised, with "|" between spellings.
_NUMBERS = """
शून्य|ज़ीरो/shunya|sifar एक/ek दो/do तीन/teen|tin चार/char|chaar पाँच|पांच/paanch|panch
छह|छः|छे/chhah|chhe|che|chah सात/saat|sat आठ/aath|ath नौ/nau
दस/das ग्यारह/gyarah|gyaarah बारह/barah|baarah तेरह/terah चौदह/chaudah पंद्रह|पन्द्रह/pandrah|pandra सोलह/solah
सत्रह/satrah अठारह/atharah|athaarah उन्नीस/unnis|unnees
बीस/bees|bis इक्कीस/ikkis|ikkees बाईस/bais|baees तेईस/teis|teees चौबीस/chaubis|chaubees
पच्चीस/pachchis|pachees|pachchees छब्बीस/chhabbis|chhabbees सत्ताईस/sattais|sattaees
अट्ठाईस|अठ्ठाईस/atthais|athaees उनतीस/untis|untees
तीस/tees|tis इकतीस/iktis|ikattis बत्तीस/battis|battees तैंतीस/taintis|taintees चौंतीस/chauntis
पैंतीस/paintis|paintees छत्तीस/chhattis सैंतीस/saintis अड़तीस/adtis|artis उनतालीस/untalis
चालीस/chalis|chaalees|chalees इकतालीस/iktalis बयालीस/bayalis तैंतालीस/taintalis
चौवालीस|चवालीस/chauvalis|chavalis पैंतालीस/paintalis छियालीस/chhiyalis सैंतालीस/saintalis अड़तालीस/adtalis
उनचास/unchas
पचास/pachas|pachaas इक्यावन/ikyavan बावन/bavan तिरपन/tirpan चौवन/chauvan पचपन/pachpan छप्पन/chhappan
सत्तावन/sattavan अट्ठावन/atthavan उनसठ/unsath
साठ/saath|sath इकसठ/iksath बासठ/basath तिरसठ/tirsath चौंसठ/chaunsath पैंसठ/painsath छियासठ/chhiyasath
सड़सठ/sadsath अड़सठ/adsath उनहत्तर/unhattar
सत्तर/sattar इकहत्तर/ikhattar बहत्तर/bahattar तिहत्तर/tihattar चौहत्तर/chauhattar पचहत्तर/pachhattar
छिहत्तर/chhihattar सतहत्तर/satahattar अठहत्तर/athhattar उन्यासी/unyasi
अस्सी/assi इक्यासी/ikyasi बयासी/bayasi तिरासी/tirasi चौरासी/chaurasi पचासी/pachasi छियासी/chhiyasi
सत्तासी/sattasi अट्ठासी/atthasi नवासी/navasi
नब्बे/nabbe इक्यानवे/ikyanve बानवे/banve तिरानवे/tiranve चौरानवे/chauranve पचानवे/pachanve छियानवे/chhiyanve
सत्तानवे/sattanve अट्ठानवे/atthanve निन्यानवे/ninyanve
"""
_ROWS = [entry.split("/") for entry in _NUMBERS.split()]
# For speaking: the first Devanagari spelling of each number.
SPOKEN: tuple[str, ...] = tuple(devanagari.split("|")[0] for devanagari, _ in _ROWS)
_SMALL: dict[str, Decimal] = {
    **INDIAN_SMALL,
    **{
        spelling: Decimal(value)
        for value, scripts in enumerate(_ROWS)
        for script in scripts
        for spelling in script.split("|")
    },
    # Two and a half, one and a half: they stand before a scale.
    **dict.fromkeys(("dhai", "dhaai", "ढाई"), Decimal("2.5")),
    **dict.fromkeys(("dedh", "डेढ़"), Decimal("1.5")),
}
_SCALES = {
    **INDIAN_SCALES,
    **dict.fromkeys(("sau", "सौ"), 100),
    **dict.fromkeys(("hazaar", "hazar", "hajar", "हज़ार", "हजार"), 1000),
    **dict.fromkeys(("लाख", "laakh"), 100_000),
    **dict.fromkeys(("करोड़", "karod", "karor"), 10_000_000),
}
# A quarter more, a half more, a quarter less than the number that follows.
_FRACTIONS = {
    **dict.fromkeys(("sava", "सवा"), Decimal("0.25")),
    **dict.fromkeys(("saadhe", "sadhe", "साढ़े"), Decimal("0.5")),
    **dict.fromkeys(("paune", "पौने"), Decimal("-0.25")),
}


@lru_cache(maxsize=4096)
def _cardinal(said: tuple[str, ...]) -> int | None:
    if said[0] in _FRACTIONS and len(said) > 1:
        value = _SMALL.get(said[1])
        if value is None:
            return compose(
                ("one_and", *said[1:]), {**_SMALL, "one_and": 1 + _FRACTIONS[said[0]]}, _SCALES, INDIAN_SMALL
            )
        return compose(("and_so", *said[2:]), {**_SMALL, "and_so": value + _FRACTIONS[said[0]]}, _SCALES, INDIAN_SMALL)
    if said[0] in ("a", "an") and len(said) > 1:
        said = ("one", *said[1:])
    if said[0] == "and" or said[-1] == "and":
        return None
    return compose(said, _SMALL, _SCALES, INDIAN_SMALL)


@lru_cache(maxsize=4096)
def _ordinal(said: tuple[str, ...]) -> int | None:
    return ordinal_of(said, "en")


_ONE_DIGIT = {word: str(int(value)) for word, value in _SMALL.items() if value < 10 and value == int(value)}
_MONTHS = {
    "janvari": 1, "january": 1, "farvari": 2, "march": 3, "mai": 5, "joon": 6, "julai": 7, "agast": 8, "sitambar": 9,
    "aktubar": 10, "navambar": 11, "disambar": 12,
}  # fmt: skip
_WEEKDAYS = {
    "somvar": 0, "somwar": 0, "mangalvar": 1, "mangalwar": 1, "budhvar": 2, "budhwar": 2, "guruvar": 3, "guruwar": 3,
    "shukravar": 4, "shukrawar": 4, "shanivar": 5, "shaniwar": 5, "ravivar": 6, "raviwar": 6, "itvar": 6,
}  # fmt: skip

MIXED: Language = replace(
    INDIAN,
    babel=("hi_IN", "en_IN"),
    cardinal=_cardinal,
    ordinal=_ordinal,
    digits={**BRITISH.digits, **_ONE_DIGIT},
    near_digits={"o": "0", "oh": "0"},
    scales={**INDIAN.scales, **_SCALES},
    weak_numbers=words("one ek एक do"),
    times={**BRITISH.times, "dabal": 2, "डबल": 2},
    alphabet=ALPHABET,
    fillers=BRITISH.fillers | words("matlab अं उम्म arre अरे"),
    carriers=BRITISH.carriers
    | words(
        """
        hai hain है हैं mera mere meri मेरा मेरी मेरे ka ki ke का की के ko को se से ji जी number नंबर tha thi था थी
        main मैं hoon हूँ mujhe मुझे aur और par पर wala wali वाला वाली yeh ye यह ये woh wo वह वो bhai kripya कृपया
        do dijiye दीजिए chahiye चाहिए karna करना karo करो mein में tareekh तारीख pin पिन code कोड card कार्ड khata
        खाता
    """
    ),
    negations=BRITISH.negations | words("nahi nahin नहीं mat मत"),
    negates_behind=True,
    repairs=(*BRITISH.repairs, *phrases("""
        nahi nahi | nahin nahin | नहीं नहीं | mera matlab | मेरा मतलब | balki | बल्कि | galat | गलत
    """)),
    money={
        **INDIAN.money,
        **dict.fromkeys(words("rupaye rupaya rupay rupya रुपये रुपए रुपया रुपयों"), Money("INR")),
        **dict.fromkeys(words("paisa paise पैसा पैसे"), Money("", minor=True)),
    },
    joins=words("and aur और"),
    point=words("point dashamlav दशमलव"),
    alternatives=words("or to ya या se से"),
    approximate=BRITISH.approximate | words("lagbhag लगभग karib करीब"),
    homophones=(*BRITISH.homophones, ("saat", "saath"), ("das", "dus"), ("teen", "tees"), ("unnis", "unnees")),
    days={
        **BRITISH.days,
        ("aaj",): 0, ("आज",): 0,
    },  # "kal" and "parson" are both yesterday and tomorrow: dates.py does not guess which.
    months={**months_of("hi_IN"), **months_of("en_IN"), **_MONTHS},
    weekdays={**weekdays_of("hi_IN"), **weekdays_of("en_IN"), **_WEEKDAYS},
    last=BRITISH.last | words("pichhle pichle पिछले"),
    next=BRITISH.next | words("agle अगले"),
    this=BRITISH.this | words("is इस"),
    units={**BRITISH.units, "din": 1, "दिन": 1, "hafte": 7, "हफ्ते": 7, "hafta": 7},
    ago_after=BRITISH.ago_after | words("pehle पहले"),
    yes=(
        *BRITISH.yes,
        *phrases(
            """
        haan | han | ha | haanji | haan ji | ji haan | ji | हाँ | हां | जी | जी हाँ | जी हां | हाँ जी | sahi hai |
        sahi | सही है | सही | theek hai | thik hai | ठीक है | bilkul | बिल्कुल | kar do | kar dijiye | कर दीजिए | कर
        दो | accha | अच्छा | ho jayega
    """
        ),
    ),
    no=(
        *BRITISH.no,
        *phrases(
            """
        nahi | nahin | nai | नहीं | ji nahin | ji nahi | जी नहीं | galat | गलत | galat hai | गलत है | mat karo | मत
        करो | mat kijiye | मत कीजिए | abhi nahi | अभी नहीं | sahi nahi hai | सही नहीं है | rehne do | रहने दो
    """
        ),
    ),
    unsure=(*BRITISH.unsure, *phrases("""
        pata nahi | pata nahin | पता नहीं | shayad | शायद | malum nahi | yaad nahi | याद नहीं
    """)),
    contrast=BRITISH.contrast | words("lekin लेकिन par magar मगर"),
    farewell=(*BRITISH.farewell, *phrases("""
        namaste | नमस्ते | alvida | अलविदा | bas itna hi | बस इतना ही | aur kuch nahi | और कुछ नहीं | bas | बस
    """)),
    cancel=(*BRITISH.cancel, *phrases("""
        rehne dijiye | रहने दीजिए | chhodo | छोड़ो | cancel kar do | chhod dijiye | छोड़ दीजिए
    """)),
    repeat=(*BRITISH.repeat, *phrases("""
        phir se boliye | phir se | फिर से | फिर से बोलिए | dobara | दोबारा | kya kaha | क्या कहा
    """)),
    hold=(*BRITISH.hold, *phrases("""
        ek minute | एक मिनट | rukiye | रुकिए | ruko | ek second | thoda ruko | dekhta hoon | dekhti hoon
    """)),
    in_focus=(*BRITISH.in_focus, *phrases("wahi | वही | yahi | यही | wahi wala | वही वाला | yeh wala | यह वाला")),
    last_of=BRITISH.last_of | words("aakhri akhri आखिरी"),
    which_nouns=BRITISH.which_nouns | words("wala wali वाला वाली"),
    which_positions={
        **BRITISH.which_positions, "pehla": 0, "pehli": 0, "pehle": 0, "पहला": 0, "पहली": 0, "dusra": 1, "dusri": 1,
        "doosra": 1, "doosri": 1, "दूसरा": 1, "दूसरी": 1, "teesra": 2, "teesri": 2, "तीसरा": 2, "तीसरी": 2,
    },
    no_answer=(*BRITISH.no_answer, *phrases("""
        pata nahi | pata nahin | पता नहीं | haan | nahi | हाँ | नहीं | kya | क्या | yaad nahi
    """)),
)  # fmt: skip
