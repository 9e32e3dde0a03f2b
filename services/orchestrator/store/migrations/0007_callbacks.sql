-- A caller who wanted a person and could not be connected is called back too: no act is behind that.
ALTER TABLE callbacks ALTER COLUMN effect_id DROP NOT NULL;
ALTER TABLE callbacks DROP CONSTRAINT callbacks_why_check;
ALTER TABLE callbacks ADD CONSTRAINT callbacks_why_check
    CHECK (why IN ('approved', 'refused', 'expired', 'settled', 'handover'));
CREATE UNIQUE INDEX callbacks_handover ON callbacks (call_id) WHERE why = 'handover';
