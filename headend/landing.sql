-- name: create_block_staging
CREATE TEMPORARY TABLE IF NOT EXISTS landing_block (
    end_device_id integer NOT NULL,
    reading_type_id smallint NOT NULL,
    starts_at timestamptz NOT NULL,
    interval_seconds integer NOT NULL,
    digest bigint NOT NULL,
    session_id bigint,
    values integer[] NOT NULL,
    quality smallint[],
    annotation text
) ON COMMIT DELETE ROWS

-- name: create_register_staging
CREATE TEMPORARY TABLE IF NOT EXISTS landing_register (
    end_device_id integer NOT NULL,
    reading_type_id smallint NOT NULL,
    read_at timestamptz NOT NULL,
    value bigint NOT NULL,
    quality smallint NOT NULL,
    session_id bigint
) ON COMMIT DELETE ROWS

-- name: empty_block_staging
DELETE FROM landing_block

-- name: empty_register_staging
DELETE FROM landing_register

-- name: copy_blocks
COPY landing_block FROM STDIN (FORMAT BINARY)

-- name: copy_registers
COPY landing_register FROM STDIN (FORMAT BINARY)

-- name: land_blocks
WITH landed AS (
    INSERT INTO raw_interval_block (
        end_device_id, reading_type_id, starts_at, interval_seconds, digest, source, collected_at,
        session_id, values, quality, annotation)
    SELECT end_device_id, reading_type_id, starts_at, interval_seconds, digest, %(source)s, %(now)s,
           session_id, values, quality, annotation
    FROM landing_block
    ORDER BY end_device_id, reading_type_id, starts_at, digest
    ON CONFLICT (end_device_id, reading_type_id, starts_at, digest) DO NOTHING
    RETURNING end_device_id, starts_at, cardinality(values) AS intervals,
              coalesce(cardinality(array_positions(quality, %(missing)s::smallint)), 0) AS missing,
              starts_at + make_interval(secs => interval_seconds * cardinality(values)) AS ends_at
), arrived AS (
    INSERT INTO arrival (end_device_id, starts_at, ends_at, landed_at)
    SELECT end_device_id, lower(stretch), upper(stretch), %(now)s
    FROM (
        SELECT end_device_id, unnest(range_agg(tstzrange(starts_at, ends_at))) AS stretch
        FROM landed GROUP BY end_device_id
    ) AS stretches
)
SELECT end_device_id, sum(intervals)::integer, sum(missing)::integer
FROM landed GROUP BY end_device_id

-- name: land_registers
WITH landed AS (
    INSERT INTO raw_register_reading (
        end_device_id, reading_type_id, read_at, value, quality, source, collected_at, session_id)
    SELECT end_device_id, reading_type_id, read_at, value, quality, %(source)s, %(now)s, session_id
    FROM landing_register
    ORDER BY end_device_id, reading_type_id, read_at, value, quality
    ON CONFLICT (end_device_id, reading_type_id, read_at, value, quality) DO NOTHING
    RETURNING end_device_id, read_at
), arrived AS (
    INSERT INTO arrival (end_device_id, starts_at, ends_at, landed_at)
    SELECT end_device_id, min(read_at), max(read_at), %(now)s FROM landed GROUP BY end_device_id
)
SELECT end_device_id, count(*)::integer FROM landed GROUP BY end_device_id

-- name: put_blocks
WITH landed AS (
    INSERT INTO raw_interval_block (
        end_device_id, reading_type_id, starts_at, interval_seconds, digest, source, collected_at,
        session_id, values, quality, annotation)
    SELECT end_device_id, reading_type_id, starts_at, interval_seconds, digest, %(source)s, %(now)s,
           session_id, (%(values)s::integer[])[first:last], quality::smallint[], annotation
    FROM unnest(
        %(end_devices)s::integer[], %(reading_types)s::smallint[], %(starts_at)s::timestamptz[],
        %(seconds)s::integer[], %(digests)s::bigint[], %(sessions)s::bigint[], %(firsts)s::integer[],
        %(lasts)s::integer[], %(qualities)s::text[], %(annotations)s::text[]
    ) AS b (end_device_id, reading_type_id, starts_at, interval_seconds, digest, session_id, first,
            last, quality, annotation)
    ORDER BY end_device_id, reading_type_id, starts_at, digest
    ON CONFLICT (end_device_id, reading_type_id, starts_at, digest) DO NOTHING
    RETURNING end_device_id, starts_at, cardinality(values) AS intervals,
              coalesce(cardinality(array_positions(quality, %(missing)s::smallint)), 0) AS missing,
              starts_at + make_interval(secs => interval_seconds * cardinality(values)) AS ends_at
), arrived AS (
    INSERT INTO arrival (end_device_id, starts_at, ends_at, landed_at)
    SELECT end_device_id, lower(stretch), upper(stretch), %(now)s
    FROM (
        SELECT end_device_id, unnest(range_agg(tstzrange(starts_at, ends_at))) AS stretch
        FROM landed GROUP BY end_device_id
    ) AS stretches
)
SELECT end_device_id, sum(intervals)::integer, sum(missing)::integer
FROM landed GROUP BY end_device_id

