"""English."""

from services.orchestrator.turns.lexicon.words import Lexicon, phrases, words

_TEENS = ["ten", "eleven", "twelve", "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen"]
_TENS = ["twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"]
_ONES = ["one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]

LEXICON = Lexicon(
    language="en",
    open_last=words(
        """a an the and or but nor because if while which whose whom to of at by for from with into about than as my
        your our their very would could should shall might must every another whether unless until plus between
        without during via per im i'm i'd i'll i've we're we'd we'll we've you're he's she's they're let's there's"""
    ),
    weak_last=words(
        """is are was were am be been being did does do has had have will can may that this these those when where
        who what so not just like his her its some any no in on get got want need i we you they he she it's that's
        which's other next last new maybe also then really still only"""
    ),
    clause_openers=words("than as what how where who why when"),
    subjects=words("i you he she it we they that this"),
    fillers=words("um uh er erm uhm umm hmm hm uhh eh ah well"),
    subordinate=words("if unless although though after before while until whereas once"),
    open_phrases=phrases(
        """i want | i need | i would like | i'd like | can you | could you | can i | could i | i have | i'm looking | i
        was wondering | i'm calling | i think | i mean | you know | let me see | let me | hold on | one moment |
        wait | the thing is | do you | is there | i tried | i wanted | please | so i | i'm trying | let me think |
        let me check | just a second | one second | a moment"""
    ),
    announces=phrases(
        """number is | it's | it is | that's | name is | code is | address is | spelled | spelt | email is | id is |
        postcode is | zip code is | account number | order number | date of birth is | birthday is | phone number |
        reference is | reference number | pin is | card number | amount is | that is"""
    ),
    closings=phrases(
        """please | thanks | thank you | bye | goodbye | that's all | that is all | that's it | that's right | that is
        right | thank you very much | thanks a lot | that's correct | nothing else | never mind | right now | as
        well | too | again | today | tomorrow"""
    ),
    short_answers=phrases(
        """yes | no | yeah | yep | yup | nope | sure | okay | ok | correct | right | exactly | thanks | thank you |
        goodbye | bye | hello | hi | stop | that is right | that's right | no thanks | no thank you | yes please |
        that's correct | that is correct | of course | absolutely | go ahead | never mind | that's all | that's it |
        not at all | not yet | i do | i don't | i don't know | no problem | of course not | certainly | please do |
        i am | i'm not | it is | it isn't | yes it is | yes i do | yes i am | no i don't | no it isn't | no i'm not
        | fine | perfect | great | neither | both | none | agent | operator | representative | help | repeat |
        cancel"""
    ),
    yes=words("yes yeah yep yup sure okay ok correct right exactly absolutely certainly definitely indeed aye"),
    no=words("no nope nah never incorrect wrong"),
    plain_answers=words("yes yeah yep yup no nope nah"),
    polite=words("please thanks thank you that's is that it of course very much sir madam ma'am it's i do am"),
    backchannels=words(
        """mhm mm mmm mmhm mhmm hm hmm uh huh uhhuh aha ah oh yeah yep yes ok okay right sure i see good great fine
        alright all got it wow really nice cool exactly true mhmm mkay ow aw ooh yup ya perfect understood lovely
        thank thanks you please"""
    ),
    listening=phrases(
        """got it | all right | i see | uh huh | mm hmm | okay | right | oh okay | oh i see | yes yes | yeah yeah |
        okay okay | all good | of course | sounds good | makes sense | i know | thank you"""
    ),
    commands=phrases(
        """stop | wait | hold on | hang on | no | nope | listen | excuse me | sorry | pardon | what | who | why |
        which | hello | help | cancel | wrong | repeat | say that again | be quiet | shut up | enough | not that |
        not me | one moment | one second | just | slow down | go back | let me | operator | agent | next | too |
        actually | but | look | i need | i want | i said | i don't | can i | can you | could you |
        that's not"""
    ),
    numbers={
        "zero": "0",
        "oh": "0",
        "o": "0",
        "nought": "0",
        "null": "0",
        "nil": "0",
        **{word: str(value) for value, word in enumerate(_ONES, 1)},
        **{word: str(value) for value, word in enumerate(_TEENS, 10)},
        **{word: f"{value}0" for value, word in enumerate(_TENS, 2)},
        **{f"{ten}{one}": f"{t}{u}" for t, ten in enumerate(_TENS, 2) for u, one in enumerate(_ONES, 1)},
    },
    repeats={"double": 2, "triple": 3, "treble": 3},
    magnitudes={"hundred": 2, "thousand": 3, "million": 6},
    months=words(
        """january february march april may june july august september october november december jan feb mar apr jun
        jul aug sep sept oct nov dec"""
    ),
    weekdays=words("monday tuesday wednesday thursday friday saturday sunday mon tue wed thu fri sat sun"),
    relative_days=words("today tomorrow yesterday tonight now"),
    ordinals=words(
        """first second third fourth fifth sixth seventh eighth ninth tenth eleventh twelfth thirteenth fourteenth
        fifteenth sixteenth seventeenth eighteenth nineteenth twentieth thirtieth"""
    ),
    currencies=words(
        """dollar dollars buck bucks euro euros pound pounds cent cents pence penny franc francs yen rupee rupees
        percent peso pesos quid"""
    ),
    alternative="or",
    question_spelling=(r"\bspell", r"letter by letter"),
    question_digits=(
        r"\b(account|order|phone|telephone|mobile|card|customer|reference|policy|invoice|booking|tracking|ticket|case|"
        r"member(ship)?|passport|contract|number|routing|serial|meter) number\b",
        r"\b(digits?|numbers?)\b",
        r"\b(zip|post(al)?) ?code\b",
        r"\bpin\b",
        r"\bcode\b",
    ),
    question_date=(
        r"\bdate\b",
        r"\bbirthday\b",
        r"\b(what|which) day\b",
        r"\bwhen (were you born|would you like|do you want|did|should|was)\b",
    ),
    question_amount=(
        r"\bhow much\b",
        r"\b(what|which) amount\b",
        r"\bhow many (dollars|euros|pounds)\b",
        r"\bamount\b",
    ),
    question_story=(
        r"\bwhat happened\b",
        r"\btell me (more|about|what|how)\b",
        r"\bdescribe\b",
        r"\bexplain\b",
        r"\bin your own words\b",
        r"\bwhat (is|seems to be) the (problem|matter|issue)\b",
    ),
    question_yes_no=(
        r"^(and |so |okay |then )?(is|are|was|were|do|does|did|have|has|had|can|could|will|would|shall|should|may) ",
        r"\b(yes or no|is that (right|correct|ok(ay)?)|correct|right|shall i|do you want|would you like)\b[^,.]*\?$",
    ),
    question_requests=(
        r"\b(can|could|may|would|will) (you|i) .{0,30}\b(tell|give|have|say|get|repeat|provide|confirm|enter|ask)\b",
    ),
    question_keys=(r"\b(press|key in|enter|type in|keypad|dial)\b",),
)
