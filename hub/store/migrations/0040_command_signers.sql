-- Several people sign one command; the numbers of each key are its own.
CREATE TABLE command_signers (
    digest  BLOB NOT NULL,                    -- the command
    signer  BLOB NOT NULL,                    -- thumbprint of a command key that signed it
    PRIMARY KEY (digest, signer)
) WITHOUT ROWID;
INSERT INTO command_signers (digest, signer) SELECT digest, signer FROM commands;
ALTER TABLE commands DROP COLUMN signer;
