"""Language model: one engine interface, vLLM or llama.cpp behind it."""
