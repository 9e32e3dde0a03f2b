"""A caller with a script: topics one after the other, each a small table of "when this is asked, say that". Pure.

Asked the same again it says the same in other words; not understood, it tries again; after a few times it gives up and
says what it was stuck at. It agrees to nothing that it did not hear: a read-back that no cue expects gets no yes.
"""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from services.cli.talker.acts import Act, HangUp, Key, Listen, Say
from services.common.personal import Personal

# As often is one question answered, and an answer that fits nothing heard, before the caller gives up.
PATIENCE = 4


@dataclass(frozen=True, slots=True)
class Cue:
    """When `asked` (a regular expression, searched in what was heard) then one of `says`, or `keys`."""

    asked: str
    says: tuple[str, ...] = ()
    keys: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class Topic:
    """One thing the caller wants. `cues` in order of precedence; heard `over`, it goes on to the next."""

    name: str
    opens: tuple[str, ...]
    cues: tuple[Cue, ...]
    over: str


class ScriptedCaller:
    """One call's caller (`acts.Caller`)."""

    def __init__(self, topics: Sequence[Topic], *, waits: str, idle: str, fails: str, bye: str) -> None:
        """`waits`: what the agent says and goes on after; `idle`: nothing is open; `fails`: what no good call
        has in it; `bye`: last words."""
        self._topics = topics
        self._waits = re.compile(waits)
        self._idle = re.compile(idle)
        self._fails = re.compile(fails)
        self._bye = bye
        self._at = -1
        self._asked: Counter[int] = Counter()
        self._lost = 0
        self._cue: Cue | None = None
        self._leaving = False

    @property
    def topic(self) -> str:
        """What it is about now."""
        return self._topics[self._at].name if 0 <= self._at < len(self._topics) else ""

    def lines(self) -> list[str]:
        """What it will probably say, for a voice that prepares."""
        return [
            line
            for topic in self._topics
            for line in (topic.opens[0], *(cue.says[0] for cue in topic.cues if cue.says))
        ] + [self._bye]

    def next(self, heard: str) -> Act:
        """See `acts.Caller`."""
        words = plain(heard)
        if self._leaving:
            return HangUp()
        if words and self._waits.fullmatch(words):
            return Listen()
        if self._fails.search(words):
            return HangUp(f"{self.topic or 'the greeting'}: heard {words!r}")
        if self._at < 0:
            return self._open()
        topic = self._topics[self._at]
        if re.search(topic.over, words):
            return self._open()
        for index, cue in enumerate(topic.cues):
            if words and re.search(cue.asked, words):
                self._cue = cue
                return self._answer(index, cue)
        return self._again(topic, words)

    def _open(self) -> Act:
        self._at += 1
        self._asked.clear()
        self._lost, self._cue = 0, None
        if self._at < len(self._topics):
            return Say(self._topics[self._at].opens[0])
        self._leaving = True
        return Say(self._bye, last=True)

    def _answer(self, index: int, cue: Cue) -> Act:
        times = self._asked[index]
        if times >= PATIENCE:
            return HangUp(f"{self.topic}: asked {times + 1} times for the same ({cue.asked})")
        self._asked[index] += 1
        return Key(Personal(cue.keys, "keys")) if cue.keys else Say(cue.says[times % len(cue.says)])

    def _again(self, topic: Topic, words: str) -> Act:
        """The agent did not understand, or the caller did not: the last thing once more, in other words."""
        self._lost += 1
        if self._lost >= PATIENCE:
            return HangUp(f"{self.topic}: nothing to say to {words!r}")
        if self._cue is None or self._idle.search(words):
            # The agent has let go of it: asked for from the beginning.
            self._cue = None
            return Say(topic.opens[self._lost % len(topic.opens)])
        return self._answer(topic.cues.index(self._cue), self._cue)


def plain(words: str) -> str:
    """Lower case, one kind of apostrophe, single spaces."""
    return " ".join(words.lower().replace("’", "'").split())
