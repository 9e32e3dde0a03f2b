-- Acts on systems of record: the row is there before anything is sent, so that whatever dies, what may have been done
-- is known. One business act (idempotency_key) has at most one attempt that is not `failed`.
CREATE TABLE effects (
    effect_id       text PRIMARY KEY,
    idempotency_key text NOT NULL CHECK (idempotency_key ~ '^[0-9a-f]{64}$'),
    attempt         integer NOT NULL CHECK (attempt >= 1),
    -- Sent to the back end; the same for every delivery of this attempt.
    wire_key        text NOT NULL UNIQUE,
    request_hash    text NOT NULL,
    call_id         text NOT NULL,
    turn            integer NOT NULL,
    agent_digest    text NOT NULL,
    tool            text NOT NULL,
    -- Needed to ask what became of it after a crash; erased with the call's personal data.
    request         jsonb NOT NULL,
    state           text NOT NULL CHECK (state IN ('pending', 'executing', 'committed', 'failed', 'unknown', 'review')),
    answer          jsonb NOT NULL DEFAULT '{}',
    reason          text NOT NULL DEFAULT '',
    created_at      timestamptz NOT NULL DEFAULT now(),
    changed_at      timestamptz NOT NULL DEFAULT now(),
    UNIQUE (idempotency_key, attempt)
);

CREATE INDEX effects_open ON effects (changed_at) WHERE state IN ('pending', 'executing', 'unknown');
CREATE INDEX effects_by_call ON effects (call_id);

-- What a person has to decide. Approval is of exactly these arguments (request_hash), by somebody else than the caller
-- and the author of the request, before the deadline.
CREATE TABLE reviews (
    review_id    text PRIMARY KEY,
    effect_id    text NOT NULL REFERENCES effects,
    rule         text NOT NULL,
    request_hash text NOT NULL,
    author       text NOT NULL,
    deadline     timestamptz NOT NULL,
    decision     text CHECK (decision IN ('approved', 'refused', 'expired')),
    reviewer     text,
    decided_at   timestamptz,
    note         text NOT NULL DEFAULT '',
    CHECK ((decision IS NULL) = (decided_at IS NULL)),
    CHECK (decision NOT IN ('approved', 'refused') OR reviewer <> author)
);

CREATE UNIQUE INDEX reviews_open ON reviews (effect_id) WHERE decision IS NULL;
