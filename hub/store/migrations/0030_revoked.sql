-- The CRL of one shard is a range of serial numbers: so many certificates are read, not all that
-- were ever revoked.
CREATE INDEX certificates_revoked_by_serial ON certificates (kind, serial) WHERE revoked_ms IS NOT NULL;
