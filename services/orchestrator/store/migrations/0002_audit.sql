-- The audit log: entries that only ever grow, what opens their commitments (erasable), signed checkpoints, and entries
-- that were committed together with what they tell and wait for their place in the chain.

-- Roles belong to the whole server: they may exist already, also of another database.
DO $$
DECLARE
    role_name text;
BEGIN
    FOREACH role_name IN ARRAY ARRAY['trunkline_audit_writer', 'trunkline_audit_eraser'] LOOP
        IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = role_name) THEN
            BEGIN
                EXECUTE format('CREATE ROLE %I NOLOGIN', role_name);
            EXCEPTION
                WHEN duplicate_object OR unique_violation THEN NULL;
                WHEN insufficient_privilege THEN
                    RAISE EXCEPTION 'An administrator must first run: CREATE ROLE trunkline_audit_writer NOLOGIN; CREATE ROLE trunkline_audit_eraser NOLOGIN; GRANT trunkline_audit_writer, trunkline_audit_eraser TO the user of database.dsn.'
                        USING ERRCODE = 'TL001';
            END;
        END IF;
        IF NOT pg_has_role(current_user, role_name, 'MEMBER') THEN
            EXECUTE format('GRANT %I TO %I', role_name, current_user);
        END IF;
    END LOOP;
END
$$;

CREATE TABLE audit_entries (
    index     bigint PRIMARY KEY CHECK (index >= 0),
    -- Canonical JSON: exactly the bytes that are hashed.
    entry     text  NOT NULL,
    leaf_hash bytea NOT NULL CHECK (octet_length(leaf_hash) = 32)
);

CREATE INDEX audit_entries_by_call ON audit_entries ((entry::jsonb ->> 'call')) WHERE entry::jsonb ->> 'call' <> '';

CREATE TABLE audit_personal (
    index  bigint  NOT NULL,
    field  text    NOT NULL,
    salt   bytea   NOT NULL CHECK (octet_length(salt) = 32),
    -- UTF-8, or nonce and AES-256-GCM of it.
    value  bytea   NOT NULL,
    sealed boolean NOT NULL,
    PRIMARY KEY (index, field)
);

CREATE TABLE audit_checkpoints (
    id   bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    size bigint NOT NULL CHECK (size >= 0),
    -- A C2SP signed note; more signatures of the same text are a row of their own.
    note text   NOT NULL
);

CREATE TABLE audit_pending (
    id       bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    body     jsonb NOT NULL,
    -- [{field, salt (hex), value (hex), sealed}]
    openings jsonb NOT NULL DEFAULT '[]'
);

-- Belt and braces: also the owner is stopped, unless it first switches the trigger off, which is not done by mistake.
CREATE FUNCTION audit_is_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'The audit log is append-only: % on % is refused.', TG_OP, TG_TABLE_NAME USING ERRCODE = 'TL001';
END
$$;

CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_entries
    FOR EACH STATEMENT EXECUTE FUNCTION audit_is_append_only();
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_checkpoints
    FOR EACH STATEMENT EXECUTE FUNCTION audit_is_append_only();
CREATE TRIGGER erase_only BEFORE UPDATE OR TRUNCATE ON audit_personal
    FOR EACH STATEMENT EXECUTE FUNCTION audit_is_append_only();

REVOKE ALL ON audit_entries, audit_personal, audit_checkpoints, audit_pending FROM PUBLIC;
GRANT SELECT, INSERT ON audit_entries, audit_personal, audit_checkpoints TO trunkline_audit_writer;
GRANT SELECT, INSERT, DELETE ON audit_pending TO trunkline_audit_writer;
GRANT SELECT, DELETE ON audit_personal TO trunkline_audit_eraser;
GRANT SELECT ON audit_entries TO trunkline_audit_eraser;
