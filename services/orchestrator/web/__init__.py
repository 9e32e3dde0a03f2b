"""The HTTP API of the orchestrator and the talk page.

    GET    /                                 the talk page; its files under /static/
    POST   /api/webrtc/offer                 {"sdp", "type"} → {"sdp", "type", "call_id", "token", "peer_reference"}
    GET    /api/calls/{id}/events?token=     WebSocket: the call's events as JSON, from the start, then live
    GET    /api/calls                        {"calls": […]}, in progress first
    GET    /api/calls/{id}                   one call with its events
    DELETE /api/calls/{id}                   hang up
    GET    /api/calls/by-peer/{reference}    {"call_id"} for a SIP Call-ID or WebRTC session id
    GET    /api/stages?since_ns=             {"samples": [{"call_id", "turn", "stage", "ms", "at_ns"}, …]}
    GET    /api/about                        the running stack in full
    GET    /api/about/public                 which models answer, STUN servers; no token
    GET    /healthz, /readyz

Page, offer, public facts and health are open; a call's own token opens that call; everything else needs
`Authorization: Bearer` with the token in `data_dir/operator.token`.
Errors are `{"error": {"code", "message", "remedy"}}`.
"""
