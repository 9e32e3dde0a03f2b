"""English as spoken in Britain, and what India says differently: words of numbers, money, days, answers."""

from dataclasses import replace
from decimal import Decimal
from functools import lru_cache

from services.orchestrator.dialogue.locales.calendar_words import months_of, weekdays_of
from services.orchestrator.dialogue.locales.language import Denial, Language, Money, phrases, table, words
from services.orchestrator.dialogue.locales.numbers import compose, english, ordinal_of

_MINOR = Money("", minor=True)
MONEY = {
    **dict.fromkeys(words("pound pounds quid £ gbp sterling"), Money("GBP")),
    **dict.fromkeys(words("euro euros € eur"), Money("EUR")),
    **dict.fromkeys(words("dollar dollars buck bucks $ usd"), Money("USD")),
    **dict.fromkeys(words("franc francs chf"), Money("CHF")),
    **dict.fromkeys(words("rupee rupees ₹ inr rs"), Money("INR")),
    **dict.fromkeys(words("penny pence p cent cents paisa paise"), _MINOR),
    "fiver": Money("GBP", worth=5),
    "tenner": Money("GBP", worth=10),
}
DIGITS = table(
    "0: zero nought naught null; 1: one; 2: two; 3: three; 4: four; 5: five fife; 6: six; 7: seven; 8: eight;"
    "9: nine niner"
)
LETTERS = table(
    """
        a: a ay eh; b: b bee be; c: c see sea cee; d: d dee; e: e ee; f: f ef eff; g: g gee jee; h: h aitch haitch;
        i: i eye; j: j jay; k: k kay; l: l el ell; m: m em; n: n en; o: o oh; p: p pee pea; q: q queue cue; r:
        r are ar; s: s ess es; t: t tee tea; u: u you; v: v vee; w: w doubleyou; x: x ex; y: y why wye; z: z zed zee
    """
)
ALPHABET = table(
    """
        a: alpha alfa apple; b: bravo; c: charlie; d: delta; e: echo; f: foxtrot; g: golf; h: hotel; i: india; j:
        juliet juliett; k: kilo; l: lima; m: mike; n: november; o: oscar; p: papa; q: quebec; r: romeo; s: sierra;
        t: tango; u: uniform; v: victor; w: whiskey whisky; x: xray x-ray; y: yankee; z: zulu
    """
)


@lru_cache(maxsize=4096)
def _ordinal(said: tuple[str, ...]) -> int | None:
    return ordinal_of(said, "en")


