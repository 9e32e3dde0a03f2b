"""What the demo's caller wants of the example bank: block a card, a refund that is refused, one that is corrected."""

from typing import Final

from services.cli.bank_stack import PIN
from services.cli.talker.script import Cue, ScriptedCaller, Topic

# Amounts as a recogniser may write them.
_FIFTEEN = r"(£ ?15\b|\b15 ?(pounds|quid|£)|\bfifteen\b)"
_TEN = r"(£ ?10\b|\b10 ?(pounds|quid|£)|\bten\b)"
# The card of the read-back, digit by digit or as a number; "four" is heard as "for".
_DEBIT = r"\b(4|four|for)\W*(4|four|for)\W*(1|one|won)\W*(7|seven)\b"
# "Refund" as a small recogniser hears it ("refine").
_REFUND = r"\bre-?f\w+"
# The sentences of the bundle that ask these (a test holds them to it).
ASKS_CARD: Final = "Which card is it? You can say or key the last four digits."
ASKS_REASON: Final = "Is the card lost, stolen, or damaged?"
ASKS_PAYMENT: Final = "Which payment is it about? The shop and the amount will do."
ASKS_AMOUNT: Final = "How much should be refunded?"
# A code is keyed where a code is asked for, not where something sounds like it.
_CODE = Cue(r"\b(key|enter|type|press)\b.*\b(code|pin|cold|coat)\b|your (code|pin)\b", keys=PIN)
_WAITS: Final = (
    r"(?:[\W]*(?:one moment|\w+ with me|i am still on it|i'm still on it|thank you for waiting|please|"
    r"you are speaking with an automated assistant|before i can do that,? i need to check who you are)[\W]*)+"
)
_IDLE: Final = r"anything else|how can i help"
_UNHEARD: Final = r"(not|n't) (understand|catch|hear|find)|did ?n.t get|say (that|it) again|once more"
_AGAIN: Final = ("Could you say that again?", "Can you repeat that?")
# Nothing that this caller called for ends like this.
_FAILS: Final = r"to a colleague|does not match|technical problem|not working|cannot reach"
BLOCK = Topic(
    "a card is blocked",
    opens=("I lost my debit card.", "Please block my debit card, I lost it.", "I want to block my card."),
    cues=(
        Cue(
            rf"{_DEBIT}.*(go ahead|shall i)|is (that|it) .*{_DEBIT}",
            says=("Yes.", "Yes, please.", "Yes, that's right."),
        ),
        Cue(r"9 ?0 ?2 ?3|nine zero two three|credit", says=("No, the debit card.", "No, my debit card.")),
        Cue(r"is (that|it) (lost|blocking)", says=("Yes.", "Yes, please.")),
        Cue(r"lost.*stolen|stolen.*damaged", says=("It is lost.", "I lost it.", "Lost."), like=ASKS_REASON),
        Cue(
            r"which card|last four|what card",
            says=("The debit card.", "My debit card, ending four four one seven.", "Four four one seven."),
            like=ASKS_CARD,
        ),
        _CODE,
        Cue(
            r"(?<!payment )\bis it about",
            says=("Blocking a card.", "About blocking a card.", "I want to block my card."),
        ),
        # A read-back that was not understood gets no yes.
        Cue(r"go ahead|is (that|it) ", says=("Can you repeat that?", "Please say that again.")),
    ),
    over=r"\bis block(ed)?\b|the reference is|done already",
)
REFUSED = Topic(
    "a refund is refused",
    opens=(
        "I was charged twice.",
        "I want to dispute a payment.",
        "I want a refund.",
    ),
    cues=(
        _CODE,
        Cue(r"is (that|it) .*(rail|kettle)", says=("No, the City Lottery.", "No, City Lottery.")),
        Cue(r"is (that|it) .*(lottery|20|twenty)", says=("Yes.", "Yes, please.")),
        Cue(
            r"payment is it about|shop (and|in) the amount|(which|what|what's) payment",
            says=("The City Lottery.", "City Lottery."),
            like=ASKS_PAYMENT,
        ),
        Cue(r"how much|what amount", says=("Twenty pounds.", "Twenty pounds, please."), like=ASKS_AMOUNT),
        Cue(r"(?<!payment )\bis it about", says=("I was charged twice.", "A refund.", "It is about a refund.")),
    ),
    over=r"(cannot|can't|can not|could not) be refunded",
)
CORRECTED = Topic(
    "a refund, its amount corrected",
    opens=(
        "I want to dispute a payment.",
        "I was charged twice.",
        "I want a refund.",
    ),
    cues=(
        _CODE,
        Cue(rf"{_REFUND}.*{_TEN}.*(confirm|yes)", says=("Yes.", "Yes, please.", "Yes, I confirm.")),
        Cue(
            rf"{_REFUND}.*(confirm|say yes)|what should be different",
            says=("I meant ten pounds.", "It should be ten pounds.", "No, ten pounds."),
        ),
        Cue(r"is (that|it) .*(lottery|kettle)", says=("No, Northern Rail.", "No. It is about Northern Rail.")),
        Cue(
            r"is (that|it) .*(\b50\b|fifty|18|eighteen)",
            says=("No, the one for fifteen pounds.", "No, fifteen pounds.", "No, the nineteenth of November."),
        ),
        Cue(rf"is (that|it) .*{_TEN}", says=("Yes.", "Yes, ten pounds.")),
        Cue(rf"is (that|it) .*({_FIFTEEN}|19|nineteen)", says=("Yes.", "Yes, that's right.")),
        Cue(
            r"do you mean",
            says=("The one for fifteen pounds.", "The fifteen pounds.", "The one of the nineteenth of November."),
        ),
        Cue(r"how much|what amount", says=("Fifteen pounds.", "Fifteen pounds, please."), like=ASKS_AMOUNT),
        Cue(
            r"payment is it about|shop (and|in) the amount|(which|what|what's) payment",
            says=("Northern Rail, fifteen pounds.", "The fifteen pounds from Northern Rail.", "Northern Rail."),
            like=ASKS_PAYMENT,
        ),
        Cue(r"(?<!payment )\bis it about", says=("I was charged twice.", "A refund.", "It is about a refund.")),
    ),
    over=r"will be refunded|the reference is",
)
TOPICS: Final = (BLOCK, REFUSED, CORRECTED)


def bank_caller() -> ScriptedCaller:
    """The caller of the demo."""
    return ScriptedCaller(
        TOPICS,
        waits=_WAITS,
        idle=_IDLE,
        fails=_FAILS,
        bye="No, thank you. Goodbye.",
        unheard=_UNHEARD,
        again=_AGAIN,
    )
