-- Commands that people signed, and the way of each; products for developers; owners.

CREATE TABLE commands (
    digest          BLOB PRIMARY KEY,         -- SHA-256 of the command
    device          TEXT NOT NULL,
    action          TEXT NOT NULL,            -- wipe-operational, debug-unlock, decommission
    signer          BLOB NOT NULL,            -- thumbprint of the command key
    number          BIGINT NOT NULL,
    document        BLOB NOT NULL,
    expires_ms      BIGINT NOT NULL,
    state           TEXT NOT NULL,
    open            BIGINT NOT NULL,          -- 1 until the state is terminal
    reason          TEXT,
    detail          TEXT,
    first_order     BIGINT NOT NULL DEFAULT 0,
    last_order      BIGINT NOT NULL DEFAULT 0,
    entered         BIGINT NOT NULL DEFAULT 0, -- 1 once a wiped device asked to enter with a new key
    approvals       BIGINT NOT NULL,          -- how many people agreed to it
    given_by        TEXT NOT NULL,
    given_ms        BIGINT NOT NULL,
    since_ms        BIGINT NOT NULL
) WITHOUT ROWID;
CREATE UNIQUE INDEX commands_open ON commands (device) WHERE open = 1;
CREATE INDEX commands_by_device ON commands (device, given_ms);
CREATE INDEX commands_by_end ON commands (expires_ms) WHERE open = 1;

-- Products for developers: few devices, short certificates.
CREATE TABLE developer_products (
    class       BLOB PRIMARY KEY,
    since_ms    BIGINT NOT NULL,
    marked_by   TEXT NOT NULL
) WITHOUT ROWID;

ALTER TABLE devices ADD COLUMN owner TEXT;    -- whom it was handed to; absent: its first owner
ALTER TABLE devices ADD COLUMN grade TEXT;    -- what its state rests on: attested, not-attested
