"""A caller that listens: it hears the agent out, reads what it heard, and chooses what to say or key by that."""