BRITISH = Language(
    babel=("en_GB",),
    region="GB",
    cardinal=english,
    ordinal=_ordinal,
    decimal_mark=".",
    group_mark=",",
    digits=DIGITS,
    near_digits=table("0: oh o ow; 1: won; 2: to too; 3: free tree; 4: for fore; 6: sex sics; 8: ate"),
    times={"double": 2, "triple": 3, "treble": 3, "quadruple": 4},
    scales={"hundred": 100, "thousand": 1000, "grand": 1000, "k": 1000, "million": 10**6},
    weak_numbers=words("one"),
    letters=LETTERS,
    alphabet=ALPHABET,
    such_as=phrases("for | as in | like | as | like in"),
    marks={
        ("hyphen",): "-",
        ("dash",): "-",
        ("space",): " ",
        ("apostrophe",): "'",
        ("dot",): ".",
        ("underscore",): "_",
    },
    letter_pairs=tuple((a, b) for a, b in ("bp", "dt", "mn", "fs", "bv", "bd", "pt", "gj", "ae", "cz")),
    fillers=words("um uh uhm er erm eh ah hmm hm mm mhm"),
    carriers=words(
        """
        a about account actually all already also am amount an and any are as at be been but by can card charge
        charged could day date did do does dear digits down ending ends enter for from give going got had has have
        hello hi i i'd i'll i'm i've in is it it's its just last let like makes makes me mine mind my name need new
        now number numbers of oh ok okay on one ones only or our out paid pay payment please postcode put really
        reason refund refunded right said say see sir so sort spelled spell spelt should shop sum than thank thanks
        that that's the then there there's they they're think this to today was we well were with will would want
        wanted wants worth yeah yes yep you your zip code ending phone mobile iban is for back would be full it'll
        reach madam ma'am born birthday capital letters letter bought purchase transaction spent case small
    """
    ),
    negations=words("not isn't wasn't don't"),
    repairs=phrases(
        """
        no | no wait | i mean | i meant | sorry | actually | rather | no sorry | no i mean | no no | make that |
        wait no | correction | scratch that | or rather | nope | wait | i beg your pardon | my mistake | no sorry i
        mean | no actually | sorry i meant | sorry i mean | sorry no | oh no | oh sorry
    """
    ),
    negates_behind=False,
    money=MONEY,
    point=words("point"),
    joins=words("and"),
    alternatives=words("or to"),
    approximate=words("about around roughly approximately nearly almost maybe like over under"),
    half={("and", "a", "half"): Decimal("0.5"), ("and", "half"): Decimal("0.5")},
    homophones=(
        ("thirteen", "thirty"),
        ("fourteen", "forty"),
        ("fifteen", "fifty"),
        ("sixteen", "sixty"),
        ("seventeen", "seventy"),
        ("eighteen", "eighty"),
        ("nineteen", "ninety"),
    ),
    compounds=False,
    days={
        ("today",): 0,
        ("yesterday",): -1,
        ("tomorrow",): 1,
        ("tonight",): 0,
        ("day", "before", "yesterday"): -2,
        ("day", "after", "tomorrow"): 2,
        ("this", "morning"): 0,
        ("last", "night"): -1,
    },
    months=months_of("en_GB"),
    weekdays=weekdays_of("en_GB"),
    last=words("last past"),
    next=words("next coming"),
    this=words("this"),
    units={"day": 1, "days": 1, "week": 7, "weeks": 7, "fortnight": 14},
    ago_before=frozenset(),
    ago_after=words("ago"),
    ahead_before=words("in"),
    day_marks=words("the on"),
    month_joins=words("of the"),
    tail_cues=phrases(
        "ending | ending in | ends in | ends with | ending with | last four | last four digits | number is | ends"
    ),
    yes=phrases(
        """
        yes | yeah | yep | yup | yes please | correct | that's right | that is right | that's correct | right |
        exactly | sure | of course | go ahead | please do | do it | do that | okay | ok | fine | that's fine |
        absolutely | definitely | sounds good | that's it | that's the one | indeed | by all means | go for it |
        confirm | confirmed | i confirm | no problem | why not | aye | all right | alright | perfect | yes it is |
        it is | i do | yes i do | that'll do | spot on | you got it | too right | please go ahead | carry on | that
        is correct | good
    """
    ),
    no=phrases(
        """
        no | nope | nah | no thanks | no thank you | don't | do not | that's wrong | that is wrong | wrong |
        incorrect | not right | that's not right | not correct | not that | not really | not yet | never | stop | it
        isn't | it's not | no way | absolutely not | of course not | certainly not | definitely not | i don't |
        don't do that | i'd rather not | rather not | not quite | that isn't right | that's not it | not now |
        better not | not today
    """
    ),
    unsure=phrases(
        """
        not sure | i'm not sure | i don't know | don't know | no idea | dunno | maybe | perhaps | not certain | i
        think so | possibly | i can't remember | don't remember | i forgot | i guess | i suppose
    """
    ),
    contrast=words("but except only however"),
    farewell=phrases(
        """
        goodbye | good bye | bye | bye bye | that's all | that is all | that's it | that is it | nothing else |
        that's everything | that will be all | that'll be all | i'm done | we're done | nothing more | have a nice day |
        have a good day | that was all | i'm fine | i'm good | i'm all right | i'm all set | all good
    """
    ),
    cancel=phrases(
        """
        never mind | forget it | forget that | forget about it | cancel that | cancel this | cancel it | leave it |
        stop that | i changed my mind | i've changed my mind | let's leave it | scrap that | abort | don't bother
    """
    ),
    repeat=phrases(
        """
        say that again | say it again | repeat | repeat that | pardon | come again | what did you say | once more |
        i didn't catch that | didn't hear | i didn't get that | say again | one more time | what was that | i beg
        your pardon | can't hear you | can you repeat
    """
    ),
    hold=phrases(
        """
        hang on | hold on | one moment | just a moment | a moment | one second | just a second | a second | a sec |
        one sec | wait | bear with me | give me a minute | just a minute | one minute | let me look | let me check |
        let me find | wait a minute | wait a second | half a second | two secs
    """
    ),
    in_focus=phrases(
        """
        that one | this one | that | it | the same | same one | same account | same card | that card | that account
        | this card | this account | the same one | that payment | same payment | the one you said | same again
    """
    ),
    last_of=words("last latter"),
    which_nouns=words("one card account payment option transaction entry of"),
    which_articles=words("the that"),
    which_positions={
        "first": 0,
        "second": 1,
        "third": 2,
        "fourth": 3,
        "fifth": 4,
        "sixth": 5,
        "1st": 0,
        "2nd": 1,
        "3rd": 2,
        "former": 0,
    },
    number_nouns=words("number option choice"),
    text_openings=phrases(
        """
        it's | it is | that's | that is | my new address is | my address is | the address is | the new address is |
        new address is | i live at | i live in | we live at | i've moved to | i moved to | we moved to | well | yes
        | so | yeah | okay | it would be | that would be | my name is | i'm | the street is | the name is | i now
        live at | now | sure | hi | ok | i'm at | we're at | address is | please write | no | right | street is
    """
    ),
    text_closings=phrases("please | thank you | thanks | that's it | that's all | okay | i think | yeah"),
    no_answer=phrases(
        """
        i don't know | not sure | i'm not sure | no idea | i can't remember | what | why | hello | what do you mean
        | pardon | i don't have it | i don't have one | hang on | wait | yes | no | help | i forgot | don't know |
        one moment | never mind
    """
    ),
    take_back=phrases("forget about | forget | take back | withdraw | call off | undo | scrap"),
    take_back_softly=phrases("cancel"),
    denial=Denial(
        before=phrases(
            """
            not | don't | dont | do not | doesn't | does not | didn't | did not | isn't | is not | wasn't | was not |
            aren't | weren't | haven't | have not | hasn't | has not | won't | will not | wouldn't | would not | never
            | no need | nobody | no one | rather not | without
            """
        ),
        directly=words("no not"),
        light=words(
            """
            a an any the my your this that it really actually want wish need have having like to be being been get
            getting talk talking speak speaking put through connected transferred connect transfer with for of by me
            say saying report reporting about case kind sort real human live
            """
        ),
        asks=phrases("why | why don't you | don't you | can | could | can't | couldn't | may | what if | how come"),
    ),
)

