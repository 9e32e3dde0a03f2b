"""What is understood of labelled utterances, and how sure the confidence is: `python -m benchmarks.understanding`."""
