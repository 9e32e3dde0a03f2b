-- The state of a dialogue, written before anything that depends on it is done: whoever goes on with the call knows all.
CREATE TABLE dialogues (
    call_id      text PRIMARY KEY,
    -- Who may write. A worker that takes over puts itself here, and from then on the one before writes nothing.
    writer       text NOT NULL,
    version      bigint NOT NULL CHECK (version >= 0),
    agent_digest text NOT NULL,
    locale       text NOT NULL,
    -- sha256 of the caller's number, to find the dialogue again when the line broke; emptied by erasure.
    caller_hash  text NOT NULL DEFAULT '',
    -- Goals, questions, outcomes; every personal value is a place in `personal`.
    state        jsonb NOT NULL,
    -- NULL: erased.
    personal     jsonb,
    changed_at   timestamptz NOT NULL DEFAULT now(),
    -- Ended as it should: not to be gone on with.
    ended_at     timestamptz
);

CREATE INDEX dialogues_open ON dialogues (caller_hash, changed_at DESC) WHERE ended_at IS NULL AND caller_hash <> '';
