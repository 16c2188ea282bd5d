-- The highest invocation counter of each meter's pushes: what comes with no higher one was heard
-- before.
CREATE TABLE push_counter (
    end_device_id integer PRIMARY KEY REFERENCES end_device,
    highest bigint NOT NULL CHECK (highest >= 0),
    previous bigint NOT NULL
) WITH (fillfactor = 50);
COMMENT ON COLUMN push_counter.previous IS 'what the last change found; -1 before the first';

-- Who pushes and is in no registry: unknown, awaiting registration.
CREATE TABLE unknown_device (
    id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    protocol text NOT NULL,
    kind text NOT NULL CHECK (kind IN ('system_title', 'name', 'host')),
    identity text NOT NULL CHECK (identity <> ''),
    host text NOT NULL,
    transport text NOT NULL,
    first_seen timestamptz NOT NULL,
    last_seen timestamptz NOT NULL,
    pushes bigint NOT NULL CHECK (pushes > 0),
    reason text NOT NULL,
    registered_at timestamptz,
    UNIQUE (protocol, kind, identity)
);
CREATE INDEX ON unknown_device (last_seen) WHERE registered_at IS NULL;
COMMENT ON COLUMN unknown_device.kind IS 'what identity is: what the sender was looked for by';
COMMENT ON COLUMN unknown_device.host IS 'the address that it pushed from last';
COMMENT ON COLUMN unknown_device.registered_at IS
    'when the registry was found to have it, and what was kept of it was tried again';

-- By what a push may name its sender.
CREATE INDEX ON end_device (upper(address ->> 'system_title')) WHERE protocol = 'dlms';
CREATE INDEX ON end_device ((address ->> 'serial')) WHERE protocol = 'dlms';
CREATE INDEX ON end_device ((address ->> 'device_name')) WHERE protocol = 'dlms';
CREATE INDEX ON end_device (host) WHERE protocol = 'dlms';
CREATE INDEX ON device_status ((identity ->> 'serial'));
CREATE INDEX ON quarantine (source, subject) WHERE resolved_at IS NULL;

ALTER TABLE device_status ADD COLUMN power_off_at timestamptz;
COMMENT ON COLUMN device_status.power_off_at IS
    'when its last gasp came: the power is off since then, unless it was heard later';
