"""The front of a machine with several orchestrator workers: one public port, every request to the right worker.

    the talk page, its files, /healthz   answered here
    POST /api/webrtc/offer               to the least loaded worker that takes calls; the next one when that refuses
    /api/calls/{id}…                     to the worker whose number is in the id
    /api/calls, /api/stages, /readyz     asked of all and merged; `missing` names workers that did not answer
    /api/calls/by-peer/{reference}       asked of all, the one that knows answers
    everything else under /api/          asked of the first worker that is there: it is the same of every one

It holds no call and no state of one: it can be started again at any time, media goes from the caller straight to the
worker. Tokens are checked by the workers; offers are rate-limited here, where the caller's address is seen.
"""
