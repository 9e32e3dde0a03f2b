"""The turn-taking set: pauses, ends and interruptions with known truth, and what three systems make of them."""
