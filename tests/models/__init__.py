"""Tests of the model manifest, the store and the fetcher."""
