"""Streaming speech recognition: faster-whisper behind one scheduler for all calls."""
