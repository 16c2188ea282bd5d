-- Authentication mechanisms and keys of security suites 1 and 2.
ALTER TABLE end_device DROP CONSTRAINT end_device_security_check;
ALTER TABLE end_device ADD CONSTRAINT end_device_security_check CHECK (security IN
    ('none', 'lls', 'hls-md5', 'hls-sha1', 'hls-gmac', 'hls-sha256', 'hls-ecdsa'));

ALTER TABLE end_device_key DROP CONSTRAINT end_device_key_kind_check;
ALTER TABLE end_device_key ADD CONSTRAINT end_device_key_kind_check CHECK (kind IN
    ('password', 'encryption', 'authentication', 'broadcast', 'master',
     'client_signing', 'client_agreement', 'meter_signing', 'meter_agreement'));
COMMENT ON COLUMN end_device_key.kind IS
    'master wraps other keys; client_* are our private keys, meter_* the meter''s public ones';
