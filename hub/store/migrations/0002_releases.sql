-- Objects, releases, deployments, audit log.

CREATE TABLE objects (
    digest      BLOB PRIMARY KEY,
    size_bytes  BIGINT NOT NULL,
    stored_ms   BIGINT NOT NULL
) WITHOUT ROWID;

CREATE TABLE releases (
    manifest        BLOB PRIMARY KEY,
    envelope        BLOB NOT NULL,
    envelope_digest BLOB NOT NULL,
    vendor          BLOB NOT NULL,
    class           BLOB NOT NULL,
    sequence        BIGINT NOT NULL,
    version         TEXT NOT NULL,
    size_bytes      BIGINT NOT NULL,
    published_by    TEXT NOT NULL,
    published_ms    BIGINT NOT NULL
) WITHOUT ROWID;
CREATE UNIQUE INDEX releases_by_sequence ON releases (class, sequence);

CREATE TABLE release_objects (
    manifest    BLOB NOT NULL REFERENCES releases (manifest),
    digest      BLOB NOT NULL REFERENCES objects (digest),
    size_bytes  BIGINT NOT NULL,
    PRIMARY KEY (manifest, digest)
) WITHOUT ROWID;

CREATE TABLE deployments (
    deployment      TEXT PRIMARY KEY,
    number          BIGINT NOT NULL UNIQUE,   -- order of creation
    manifest        BLOB NOT NULL REFERENCES releases (manifest),
    class           BLOB NOT NULL,
    target_device   TEXT,                     -- absent: the whole class, newcomers included
    state           TEXT NOT NULL,            -- waiting, running, paused, halted
    offered_ms      BIGINT NOT NULL,          -- deadlines per phase, as durations
    downloading_ms  BIGINT NOT NULL,
    written_ms      BIGINT NOT NULL,
    trial_ms        BIGINT NOT NULL,
    created_by      TEXT NOT NULL,
    created_ms      BIGINT NOT NULL,
    changed_ms      BIGINT NOT NULL
) WITHOUT ROWID;
CREATE INDEX deployments_by_class ON deployments (class, state);

-- One device's way through one deployment. At most one row of a device is open.
CREATE TABLE targets (
    deployment      TEXT NOT NULL REFERENCES deployments (deployment),
    device          TEXT NOT NULL,
    state           TEXT NOT NULL,
    open            BIGINT NOT NULL,          -- 1 until the state is terminal
    grade           TEXT,                     -- reported, attested: what a success rests on
    reason          TEXT,
    detail          TEXT,
    first_order     BIGINT NOT NULL DEFAULT 0,
    last_order      BIGINT NOT NULL DEFAULT 0,
    since_ms        BIGINT NOT NULL,
    deadline_ms     BIGINT,                   -- absent while paused and when terminal
    PRIMARY KEY (deployment, device)
) WITHOUT ROWID;
CREATE UNIQUE INDEX targets_open ON targets (device) WHERE open = 1;
CREATE INDEX targets_by_device ON targets (device);
CREATE INDEX targets_by_deadline ON targets (deadline_ms) WHERE deadline_ms IS NOT NULL;

-- Append-only. The head (size and the roots of the complete subtrees) stands in meta.
CREATE TABLE audit (
    position    BIGINT PRIMARY KEY,
    at_ms       BIGINT NOT NULL,
    subject     TEXT NOT NULL,
    entry       BLOB NOT NULL
);
CREATE INDEX audit_by_subject ON audit (subject, position);
