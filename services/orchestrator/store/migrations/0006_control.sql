-- One data key per call, wrapped by the site's key: what acts were asked with and answered is sealed under it. Emptying
-- `wrapped` erases all of that at once; states, keys of acts and the audit stay as they are.
CREATE TABLE control_calls (
    call_id    text PRIMARY KEY,
    wrapped    bytea,
    -- Who called, as far as it was known: for whoever goes on with the call, settles an act or calls back. Sealed.
    identity   jsonb NOT NULL DEFAULT '{}',
    level      integer NOT NULL DEFAULT 0,
    created_at timestamptz NOT NULL DEFAULT now(),
    erased_at  timestamptz,
    CHECK ((wrapped IS NULL) = (erased_at IS NOT NULL))
);

CREATE INDEX effects_in_review ON effects (changed_at) WHERE state = 'review';

-- What a caller was promised: that somebody calls back and says how it went.
CREATE TABLE callbacks (
    callback_id  text PRIMARY KEY,
    effect_id    text NOT NULL REFERENCES effects,
    call_id      text NOT NULL,
    agent_digest text NOT NULL,
    -- approved, refused, expired (of a review); settled (an outcome that was unknown is known).
    why          text NOT NULL CHECK (why IN ('approved', 'refused', 'expired', 'settled')),
    -- What there is to tell: the state of the act, and its reason.
    state        text NOT NULL,
    reason       text NOT NULL DEFAULT '',
    created_at   timestamptz NOT NULL DEFAULT now(),
    done_at      timestamptz,
    done_by      text,
    note         text NOT NULL DEFAULT '',
    CHECK ((done_at IS NULL) = (done_by IS NULL)),
    UNIQUE (effect_id, why)
);

CREATE INDEX callbacks_open ON callbacks (created_at) WHERE done_at IS NULL;
