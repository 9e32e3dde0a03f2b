"""Turn-taking without I/O: events in, decisions out, no await, no clock."""
