-- Raw: append-only, exactly what was read. Written by the head-end and by file imports.
CREATE TABLE raw_interval_block (
    end_device_id integer NOT NULL REFERENCES end_device,
    reading_type_id smallint NOT NULL REFERENCES reading_type,
    starts_at timestamptz NOT NULL,
    interval_seconds integer NOT NULL CHECK (interval_seconds > 0),
    digest bigint NOT NULL,
    source text NOT NULL,
    collected_at timestamptz NOT NULL,
    session_id bigint,
    values integer[] NOT NULL CHECK (cardinality(values) > 0),
    quality smallint[] CHECK (cardinality(quality) = cardinality(values)),
    annotation text
);
CREATE UNIQUE INDEX raw_interval_block_key
    ON raw_interval_block (end_device_id, reading_type_id, starts_at, digest);
COMMENT ON COLUMN raw_interval_block.digest IS
    'of interval, values and quality: the same answer lands once, a different one lands beside it';

CREATE TABLE raw_register_reading (
    end_device_id integer NOT NULL REFERENCES end_device,
    reading_type_id smallint NOT NULL REFERENCES reading_type,
    read_at timestamptz NOT NULL,
    value bigint NOT NULL,
    quality smallint NOT NULL DEFAULT 0,
    source text NOT NULL,
    collected_at timestamptz NOT NULL,
    session_id bigint
);
CREATE UNIQUE INDEX raw_register_reading_key
    ON raw_register_reading (end_device_id, reading_type_id, read_at, value, quality);

-- The border between collection and record: what has landed and was not yet taken in. Written in the
-- transaction that lands, deleted in the one that takes in.
CREATE TABLE arrival (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    end_device_id integer NOT NULL REFERENCES end_device,
    starts_at timestamptz NOT NULL,
    ends_at timestamptz NOT NULL CHECK (ends_at >= starts_at),
    landed_at timestamptz NOT NULL
);
CREATE INDEX ON arrival (end_device_id);

-- What came in and could not be placed, with the reason, until somebody resolves it.
CREATE TABLE quarantine (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    source text NOT NULL,
    subject text NOT NULL,
    payload bytea NOT NULL,
    reason text NOT NULL,
    received_at timestamptz NOT NULL,
    resolved_at timestamptz
);

-- Who or what made a version of the final record, and why.
CREATE TABLE provenance (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    kind text NOT NULL CHECK (kind IN ('vee', 'edit', 'accept')),
    recorded_at timestamptz NOT NULL,
    rule_set text,
    rule_set_digest text,
    software text NOT NULL,
    person text,
    reason text,
    CHECK (kind = 'vee' OR (person <> '' AND reason <> ''))
);

-- Final: versions of a usage point's local days. No UPDATE of a value, ever.
CREATE TABLE interval_block (
    channel_id integer NOT NULL REFERENCES channel,
    starts_at timestamptz NOT NULL,
    version integer NOT NULL CHECK (version > 0),
    recorded_at timestamptz NOT NULL,
    provenance_id bigint NOT NULL REFERENCES provenance,
    values integer[] NOT NULL CHECK (cardinality(values) > 0),
    quality smallint[] CHECK (cardinality(quality) = cardinality(values)),
    origin bigint[] CHECK (cardinality(origin) = cardinality(values))
);
CREATE UNIQUE INDEX interval_block_key ON interval_block (channel_id, starts_at, version);
COMMENT ON COLUMN interval_block.values IS
    'after the multiplier, in the scaled unit of the reading type; 0 where quality says missing';
COMMENT ON COLUMN interval_block.quality IS 'NULL when all are valid (0)';
COMMENT ON COLUMN interval_block.origin IS
    'provenance of each interval; NULL when all come from provenance_id';

CREATE TABLE register_reading (
    channel_id integer NOT NULL REFERENCES channel,
    installation_id integer NOT NULL REFERENCES installation,
    read_at timestamptz NOT NULL,
    version integer NOT NULL CHECK (version > 0),
    recorded_at timestamptz NOT NULL,
    provenance_id bigint NOT NULL REFERENCES provenance,
    value bigint NOT NULL,
    quality smallint NOT NULL
);
CREATE UNIQUE INDEX register_reading_key
    ON register_reading (channel_id, read_at, installation_id, version);
COMMENT ON COLUMN register_reading.value IS 'as the register showed it, before the multiplier';

