-- Nobody asks for the keys of a device: each is looked up by its digest.
DROP INDEX known_keys_by_device;
