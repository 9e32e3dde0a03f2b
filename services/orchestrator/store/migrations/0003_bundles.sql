-- Agents as published: content by digest, never changed; labels that releases move; every move kept.
CREATE TABLE bundles (
    digest       text PRIMARY KEY CHECK (digest ~ '^[0-9a-f]{64}$'),
    agent        text NOT NULL,
    version      text NOT NULL,
    files        jsonb NOT NULL,
    public_key   bytea NOT NULL CHECK (octet_length(public_key) = 32),
    signature    bytea NOT NULL CHECK (octet_length(signature) = 64),
    published_at timestamptz NOT NULL DEFAULT now(),
    published_by text NOT NULL,
    -- One version, one content: a changed bundle needs a new version.
    UNIQUE (agent, version)
);

CREATE TABLE bundle_releases (
    agent          text NOT NULL,
    label          text NOT NULL,
    digest         text NOT NULL REFERENCES bundles,
    canary         text REFERENCES bundles,
    canary_percent integer NOT NULL DEFAULT 0 CHECK (canary_percent BETWEEN 0 AND 100),
    PRIMARY KEY (agent, label)
);

CREATE TABLE bundle_moves (
    move           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    agent          text NOT NULL,
    label          text NOT NULL,
    action         text NOT NULL CHECK (action IN ('release', 'canary', 'promote', 'rollback')),
    digest         text NOT NULL REFERENCES bundles,
    canary         text REFERENCES bundles,
    canary_percent integer NOT NULL,
    at             timestamptz NOT NULL DEFAULT now(),
    by             text NOT NULL,
    reason         text NOT NULL
);

CREATE INDEX bundle_moves_by_label ON bundle_moves (agent, label, move DESC);

CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% is append-only', TG_TABLE_NAME;
END $$;

CREATE TRIGGER bundles_append_only BEFORE UPDATE OR DELETE ON bundles
    FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER bundle_moves_append_only BEFORE UPDATE OR DELETE ON bundle_moves
    FOR EACH ROW EXECUTE FUNCTION refuse_change();
