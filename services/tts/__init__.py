"""Text to speech, clause-wise and cached. Piper (GPL-3.0-or-later) is imported here only, and here by `phonemes` alone.

The way of a piece of text: `server` validates and admits the stream; `utterance` feeds `clauses`, which cuts where a
speaker would pause; `cache` knows the clause already or has a `take` of it made; `scheduler` gives a thread to the
step whose listener would hear silence first; `piper_engine` runs it on a `voice`: `spoken` words, `phonemes`, the
voice's `graph` in three parts, one window of samples at a time; `timing` finds the words in the phonemes' durations,
`shape` keeps the silence around them natural, `resample` gives the caller's rate.
"""
