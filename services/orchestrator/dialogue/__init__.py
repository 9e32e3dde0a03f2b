"""Conversation state, history and prompts."""
