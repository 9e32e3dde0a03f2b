"""Calls and events in PostgreSQL: durable before a call is answered, batched and never in the way while it runs."""

from services.orchestrator.store.calls import CallStore
from services.orchestrator.store.database import Store, open_store
from services.orchestrator.store.records import CallRecord, StoredEvent, TranscriptPolicy
from services.orchestrator.store.writer import EventWriter

__all__ = ["CallRecord", "CallStore", "EventWriter", "Store", "StoredEvent", "TranscriptPolicy", "open_store"]
