-- A CRL is made from its index alone, without a look at each certificate.
DROP INDEX certificates_revoked_by_serial;
CREATE INDEX certificates_revoked_by_serial
    ON certificates (kind, serial, not_after_ms, revoked_ms, revoked_reason)
    WHERE revoked_ms IS NOT NULL;
