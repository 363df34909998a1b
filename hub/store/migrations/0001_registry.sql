-- Devices, keys, certificates, factories, people, trust.
-- SQLite dialect file; the statements in src/tables stay within what PostgreSQL takes too.
-- Times are Unix milliseconds. Digests are 32 bytes.

CREATE TABLE meta (
    name  TEXT PRIMARY KEY,
    value BLOB NOT NULL
) WITHOUT ROWID;

CREATE TABLE sites (
    site                TEXT PRIMARY KEY,
    factory_ca          BLOB NOT NULL,
    serial_prefix       TEXT NOT NULL,
    quota               BIGINT NOT NULL,
    not_after_ms        BIGINT NOT NULL,
    devices             BIGINT NOT NULL DEFAULT 0,
    last_batch_number   BIGINT NOT NULL DEFAULT 0,
    last_batch_digest   BLOB,
    added_ms            BIGINT NOT NULL,
    revoked_ms          BIGINT
) WITHOUT ROWID;

CREATE TABLE batches (
    site        TEXT NOT NULL REFERENCES sites (site),
    number      BIGINT NOT NULL,
    digest      BLOB NOT NULL,
    devices     BIGINT NOT NULL,
    document    BLOB NOT NULL,
    taken_ms    BIGINT NOT NULL,
    PRIMARY KEY (site, number)
);

CREATE TABLE devices (
    device          TEXT PRIMARY KEY,
    ueid            BLOB NOT NULL UNIQUE,
    site            TEXT NOT NULL,
    batch_number    BIGINT NOT NULL,
    vendor          BLOB NOT NULL,
    class           BLOB NOT NULL,
    protection      TEXT NOT NULL,
    state           TEXT NOT NULL,
    state_since_ms  BIGINT NOT NULL,
    reason          TEXT,                -- why it is in that state, a reason code
    alarm           TEXT,                -- an alarm nobody has settled yet, a reason code
    alarm_ms        BIGINT,
    pending_key     BLOB,                -- the key that asked to re-enter and was not granted
    added_ms        BIGINT NOT NULL
) WITHOUT ROWID;
CREATE INDEX devices_by_class ON devices (class, state);
CREATE INDEX devices_by_state ON devices (state);

-- The row that every check-in writes: narrow, one per device, no index besides its key.
CREATE TABLE contacts (
    device              TEXT PRIMARY KEY,
    last_seen_ms        BIGINT NOT NULL,
    link_counter        BIGINT NOT NULL,
    link_current        BLOB,
    link_previous       BLOB,
    last_order          BIGINT NOT NULL,  -- highest order number ever given out or heard of
    anchors_version     BIGINT NOT NULL,
    agent_version       TEXT NOT NULL,
    audit_size          BIGINT NOT NULL,
    reported            BLOB             -- digest of what it says it runs, to see changes
) WITHOUT ROWID;

-- What a device says it runs. Written only when it changes.
CREATE TABLE running (
    device          TEXT NOT NULL,
    class           BLOB NOT NULL,
    sequence        BIGINT NOT NULL,
    manifest        BLOB,
    version         TEXT NOT NULL,
    floor           BIGINT NOT NULL,
    since_ms        BIGINT NOT NULL,
    PRIMARY KEY (device, class)
) WITHOUT ROWID;
CREATE INDEX running_by_manifest ON running (manifest);

-- Every public key ever seen, in any role, for ever.
CREATE TABLE known_keys (
    key_digest      BLOB PRIMARY KEY,
    device          TEXT,
    role            TEXT NOT NULL,
    first_seen_ms   BIGINT NOT NULL
) WITHOUT ROWID;
CREATE INDEX known_keys_by_device ON known_keys (device);

CREATE TABLE certificates (
    fingerprint     BLOB PRIMARY KEY,
    device          TEXT NOT NULL,
    kind            TEXT NOT NULL,       -- idevid, ldevid
    serial          BLOB NOT NULL,
    key_digest      BLOB NOT NULL,
    not_before_ms   BIGINT NOT NULL,
    not_after_ms    BIGINT NOT NULL,
    der             BLOB NOT NULL,
    issued_ms       BIGINT NOT NULL,
    first_used_ms   BIGINT,
    revoked_ms      BIGINT,
    revoked_reason  TEXT
) WITHOUT ROWID;
CREATE INDEX certificates_by_device ON certificates (device, kind);
CREATE INDEX certificates_by_key ON certificates (key_digest);
CREATE INDEX certificates_revoked ON certificates (revoked_ms) WHERE revoked_ms IS NOT NULL;

CREATE TABLE operators (
    fingerprint     BLOB PRIMARY KEY,
    name            TEXT NOT NULL,
    role            TEXT NOT NULL,
    key_digest      BLOB NOT NULL,
    added_ms        BIGINT NOT NULL,
    removed_ms      BIGINT
) WITHOUT ROWID;

CREATE TABLE approvals (
    subject         TEXT NOT NULL,
    action          TEXT NOT NULL,
    operator        TEXT NOT NULL,
    given_ms        BIGINT NOT NULL,
    ends_ms         BIGINT NOT NULL,
    PRIMARY KEY (subject, action, operator)
) WITHOUT ROWID;

CREATE TABLE anchors (
    version     BIGINT PRIMARY KEY,
    digest      BLOB NOT NULL,
    document    BLOB NOT NULL,
    added_ms    BIGINT NOT NULL
);
