-- Channels that are computed, and what validation knows beside the readings: outages, check meters,
-- profiles of classes, temperatures.

ALTER TABLE provenance DROP CONSTRAINT provenance_kind_check;
ALTER TABLE provenance ADD CONSTRAINT provenance_kind_check
    CHECK (kind IN ('vee', 'edit', 'accept', 'virtual'));
ALTER TABLE provenance DROP CONSTRAINT provenance_check;
ALTER TABLE provenance DROP CONSTRAINT provenance_person_and_reason;
ALTER TABLE provenance ADD CONSTRAINT provenance_person_and_reason CHECK (
    kind IN ('vee', 'virtual') OR (coalesce(person, '') <> '' AND coalesce(reason, '') <> ''));

-- A channel whose days are sums of other channels' days. Its usage point has no meter.
CREATE TABLE virtual_channel (
    channel_id integer PRIMARY KEY REFERENCES channel,
    kind text NOT NULL CHECK (kind IN ('total', 'balance')),
    made_at timestamptz NOT NULL
);
COMMENT ON COLUMN virtual_channel.kind IS
    'total: a sum that is used as it is; balance: the flows of a node, which should come to nothing';

-- One term of the sum; it is never changed, only withdrawn.
CREATE TABLE virtual_term (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    channel_id integer NOT NULL REFERENCES virtual_channel,
    usage_point_id integer NOT NULL REFERENCES usage_point,
    reading_type_id smallint NOT NULL REFERENCES reading_type,
    factor numeric(12, 6) NOT NULL CHECK (factor <> 0 AND abs(factor) <= 10000),
    role text NOT NULL CHECK (role IN ('in', 'out', 'loss')),
    starts_on date NOT NULL,
    ends_on date CHECK (ends_on > starts_on),
    recorded_at timestamptz NOT NULL,
    withdrawn_at timestamptz,
    CHECK (role <> 'loss' OR factor < 0)
);
CREATE INDEX ON virtual_term (usage_point_id, reading_type_id) WHERE withdrawn_at IS NULL;
CREATE INDEX ON virtual_term (channel_id);
COMMENT ON COLUMN virtual_term.factor IS 'signed: what one unit of the other channel adds';
COMMENT ON COLUMN virtual_term.role IS 'loss: the technical loss that is expected, as a part of another flow';
COMMENT ON COLUMN virtual_term.starts_on IS 'first local day of the virtual usage point; ends_on is the day after the last';

-- Days of virtual channels to compute again. Rows are only added and taken: a row that is there
-- already may be taken by a run that doesn't see what came with the second one.
CREATE TABLE virtual_due (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    channel_id integer NOT NULL REFERENCES virtual_channel,
    starts_at timestamptz NOT NULL,
    ends_at timestamptz NOT NULL CHECK (ends_at > starts_at)
);
CREATE INDEX ON virtual_due (channel_id);

-- Which versions of which days, by which terms, a version of a virtual day was computed from.
CREATE TABLE virtual_version (
    channel_id integer NOT NULL REFERENCES virtual_channel,
    starts_at timestamptz NOT NULL,
    version integer NOT NULL CHECK (version > 0),
    terms bigint[] NOT NULL CHECK (cardinality(terms) > 0),
    input_channels integer[] NOT NULL,
    input_starts timestamptz[] NOT NULL CHECK (cardinality(input_starts) = cardinality(input_channels)),
    input_versions integer[] NOT NULL CHECK (cardinality(input_versions) = cardinality(input_channels)),
    PRIMARY KEY (channel_id, starts_at, version)
);

-- What meters' events say about the supply. Add a row for events of a maker's own.
CREATE TABLE outage_event (
    category text NOT NULL,
    code integer NOT NULL,
    effect text NOT NULL CHECK (effect IN ('down', 'up', 'off', 'on')),
    PRIMARY KEY (category, code)
);
COMMENT ON COLUMN outage_event.effect IS 'down, up: the power; off, on: the supply switch';
INSERT INTO outage_event (category, code, effect) VALUES
    ('power', 1, 'down'), ('power', 2, 'up'),
    -- Alarm registers: 1000 × register + bit.
    ('power', 2000, 'down'), ('power', 2001, 'up'),
    ('switch', 60, 'off'), ('switch', 62, 'off'), ('switch', 64, 'off'),
    ('switch', 61, 'on'), ('switch', 63, 'on'), ('switch', 69, 'on');

-- Another usage point whose meter counts the same flow.
CREATE TABLE check_meter (
    id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    usage_point_id integer NOT NULL REFERENCES usage_point,
    check_usage_point_id integer NOT NULL REFERENCES usage_point
        CHECK (check_usage_point_id <> usage_point_id),
    starts_on date NOT NULL,
    ends_on date CHECK (ends_on > starts_on),
    CONSTRAINT check_meter_one_at_a_time EXCLUDE USING gist (
        int4range(usage_point_id, usage_point_id, '[]') WITH &&,
        daterange(starts_on, ends_on) WITH &&
    )
);
CREATE INDEX ON check_meter (usage_point_id);
CREATE INDEX ON check_meter (check_usage_point_id);

-- The mean day of a class of usage points, by kind of day.
CREATE TABLE class_profile (
    sector text NOT NULL REFERENCES sector,
    tariff text NOT NULL,
    reading_type_id smallint NOT NULL REFERENCES reading_type,
    interval_seconds integer NOT NULL CHECK (interval_seconds > 0 AND 86400 % interval_seconds = 0),
    day_kind text NOT NULL CHECK (day_kind IN ('weekday', 'weekend', 'holiday')),
    made_at timestamptz NOT NULL,
    days integer NOT NULL CHECK (days > 0),
    usage_points integer NOT NULL CHECK (usage_points > 0),
    "values" bigint[] NOT NULL CHECK (cardinality("values") = 86400 / interval_seconds),
    PRIMARY KEY (sector, tariff, reading_type_id, interval_seconds, day_kind)
);
COMMENT ON COLUMN class_profile."values" IS
    'mean of each slot of the local day, in thousandths of the scaled unit';

-- Mean temperatures of local days, by billing group or time zone.
CREATE TABLE day_temperature (
    place text NOT NULL CHECK (place <> ''),
    day date NOT NULL,
    celsius real NOT NULL CHECK (celsius BETWEEN -90 AND 70),
    readings integer NOT NULL CHECK (readings > 0),
    imported_at timestamptz NOT NULL,
    PRIMARY KEY (place, day)
);
