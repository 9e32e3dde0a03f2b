"""Slots and readings the locale tests share."""

from datetime import date
from typing import Any

from services.orchestrator.bundles.model import Resolve, Slot
from services.orchestrator.dialogue.locales import pack
from services.orchestrator.dialogue.model import Reading, SlotData

# A Friday.
TODAY = date(2026, 11, 27)
CONFUSABLE = (("fifteen", "fifty"), ("thirteen", "thirty"), ("zwei", "drei"))
REASONS = {
    "lost": {"en-GB": ("lost", "can't find it", "missing"), "de-DE": ("verloren", "finde sie nicht")},
    "stolen": {"en-GB": ("stolen", "taken"), "de-DE": ("gestohlen", "geklaut")},
    "damaged": {"en-GB": ("damaged", "broken"), "de-DE": ("beschädigt", "kaputt")},
}
CARDS = ({"last4": "4711", "kind": "debit"}, {"last4": "0823", "kind": "credit"})
PAYMENTS = (
    {"merchant": "Tesco Stores", "amount_minor": 1250, "date": "2026-11-24", "currency": "GBP"},
    {"merchant": "Amazon", "amount_minor": 5000, "date": "2026-11-20", "currency": "GBP"},
    {"merchant": "Amazon", "amount_minor": 1500, "date": "2026-11-21", "currency": "GBP"},
)


def slot(kind: str, **fields: Any) -> Slot:
    """A slot of a type."""
    return Slot.model_validate({"type": kind, "ask": "p.ask", **fields})


CARD = slot("ref", resolve=Resolve(tool="list_cards", match=("last4", "kind")))
PAYMENT = slot("ref", resolve=Resolve(tool="list_transactions", match=("merchant", "amount_minor", "date")))


def read(locale: str, kind: Slot | str, text: str, **options: Any) -> list[Reading]:
    """All readings of a text, with the bundle's confusable words."""
    wanted = slot(kind) if isinstance(kind, str) else kind
    return pack(locale).read(wanted, text, today=TODAY, confusable=CONFUSABLE, **options)


def best(locale: str, kind: Slot | str, text: str, **options: Any) -> SlotData | None:
    """The first reading's value; None where there is no reading."""
    readings = read(locale, kind, text, **options)
    return readings[0].data.reveal() if readings else None
