-- Facts, filled from the CSV files of schemas/ after every migration.
CREATE TABLE reading_type (
    id smallint PRIMARY KEY,
    name text NOT NULL UNIQUE,
    commodity text NOT NULL CHECK (commodity IN ('electricity', 'water')),
    accumulation text NOT NULL CHECK (accumulation IN ('cumulative', 'delta', 'instantaneous')),
    unit text NOT NULL,
    display_unit text NOT NULL,
    display_exponent smallint NOT NULL,
    obis text NOT NULL UNIQUE,
    cumulative text,
    description_en text NOT NULL,
    description_ar text NOT NULL
);

CREATE TABLE quality_code (
    code smallint PRIMARY KEY,
    name text NOT NULL UNIQUE,
    class text NOT NULL CHECK (class IN ('valid', 'questionable', 'missing', 'estimated', 'edited')),
    iec text NOT NULL,
    espi smallint NOT NULL,
    aemo text NOT NULL,
    description_en text NOT NULL,
    description_ar text NOT NULL
);

CREATE TABLE sector (
    code text PRIMARY KEY,
    name_en text NOT NULL,
    name_ar text NOT NULL
);

-- A part of the communication network whose load is limited as one: a cell, a gateway, a line.
CREATE TABLE network_segment (
    id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    code text NOT NULL UNIQUE CHECK (code <> ''),
    max_sessions integer NOT NULL DEFAULT 200 CHECK (max_sessions > 0)
);

CREATE TABLE usage_point (
    id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    mrid text NOT NULL UNIQUE CHECK (mrid <> ''),
    commodity text NOT NULL CHECK (commodity IN ('electricity', 'water')),
    sector text NOT NULL REFERENCES sector,
    time_zone text NOT NULL,
    tariff text NOT NULL CHECK (tariff <> ''),
    billing_group text NOT NULL CHECK (billing_group <> '')
);

CREATE TABLE end_device (
    id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    mrid text NOT NULL UNIQUE CHECK (mrid <> ''),
    manufacturer text NOT NULL,
    model text NOT NULL,
    protocol text NOT NULL CHECK (protocol IN ('dlms', 'modbus', 'mqtt', 'manual')),
    profile text NOT NULL,
    interval_seconds integer NOT NULL CHECK (interval_seconds > 0 AND 86400 % interval_seconds = 0),
    register_modulus bigint CHECK (register_modulus > 0),
    segment_id integer REFERENCES network_segment,
    host text,
    port integer CHECK (port BETWEEN 1 AND 65535),
    address jsonb NOT NULL DEFAULT '{}',
    security text NOT NULL DEFAULT 'none' CHECK (security IN ('none', 'lls', 'hls-gmac'))
);
COMMENT ON COLUMN end_device.register_modulus IS
    'where the registers wrap to 0, in the scaled unit; NULL when they never do';
COMMENT ON COLUMN end_device.address IS 'what the protocol needs beside host and port, such as unit or topic';

CREATE TABLE installation (
    id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    usage_point_id integer NOT NULL REFERENCES usage_point,
    end_device_id integer NOT NULL REFERENCES end_device,
    starts_at timestamptz NOT NULL,
    ends_at timestamptz CHECK (ends_at > starts_at),
    multiplier numeric(14, 6) NOT NULL DEFAULT 1 CHECK (multiplier > 0),
    CONSTRAINT installation_one_meter_at_a_time EXCLUDE USING gist (
        int4range(usage_point_id, usage_point_id, '[]') WITH &&,
        tstzrange(starts_at, ends_at) WITH &&
    ),
    CONSTRAINT installation_one_place_at_a_time EXCLUDE USING gist (
        int4range(end_device_id, end_device_id, '[]') WITH &&,
        tstzrange(starts_at, ends_at) WITH &&
    )
);
CREATE INDEX ON installation (usage_point_id);
CREATE INDEX ON installation (end_device_id);

CREATE TABLE channel (
    id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    usage_point_id integer NOT NULL REFERENCES usage_point,
    reading_type_id smallint NOT NULL REFERENCES reading_type,
    interval_seconds integer NOT NULL CHECK (interval_seconds >= 0),
    UNIQUE (usage_point_id, reading_type_id, interval_seconds)
);
COMMENT ON COLUMN channel.interval_seconds IS '0 for a register';

-- A demonstration's clock is its data's: one row while a simulated time is in force.
CREATE TABLE simulated_clock (
    only_one boolean PRIMARY KEY DEFAULT true CHECK (only_one),
    now timestamptz NOT NULL
);
