"""Trunkline: a self-hosted voice stack. The model is one part; the system around it is the product."""

__version__ = "0.1.0"
