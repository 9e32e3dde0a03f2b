"""JSON Schemas of the bundle's files, for editors: made from the same types that validation uses."""

from typing import Any

from services.orchestrator.bundles.load import EVALS, PROMPTS, TYPES


def schemas() -> dict[str, dict[str, Any]]:
    """File name of the schema → JSON Schema (draft 2020-12)."""
    documents = {name.replace(".yaml", ".schema.json"): adapter.json_schema() for name, adapter in TYPES.items()}
    documents["prompts.schema.json"] = PROMPTS.json_schema()
    documents["evals.schema.json"] = EVALS.json_schema()
    return {
        name: {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": name.split(".")[0], **document}
        for name, document in documents.items()
    }
