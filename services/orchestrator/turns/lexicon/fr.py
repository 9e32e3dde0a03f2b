"""French: what endings, answers and listening sounds need; numbers up to sixteen and the tens as one word each."""

from services.orchestrator.turns.lexicon.words import Lexicon, phrases, words

_NUMBERS = """un deux trois quatre cinq six sept huit neuf dix onze douze treize quatorze quinze
seize"""

LEXICON = Lexicon(
    language="fr",
    open_last=words(
        """le la les l un une des et ou mais parce que qu car si quand comme de du d à au aux en dans avec sans pour par
        sur sous entre vers chez mon ma mes ton votre vos notre nos son sa ses très chaque donc ni puis lorsque"""
    ),
    weak_last=words(
        "est sont était suis ai a ont peux peut veux voudrais je j nous vous il elle on ce cette ne pas plus qui"
    ),
    fillers=words("euh heu ben bah hein hm hmm bon"),
    subordinate=words("si lorsque quoique puisque"),
    open_phrases=phrases("""je voudrais | je veux | j'aimerais | il me faut | est-ce que | pouvez-vous | un instant"""),
    announces=phrases("numéro est | nom est | je m'appelle | adresse est | code est | c'est | c'est le"),
    closings=phrases("""s'il vous plaît | merci | merci beaucoup | au revoir | c'est tout | aujourd'hui | demain"""),
    short_answers=phrases(
        """oui | non | si | d'accord | bien sûr | exact | exactement | c'est ça | tout à fait | merci | non merci | oui
        s'il vous plaît | bonjour | au revoir | je ne sais pas | parfait | très bien | ok"""
    ),
    yes=words("oui ouais si exact exactement d'accord sûr certainement parfait ok correct"),
    no=words("non jamais faux"),
    plain_answers=words("oui ouais non"),
    polite=words("merci s'il vous plaît monsieur madame bien beaucoup c'est ça"),
    backchannels=words("mhm mm mmm hm ah oh oui ouais d'accord ok bien voilà exact bon"),
    listening=phrases("d'accord | je vois | très bien | entendu | oui oui | bien sûr | ça marche"),
    commands=phrases(
        """stop | arrêtez | attendez | un moment | un instant | non | pardon | excusez-moi | écoutez | quoi | qui |
        comment | allô | aide | annulez | répétez | plus lentement"""
    ),
    numbers={
        "zéro": "0",
        "une": "1",
        **{word: str(value) for value, word in enumerate(_NUMBERS.split(), 1)},
        "vingt": "20",
        "trente": "30",
        "quarante": "40",
        "cinquante": "50",
        "soixante": "60",
        "septante": "70",
        "huitante": "80",
        "nonante": "90",
    },
    repeats={"double": 2, "triple": 3},
    magnitudes={"cent": 2, "mille": 3},
    months=words("janvier février mars avril mai juin juillet août septembre octobre novembre décembre"),
    weekdays=words("lundi mardi mercredi jeudi vendredi samedi dimanche"),
    relative_days=words("aujourd'hui demain hier maintenant"),
    currencies=words("euro euros centime centimes franc francs dollar dollars"),
    alternative="ou",
    question_spelling=(r"\bépel",),
    question_digits=(r"\bnuméro\b", r"\bcode\b", r"\bchiffres\b"),
    question_date=(r"\bdate\b", r"\bquel jour\b", r"\bquand\b"),
    question_amount=(r"\bcombien\b", r"\bmontant\b"),
    question_story=(r"\bque s'est-il passé\b", r"\bracontez\b", r"\bdécrivez\b", r"\bexpliquez\b"),
    question_yes_no=(
        r"^(est-ce que|avez-vous|voulez-vous|souhaitez-vous|êtes-vous|est-ce) ",
        r"\b(oui ou non|correct)\b[^,.]*\?$",
    ),
    question_keys=(r"\b(tapez|appuyez|composez)\b",),
)
