"""Sans-I/O turn-taking: events in, decisions out; no await, no clock."""
