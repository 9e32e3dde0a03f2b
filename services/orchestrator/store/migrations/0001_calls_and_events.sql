-- Calls and their event logs. Personal fields hold text only where records.transcripts allows it, else a placeholder.
CREATE TABLE calls (
    call_id      text PRIMARY KEY,
    transport    text NOT NULL,
    caller       text NOT NULL,
    callee       text NOT NULL,
    agent_digest text NOT NULL,
    locale       text NOT NULL,
    started_at   timestamptz NOT NULL,
    ended_at     timestamptz,
    cause        text,
    detail       text
);

CREATE INDEX calls_by_start ON calls (started_at DESC, call_id DESC);

CREATE TABLE events (
    call_id text NOT NULL REFERENCES calls ON DELETE CASCADE,
    seq     bigint NOT NULL CHECK (seq >= 0),
    -- CLOCK_MONOTONIC of the machine that ran the call, ns: comparable within a call only.
    at_ns   bigint NOT NULL,
    wall    timestamptz NOT NULL,
    type    text NOT NULL,
    payload jsonb NOT NULL,
    PRIMARY KEY (call_id, seq)
);
