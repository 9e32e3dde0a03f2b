"""Spanish: what endings, answers and listening sounds need; numbers up to thirty as one word each."""

from services.orchestrator.turns.lexicon.words import Lexicon, phrases, words

_NUMBERS = """uno dos tres cuatro cinco seis siete ocho nueve diez once doce trece catorce quince dieciséis diecisiete
dieciocho diecinueve veinte veintiuno veintidós veintitrés veinticuatro veinticinco"""

LEXICON = Lexicon(
    language="es",
    open_last=words(
        """el la los las un una unos unas y e o u pero porque si aunque mientras que de del a al en con sin por para
        sobre entre hasta desde mi mis tu su sus nuestro nuestra muy cada como cuando donde según ni"""
    ),
    weak_last=words("es son era está estoy tengo quiero necesito puedo puede no se me lo le yo este esta ese más cual"),
    fillers=words("eh em este pues mmm hm bueno"),
    subordinate=words("si aunque mientras"),
    open_phrases=phrases("""quiero | quisiera | necesito | me gustaría | puede usted | podría | es que | un momento"""),
    announces=phrases("número es | nombre es | me llamo | dirección es | código es | es el"),
    closings=phrases("""por favor | gracias | muchas gracias | adiós | eso es todo | nada más | hoy | mañana"""),
    short_answers=phrases(
        """sí | no | si | vale | claro | correcto | exacto | de acuerdo | por supuesto | gracias | no gracias | sí por
        favor | hola | adiós | no sé | eso es | perfecto | bien"""
    ),
    yes=words("sí si vale claro correcto exacto cierto supuesto acuerdo"),
    no=words("no nunca incorrecto"),
    plain_answers=words("sí si no"),
    polite=words("por favor gracias muchas señor señora de eso es"),
    backchannels=words("mhm mm mmm hm ajá aja ah oh sí si ya claro vale bien bueno exacto"),
    listening=phrases("ya veo | de acuerdo | muy bien | entiendo | vale vale | claro que sí | está bien"),
    commands=phrases(
        """pare | espere | espera | un momento | no | perdón | perdone | disculpe | oiga | qué | quién | cómo | hola |
        ayuda | cancele | repita | más despacio"""
    ),
    numbers={"cero": "0", "un": "1", **{word: str(value) for value, word in enumerate(_NUMBERS.split(), 1)}},
    repeats={"doble": 2, "triple": 3},
    magnitudes={"cien": 2, "ciento": 2, "mil": 3},
    months=words("enero febrero marzo abril mayo junio julio agosto septiembre setiembre octubre noviembre diciembre"),
    weekdays=words("lunes martes miércoles jueves viernes sábado domingo"),
    relative_days=words("hoy mañana ayer ahora"),
    currencies=words("euro euros céntimo céntimos dólar dólares peso pesos"),
    alternative="o",
    question_spelling=(r"\bdeletre",),
    question_digits=(r"\bnúmero\b", r"\bcódigo\b", r"\bdígitos\b", r"\bcifras\b"),
    question_date=(r"\bfecha\b", r"\bqué día\b", r"\bcuándo\b"),
    question_amount=(r"\bcuánto\b", r"\bimporte\b", r"\bcantidad\b"),
    question_story=(r"\bqué (ha pasado|pasó|ocurrió)\b", r"\bcuénteme\b", r"\bexplique\b", r"\bdescriba\b"),
    question_yes_no=(
        r"^¿?(es|está|tiene|quiere|desea|puede|le gustaría|ha) ",
        r"\b(sí o no|correcto|de acuerdo)\b[^,.]*\?$",
    ),
    question_keys=(r"\b(pulse|marque|teclee|introduzca)\b",),
)
