-- A key is looked up among its device's certificates: they lie beside each other, where an index by
-- the key alone has every new certificate write another page. The count of shared keys reads this
-- index and nothing else.
DROP INDEX certificates_by_key;
DROP INDEX certificates_by_device;
CREATE INDEX certificates_by_device ON certificates (device, kind, key_digest);
