-- The bank's own books: a schema of its own, as a real core system would have. Nothing of Trunkline reads it directly.
CREATE SCHEMA IF NOT EXISTS bank;

CREATE TABLE IF NOT EXISTS bank.customers (
    subject  text PRIMARY KEY,
    street   text NOT NULL,
    postcode text NOT NULL,
    number     text NOT NULL DEFAULT '',
    -- PBKDF2 of the telephone PIN, salted by the customer; wrong tries in a row, over all calls.
    pin_hash   text NOT NULL DEFAULT '',
    wrong_pins integer NOT NULL DEFAULT 0,
    vulnerable boolean NOT NULL DEFAULT false
);

CREATE INDEX IF NOT EXISTS customers_by_number ON bank.customers (number);

CREATE TABLE IF NOT EXISTS bank.accounts (
    subject         text PRIMARY KEY REFERENCES bank.customers,
    available_minor bigint NOT NULL,
    currency        text NOT NULL
);

CREATE TABLE IF NOT EXISTS bank.cards (
    card_id text PRIMARY KEY,
    subject text NOT NULL REFERENCES bank.customers,
    last4   text NOT NULL,
    kind    text NOT NULL,
    blocked boolean NOT NULL DEFAULT false
);

CREATE TABLE IF NOT EXISTS bank.transactions (
    txn_id       text PRIMARY KEY,
    subject      text NOT NULL REFERENCES bank.customers,
    merchant     text NOT NULL,
    date         date NOT NULL,
    amount_minor bigint NOT NULL,
    currency     text NOT NULL,
    refundable   boolean NOT NULL
);

CREATE SEQUENCE IF NOT EXISTS bank.reference START 1001;

-- What was done, by its key: one key, one act, one payload.
CREATE TABLE IF NOT EXISTS bank.acts (
    key          text PRIMARY KEY,
    kind         text NOT NULL,
    payload_hash text NOT NULL,
    reference    text NOT NULL UNIQUE,
    answer       jsonb NOT NULL,
    at           timestamptz NOT NULL DEFAULT now(),
    deliveries   integer NOT NULL DEFAULT 1
);

-- The books themselves: a second row for one act would be money paid twice. Tests count these.
CREATE TABLE IF NOT EXISTS bank.postings (
    posting bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    kind    text NOT NULL,
    subject text NOT NULL,
    object  text NOT NULL,
    amount_minor bigint,
    key     text NOT NULL,
    at      timestamptz NOT NULL DEFAULT now()
);
