"""Tests of the vad service."""