_INDIAN_SMALL: dict[str, Decimal] = {
    word: Decimal(value)
    for value in (*range(21), 30, 40, 50, 60, 70, 80, 90)
    for word in (
        {0: "zero", 1: "one", 2: "two", 3: "three", 4: "four", 5: "five", 6: "six", 7: "seven", 8: "eight", 9: "nine",
         10: "ten", 11: "eleven", 12: "twelve", 13: "thirteen", 14: "fourteen", 15: "fifteen", 16: "sixteen",
         17: "seventeen", 18: "eighteen", 19: "nineteen", 20: "twenty", 30: "thirty", 40: "forty fourty", 50: "fifty",
         60: "sixty", 70: "seventy", 80: "eighty", 90: "ninety"}[value].split()
    )
}  # fmt: skip
INDIAN_SMALL = _INDIAN_SMALL
INDIAN_SCALES = {
    **dict.fromkeys(("hundred",), 100),
    **dict.fromkeys(("thousand",), 1000),
    **dict.fromkeys(("million",), 10**6),
    **dict.fromkeys(("lakh", "lakhs", "lac", "lacs"), 100_000),
    **dict.fromkeys(("crore", "crores"), 10_000_000),
}


@lru_cache(maxsize=4096)
def _indian(said: tuple[str, ...]) -> int | None:
    if said[0] in ("a", "an"):
        said = ("one", *said[1:])
        if len(said) == 1:
            return None
    if said[0] == "and" or said[-1] == "and":
        return None
    return compose(said, _INDIAN_SMALL, INDIAN_SCALES, _INDIAN_SMALL)


INDIAN = replace(
    BRITISH,
    babel=("en_IN",),
    region="IN",
    cardinal=_indian,
    scales={**BRITISH.scales, **INDIAN_SCALES},
    money={**MONEY, "fiver": Money("INR", worth=5)},
    carriers=BRITISH.carriers | words("pin pincode only ji"),
)
