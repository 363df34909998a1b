-- People: until when a certificate is good, and invitations that work once.

ALTER TABLE operators ADD COLUMN not_after_ms BIGINT;   -- absent where an older program added it

CREATE TABLE invitations (
    secret_digest   BLOB PRIMARY KEY,    -- SHA-256; the secret itself is nowhere
    name            TEXT NOT NULL,
    role            TEXT NOT NULL,
    invited_by      TEXT NOT NULL,
    made_ms         BIGINT NOT NULL,
    ends_ms         BIGINT NOT NULL,
    used_ms         BIGINT
) WITHOUT ROWID;
