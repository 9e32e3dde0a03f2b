"""From what a language model writes to what a voice can say: markup goes, as it streams. Sans-I/O."""

import re

# Characters that mark up text and are not spoken.
_MARKUP = re.compile(r"[*_`#~|<>\[\]{}\\]+")
_SPACES = re.compile(r"\s+")
_LIST_MARK = re.compile(r"\n[ \t]*(?:[-•+]|\d{1,2}[.)])[ \t]+")
_LINK = re.compile(r"\[([^\[\]\n]*)\]\([^)\[\s]*\)")
# What no sentence begins with.
_NO_BEGINNING = " ,.;:!?)"
# A link or a list mark may still be coming: hold back from here.
_HOLD = re.compile(r"(?:\[[^\[\]\n]*(?:\](?:\([^)\[\s]*)?)?|\n[ \t]*(?:[-•+]|\d{0,2}[.)]?)?[ \t]*)\Z")
_LONGEST_HOLD = 200


class SpokenText:
    """Feed deltas; get text to speak: no markup, single spaces, nothing before the first word."""

    def __init__(self) -> None:
        self._held = "\n"
        self._started = False
        self._space = False

    def feed(self, delta: str) -> str:
        """The text that is certain now."""
        text = self._held + delta
        hold = _HOLD.search(text)
        cut = hold.start() if hold and len(text) - hold.start() < _LONGEST_HOLD else len(text)
        self._held = text[cut:]
        return self._clean(text[:cut])

    def end(self) -> str:
        """What was held back."""
        text, self._held = self._held, ""
        return self._clean(text)

    def _clean(self, text: str) -> str:
        text = _LIST_MARK.sub(" ", _LINK.sub(r"\1", text))
        text = _SPACES.sub(" ", _MARKUP.sub("", text))
        if not self._started:
            text = text.lstrip(_NO_BEGINNING)
            if not text:
                return ""
            self._started = True
        if self._space:
            text = text.lstrip(" ")
        if text:
            self._space = text.endswith(" ")
        return text


_CLAUSE_END = re.compile(r"[,.;:!?…](?=\s)")


def has_clause(text: str) -> bool:
    """A first clause is complete: something is worth speaking."""
    return _CLAUSE_END.search(text) is not None
