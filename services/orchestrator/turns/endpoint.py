"""How long to wait after the last voiced frame before the turn is over.

The wait is graded by the turn model's opinion of the audio and by the text: "I would like to" is not over
however long the breath; "Yes." is.
"""

import re

from services.common.settings import TurnSettings

# Words an English sentence rarely ends with; other languages come with locales.
_OPEN_WORDS_TEXT = """
a an the and or but nor because if when while which whose whom to of at by for from with into about
than as my your his its our their are was were am be been being did has had will would can could
shall should may might must very um uh er erm
"""
_OPEN_WORDS = frozenset(_OPEN_WORDS_TEXT.split())
_SHORT_ANSWERS = frozenset(
    (
        "yes",
        "no",
        "yeah",
        "yep",
        "nope",
        "sure",
        "okay",
        "ok",
        "correct",
        "right",
        "exactly",
        "thanks",
        "thank you",
        "goodbye",
        "bye",
        "hello",
        "stop",
        "that is right",
        "that's right",
        "no thanks",
        "no thank you",
        "yes please",
    )
)
_WORDS = re.compile(r"[^\W_]+(?:['’][^\W_]+)*")


def words_of(text: str) -> list[str]:
    """Lower-case words without punctuation."""
    return _WORDS.findall(text.lower())


def normalized(text: str) -> str:
    """What must be equal for two transcripts to mean the same turn."""
    return " ".join(words_of(text))


def is_open(text: str) -> bool:
    """The text reads as if more must come: it trails off, or ends with a function word."""
    stripped = text.rstrip()
    words = words_of(stripped)
    if not words:
        return False
    return stripped.endswith((",", "-", "–", "…", "...")) or words[-1] in _OPEN_WORDS


def is_short_answer(text: str) -> bool:
    """A whole answer of a word or three."""
    return normalized(text).replace("’", "'") in _SHORT_ANSWERS


def endpoint_wait_ms(settings: TurnSettings, probability: float | None, text: str | None) -> tuple[int, str]:
    """The wait after the last voiced frame, in ms, and why. None: not known (yet)."""
    if text and is_short_answer(text):
        return settings.endpoint_complete_ms, "short answer"
    complete, unsure, incomplete = (
        settings.endpoint_complete_ms,
        settings.endpoint_unsure_ms,
        settings.endpoint_incomplete_ms,
    )
    opened = bool(text) and is_open(text or "")
    closed = bool(text) and not opened and (text or "").rstrip().endswith((".", "?", "!"))
    if probability is None:
        return (incomplete, "open text") if opened else (unsure, "no prediction")
    if probability >= settings.complete_probability:
        return (unsure, "complete audio, open text") if opened else (complete, "complete")
    if probability <= settings.incomplete_probability:
        return ((unsure + incomplete) // 2, "incomplete audio, closed text") if closed else (incomplete, "incomplete")
    if opened:
        return incomplete, "unsure audio, open text"
    return ((complete + unsure) // 2, "unsure audio, closed text") if closed else (unsure, "unsure")