-- Hypertables where TimescaleDB is; columnstore and retention policies only where its licence has them.
DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_extension WHERE extname = 'timescaledb') THEN
        RETURN;
    END IF;
    PERFORM create_hypertable('raw_interval_block', 'starts_at',
        chunk_time_interval => interval '7 days', create_default_indexes => false);
    PERFORM create_hypertable('interval_block', 'starts_at',
        chunk_time_interval => interval '7 days', create_default_indexes => false);
    PERFORM create_hypertable('raw_register_reading', 'read_at',
        chunk_time_interval => interval '30 days', create_default_indexes => false);
    PERFORM create_hypertable('register_reading', 'read_at',
        chunk_time_interval => interval '30 days', create_default_indexes => false);
    IF current_setting('timescaledb.license', true) = 'timescale' THEN
        ALTER TABLE raw_interval_block SET (
            timescaledb.compress,
            timescaledb.compress_segmentby = 'reading_type_id',
            timescaledb.compress_orderby = 'end_device_id, starts_at');
        PERFORM add_compression_policy('raw_interval_block', interval '60 days');
    END IF;
END $$;

-- One row an interval for people who write SQL.
CREATE FUNCTION readings(
    channel integer, from_ timestamptz, to_ timestamptz, known_at timestamptz DEFAULT 'infinity'
) RETURNS TABLE (
    starts_at timestamptz, value integer, quality smallint, version integer,
    recorded_at timestamptz, provenance_id bigint
) LANGUAGE sql STABLE PARALLEL SAFE AS $$
    SELECT slot.starts_at,
           CASE WHEN code.class = 'missing' THEN NULL ELSE slot.value END,
           slot.quality, slot.version, slot.recorded_at, slot.provenance_id
    FROM (
        SELECT b.starts_at + (u.i - 1) * make_interval(secs => c.interval_seconds) AS starts_at,
               u.value, coalesce(b.quality[u.i], 0::smallint) AS quality, b.version, b.recorded_at,
               coalesce(b.origin[u.i], b.provenance_id) AS provenance_id
        FROM (
            SELECT DISTINCT ON (f.starts_at) f.*
            FROM interval_block f
            WHERE f.channel_id = readings.channel
              AND f.starts_at < to_ AND f.starts_at > from_ - interval '26 hours'
              AND f.recorded_at <= readings.known_at
            ORDER BY f.starts_at, f.version DESC
        ) b
        JOIN channel c ON c.id = b.channel_id
        CROSS JOIN LATERAL unnest(b.values) WITH ORDINALITY AS u (value, i)
    ) slot
    LEFT JOIN quality_code code ON code.code = slot.quality
    WHERE slot.starts_at >= from_ AND slot.starts_at < to_
    ORDER BY slot.starts_at
$$;

CREATE VIEW reading AS
SELECT b.channel_id, p.mrid AS usage_point, t.name AS reading_type, t.unit,
       b.starts_at + (u.i - 1) * make_interval(secs => c.interval_seconds) AS starts_at,
       CASE WHEN code.class = 'missing' THEN NULL ELSE u.value END AS value,
       coalesce(b.quality[u.i], 0::smallint) AS quality, b.version, b.recorded_at,
       coalesce(b.origin[u.i], b.provenance_id) AS provenance_id
FROM interval_block b
JOIN channel c ON c.id = b.channel_id
JOIN usage_point p ON p.id = c.usage_point_id
JOIN reading_type t ON t.id = c.reading_type_id
CROSS JOIN LATERAL unnest(b.values) WITH ORDINALITY AS u (value, i)
LEFT JOIN quality_code code ON code.code = b.quality[u.i]
WHERE NOT EXISTS (
    SELECT FROM interval_block newer
    WHERE newer.channel_id = b.channel_id AND newer.starts_at = b.starts_at
      AND newer.version > b.version
);

CREATE VIEW raw_reading AS
SELECT d.mrid AS end_device, t.name AS reading_type, t.unit,
       b.starts_at + (u.i - 1) * make_interval(secs => b.interval_seconds) AS starts_at,
       CASE WHEN code.class = 'missing' THEN NULL ELSE u.value END AS value,
       coalesce(b.quality[u.i], 0::smallint) AS quality, b.source, b.collected_at
FROM raw_interval_block b
JOIN end_device d ON d.id = b.end_device_id
JOIN reading_type t ON t.id = b.reading_type_id
CROSS JOIN LATERAL unnest(b.values) WITH ORDINALITY AS u (value, i)
LEFT JOIN quality_code code ON code.code = b.quality[u.i];
