-- An act that could not be sent because its back end was away, and that its bundle lets wait (degrade.queue): nothing was
-- sent, and it is tried again under the same key until it is done, denied, or too old.
ALTER TABLE effects DROP CONSTRAINT effects_state_check;
ALTER TABLE effects ADD CONSTRAINT effects_state_check
    CHECK (state IN ('pending', 'queued', 'executing', 'committed', 'failed', 'unknown', 'review'));
CREATE INDEX effects_queued ON effects (changed_at) WHERE state = 'queued';
