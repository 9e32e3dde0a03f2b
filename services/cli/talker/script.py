"""A caller with a script: topics one after the other, each a small table of "when this is asked, say that". Pure.

Asked the same again it says the same in other words; not understood, it tries again; what it cannot place it asks to
hear again; after a few times without getting on it gives up and says what it was stuck at. Its ears are a small
recogniser's, so a question is also known by how much it sounds like one that this agent asks. It agrees to nothing that
it did not hear: a read-back that no cue expects gets no yes, however much it sounds like another.
"""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from rapidfuzz import fuzz

from services.cli.talker.acts import Act, HangUp, Key, Listen, Say
from services.common.personal import Personal

# As often is one question answered, and an answer that fits nothing heard, before the caller gives up.
PATIENCE = 4
# How like a known question (0 to 100, best alignment of the shorter in the longer) heard words must be to be taken for
# it, and by how much more than for any other.
SOUNDS_LIKE, MARGIN = 75.0, 8.0


@dataclass(frozen=True, slots=True)
class Cue:
    """When `asked` (a regular expression, searched in what was heard) then one of `says`, or `keys`.

    `like`: the agent's sentence that asks it, for ears that hear it not quite so. Never of a cue that agrees.
    """

    asked: str
    says: tuple[str, ...] = ()
    keys: str = field(default="", repr=False)
    like: str = ""


@dataclass(frozen=True, slots=True)
class Topic:
    """One thing the caller wants. `cues` in order of precedence; heard `over`, it goes on to the next."""

    name: str
    opens: tuple[str, ...]
    cues: tuple[Cue, ...]
    over: str


class ScriptedCaller:
    """One call's caller (`acts.Caller`)."""

    def __init__(
        self,
        topics: Sequence[Topic],
        *,
        waits: str,
        idle: str,
        fails: str,
        bye: str,
        unheard: str = "",
        again: Sequence[str] = ("Could you say that again?",),
    ) -> None:
        """`waits`: what the agent says and goes on after; `idle`: nothing is open; `fails`: what no good call
        has in it; `bye`: last words; `unheard`: the agent did not understand; `again`: the caller did not."""
        self._topics = topics
        self._waits = re.compile(waits)
        self._idle = re.compile(idle)
        self._fails = re.compile(fails)
        self._bye = bye
        self._unheard = re.compile(unheard) if unheard else None
        self._say_again = tuple(again)
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
        index = _asked(topic, words)
        if index is None:
            return self._again(topic, words)
        if self._cue is not topic.cues[index]:
            # Getting on: what was not understood before is over.
            self._lost, self._cue = 0, topic.cues[index]
        return self._answer(index, topic.cues[index])

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
        if words and self._lost % 2 and not (self._unheard and self._unheard.search(words)):
            return Say(self._say_again[self._lost // 2 % len(self._say_again)])
        return self._answer(topic.cues.index(self._cue), self._cue)


def _asked(topic: Topic, words: str) -> int | None:
    """Which cue the words are; None when none, or when two sound as like."""
    if not words:
        return None
    for index, cue in enumerate(topic.cues):
        if re.search(cue.asked, words):
            return index
    likes = [(fuzz.partial_ratio(plain(cue.like), words), index) for index, cue in enumerate(topic.cues) if cue.like]
    (best, index), (second, _) = (*sorted(likes, reverse=True), (0.0, -1), (0.0, -1))[:2]
    return index if best >= SOUNDS_LIKE and best - second >= MARGIN else None


def plain(words: str) -> str:
    """Lower case, one kind of apostrophe, single spaces."""
    return " ".join(words.lower().replace("’", "'").split())
