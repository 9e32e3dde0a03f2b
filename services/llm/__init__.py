"""The language model service: one engine interface, llama.cpp on CPUs, vLLM on GPUs, an admission queue in front."""
