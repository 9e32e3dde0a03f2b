"""The HTTP API of the orchestrator and the talk page."""
