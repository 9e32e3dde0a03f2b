"""Text to speech: Piper (GPL, imported here only), clause-wise and cached."""
