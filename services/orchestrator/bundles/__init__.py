"""Agents as bundles: a directory of YAML, checked as a whole, content-addressed, signed, released by moving a label."""