-- name: put_registers
WITH landed AS (
    INSERT INTO raw_register_reading (
        end_device_id, reading_type_id, read_at, value, quality, source, collected_at, session_id)
    SELECT end_device_id, reading_type_id, read_at, value, quality, %(source)s, %(now)s, session_id
    FROM unnest(
        %(end_devices)s::integer[], %(reading_types)s::smallint[], %(read_at)s::timestamptz[],
        %(values)s::bigint[], %(qualities)s::smallint[], %(sessions)s::bigint[]
    ) AS r (end_device_id, reading_type_id, read_at, value, quality, session_id)
    ORDER BY end_device_id, reading_type_id, read_at, value, quality
    ON CONFLICT (end_device_id, reading_type_id, read_at, value, quality) DO NOTHING
    RETURNING end_device_id, read_at
), arrived AS (
    INSERT INTO arrival (end_device_id, starts_at, ends_at, landed_at)
    SELECT end_device_id, min(read_at), max(read_at), %(now)s FROM landed GROUP BY end_device_id
)
SELECT end_device_id, count(*)::integer FROM landed GROUP BY end_device_id

-- name: keep_wraps
INSERT INTO register_wrap AS known (end_device_id, reading_type_id, modulus, told_at)
SELECT end_device_id, reading_type_id, modulus, %(now)s
FROM unnest(
    %(end_devices)s::integer[], %(reading_types)s::smallint[], %(moduli)s::bigint[]
) AS told (end_device_id, reading_type_id, modulus)
-- What is told again is not even locked.
WHERE NOT EXISTS (
    SELECT FROM register_wrap w
    WHERE w.end_device_id = told.end_device_id AND w.reading_type_id = told.reading_type_id
      AND w.modulus = told.modulus
)
ORDER BY end_device_id, reading_type_id
ON CONFLICT (end_device_id, reading_type_id) DO UPDATE
SET modulus = excluded.modulus, told_at = excluded.told_at
WHERE known.modulus <> excluded.modulus

-- name: keep_ratios
INSERT INTO transformer_ratio (end_device_id, told_at, current_ratio, voltage_ratio)
SELECT told.end_device_id, told.told_at,
       coalesce(told.current, before.current_ratio, 1000),
       coalesce(told.voltage, before.voltage_ratio, 1000)
FROM unnest(
    %(end_devices)s::integer[], %(told_at)s::timestamptz[], %(currents)s::bigint[],
    %(voltages)s::bigint[]
) AS told (end_device_id, told_at, current, voltage)
LEFT JOIN LATERAL (
    SELECT current_ratio, voltage_ratio
    FROM transformer_ratio t
    WHERE t.end_device_id = told.end_device_id AND t.told_at <= told.told_at
    ORDER BY t.told_at DESC
    LIMIT 1
) AS before ON true
WHERE before.current_ratio IS DISTINCT FROM coalesce(told.current, before.current_ratio, 1000)
   OR before.voltage_ratio IS DISTINCT FROM coalesce(told.voltage, before.voltage_ratio, 1000)
ON CONFLICT DO NOTHING

-- name: land_events
WITH landed AS (
    INSERT INTO end_device_event (
        end_device_id, occurred_at, category, code, description, collected_at, session_id)
    SELECT end_device_id, occurred_at, category, code, description, %(now)s, session_id
    FROM unnest(
        %(end_devices)s::integer[], %(occurred_at)s::timestamptz[], %(categories)s::text[],
        %(codes)s::integer[], %(descriptions)s::text[], %(sessions)s::bigint[]
    ) AS e (end_device_id, occurred_at, category, code, description, session_id)
    ORDER BY 1, 2, 3, 4
    ON CONFLICT DO NOTHING
    RETURNING end_device_id, occurred_at, category, code
), outage AS (
    SELECT l.end_device_id, min(l.occurred_at) AS first, max(l.occurred_at) AS last
    FROM landed l JOIN outage_event o ON o.category = l.category AND o.code = l.code
    GROUP BY l.end_device_id
), arrived AS (
    -- What is known of an outage changes what its days are worth: they are validated again.
    INSERT INTO arrival (end_device_id, starts_at, ends_at, landed_at)
    SELECT a.end_device_id, coalesce(b.began, a.first), a.last + interval '1 second', %(now)s
    FROM outage a
    LEFT JOIN LATERAL (
        SELECT CASE WHEN o.effect IN ('down', 'off') THEN e.occurred_at END AS began
        FROM end_device_event e
        JOIN outage_event o ON o.category = e.category AND o.code = e.code
        WHERE e.end_device_id = a.end_device_id AND e.occurred_at < a.first
          AND e.occurred_at > a.first - interval '40 days'
        ORDER BY e.occurred_at DESC LIMIT 1
    ) b ON true
)
SELECT end_device_id, count(*)::integer FROM landed GROUP BY end_device_id

-- name: add_registers
INSERT INTO raw_register_reading (
    end_device_id, reading_type_id, read_at, value, quality, source, collected_at, session_id)
SELECT end_device_id, reading_type_id, read_at, value, quality, %(source)s, %(now)s, session_id
FROM landing_register

-- name: add_blocks
INSERT INTO raw_interval_block (
    end_device_id, reading_type_id, starts_at, interval_seconds, digest, source, collected_at,
    session_id, values, quality, annotation)
SELECT end_device_id, reading_type_id, starts_at, interval_seconds, digest, %(source)s, %(now)s,
       session_id, values, quality, annotation
FROM landing_block

-- name: add_arrivals
INSERT INTO arrival (end_device_id, starts_at, ends_at, landed_at)
SELECT device, to_timestamp(starts / 1e6), to_timestamp(ends / 1e6), %(now)s
FROM unnest(%(devices)s::integer[], %(starts)s::bigint[], %(ends)s::bigint[])
    AS a (device, starts, ends)
