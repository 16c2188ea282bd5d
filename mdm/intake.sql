-- name: due_arrivals
SELECT end_device_id
FROM arrival
WHERE not_before <= %(now)s
ORDER BY not_before, id
LIMIT %(limit)s
FOR UPDATE SKIP LOCKED

-- name: lock_usage_points
SELECT id
FROM usage_point
WHERE id = ANY(ARRAY(
    SELECT i.usage_point_id
    FROM unnest(%(end_devices)s::integer[]) AS w (id)
    JOIN installation i ON i.end_device_id = w.id
))
ORDER BY id
FOR NO KEY UPDATE SKIP LOCKED

-- name: lock_named_usage_points
SELECT id FROM usage_point WHERE id = ANY(%(usage_points)s) ORDER BY id FOR NO KEY UPDATE

-- name: installed
SELECT i.id, i.usage_point_id, i.end_device_id, p.time_zone, p.commodity, i.starts_at, i.ends_at,
       (i.multiplier * 1000000)::bigint, d.interval_seconds, d.protocol, d.register_modulus
FROM unnest(%(usage_points)s::integer[]) AS w (id)
JOIN installation i ON i.usage_point_id = w.id
JOIN end_device d ON d.id = i.end_device_id
JOIN usage_point p ON p.id = i.usage_point_id
ORDER BY i.usage_point_id, i.starts_at

-- name: wraps
SELECT w.end_device_id, w.reading_type_id, w.modulus
FROM register_wrap w
JOIN reading_type t ON t.id = w.reading_type_id
WHERE w.end_device_id = ANY(%(end_devices)s) AND t.accumulation = 'cumulative'

-- name: installed_elsewhere
SELECT DISTINCT i.end_device_id
FROM unnest(%(end_devices)s::integer[]) AS w (id)
JOIN installation i ON i.end_device_id = w.id
LEFT JOIN unnest(%(usage_points)s::integer[]) AS here (id) ON here.id = i.usage_point_id
WHERE here.id IS NULL

-- name: arrivals_of
SELECT id, end_device_id, starts_at, ends_at
FROM arrival
WHERE end_device_id = ANY(%(end_devices)s)
ORDER BY id
FOR UPDATE SKIP LOCKED

-- name: delete_arrivals
DELETE FROM arrival WHERE id = ANY(%(ids)s)

-- name: defer_arrivals
INSERT INTO arrival (end_device_id, starts_at, ends_at, landed_at, not_before)
SELECT end_device_id, to_timestamp(starts_at), to_timestamp(ends_at), %(now)s,
       to_timestamp(not_before)
FROM unnest(%(end_devices)s::integer[], %(starts)s::bigint[], %(ends)s::bigint[],
            %(not_before)s::bigint[]) AS w (end_device_id, starts_at, ends_at, not_before)

-- name: channels_of
SELECT c.id, c.usage_point_id, c.reading_type_id
FROM unnest(%(usage_points)s::integer[]) AS w (id)
JOIN channel c ON c.usage_point_id = w.id
WHERE c.interval_seconds = %(interval)s

-- name: recorded_channels
SELECT w.id
FROM unnest(%(channels)s::integer[]) AS w (id)
WHERE EXISTS (
    SELECT FROM interval_block b
    WHERE b.channel_id = w.id AND b.starts_at >= %(start)s AND b.starts_at < %(end)s
)

-- name: add_channels
INSERT INTO channel (usage_point_id, reading_type_id, interval_seconds)
SELECT w.usage_point_id, w.reading_type_id, %(interval)s
FROM unnest(%(usage_points)s::integer[], %(reading_types)s::smallint[])
    AS w (usage_point_id, reading_type_id)
ON CONFLICT (usage_point_id, reading_type_id, interval_seconds) DO NOTHING

-- name: channel_numbers
WITH counter AS MATERIALIZED (SELECT pg_get_serial_sequence('channel', 'id')::regclass AS name)
SELECT nextval(counter.name)::integer AS id
FROM counter CROSS JOIN generate_series(1, %(rows)s::integer)

-- name: end_device_names
SELECT id, mrid FROM end_device WHERE id = ANY(%(end_devices)s)

-- name: raw_blocks
SELECT end_device_id, reading_type_id, starts_at, interval_seconds, digest, collected_at,
       "values", quality
FROM raw_interval_block
WHERE end_device_id = ANY(%(end_devices)s) AND reading_type_id = ANY(%(reading_types)s::smallint[])
  -- A raw block never crosses 00:00 UTC, so none is longer than a day.
  AND starts_at > %(start)s::timestamptz - interval '1 day' AND starts_at < %(end)s

-- name: raw_registers
SELECT end_device_id, reading_type_id, read_at, value, quality, collected_at
FROM raw_register_reading
WHERE end_device_id = ANY(%(end_devices)s) AND reading_type_id = ANY(%(reading_types)s::smallint[])
  AND read_at >= %(start)s AND read_at <= %(end)s

-- name: quarantine
INSERT INTO quarantine (source, subject, payload, reason, received_at)
SELECT 'intake', subject, payload, reason, %(now)s
FROM unnest(%(subjects)s::text[], %(payloads)s::bytea[], %(reasons)s::text[])
    AS w (subject, payload, reason)
ON CONFLICT (subject, reason) WHERE source = 'intake' AND resolved_at IS NULL DO NOTHING
