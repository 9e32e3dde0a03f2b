"""A second reading of the evidence: the control layer reads the caller's words itself and looks for the value in them.

Understanding says which words say a value; it is believed only as far as the locale's grammars find that value, or one
the same words may say instead, in just these words. A value that a model, or text planted in a back end's data, put
there is in none of them. Pure but for the day.
"""

from collections.abc import Callable, Mapping
from datetime import date

from services.orchestrator.bundles.bundle import Bundle
from services.orchestrator.bundles.model import Slot
from services.orchestrator.control.model import Scalar
from services.orchestrator.dialogue.locales import pack
from services.orchestrator.dialogue.model import Reading

# Resolved to a record, or checked word by word.
_ELSEWHERE = frozenset({"ref", "text"})
KEPT = 16


class Reread:
    """Of one call, over slots of `bundle`. `today` is asked each time: "tomorrow" is another day by then."""

    def __init__(self, bundle: Bundle, locale: str, today: Callable[[], date]) -> None:
        self._pack = pack(locale, bundle.agent.locales[locale])
        self._confusable = bundle.agent.lexicon.confusable
        self._today = today
        # Amount and currency come from the same words, and what was judged is looked at again when it is done.
        self._read: dict[tuple[int, str, bool, date], list[Reading]] = {}

    def says(self, slot: Slot, field: str, value: Scalar, text: str, *, keyed: bool) -> bool:
        """Whether `text` may say `value`; `field` is the part of the slot's value that it is (minor, currency)."""
        if slot.type in _ELSEWHERE:
            return True
        found = self._readings(slot, text, keyed, self._today())
        return any(_part(data, field) == value for reading in found for data in _all(reading))

    def _readings(self, slot: Slot, text: str, keyed: bool, today: date) -> list[Reading]:
        # Slots live as long as their bundle, which the call holds.
        key = (id(slot), text, keyed, today)
        if key not in self._read:
            if len(self._read) >= KEPT:
                self._read.clear()
            self._read[key] = self._pack.read(slot, text, keyed=keyed, confusable=self._confusable, today=today)
        return self._read[key]


def _all(reading: Reading) -> list[object]:
    return [reading.data.reveal(), *(rival.reveal() for rival in reading.rivals)]


def _part(data: object, field: str) -> object:
    return data.get(field) if isinstance(data, Mapping) else data
