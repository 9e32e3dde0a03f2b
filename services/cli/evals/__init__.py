"""Simulated callers against the real dialogue, control layer, database and back end; gates that judge the books."""
