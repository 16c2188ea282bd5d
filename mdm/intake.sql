-- name: due_arrivals
SELECT id, end_device_id, starts_at, ends_at
FROM arrival
WHERE not_before <= %(now)s
ORDER BY not_before, id
LIMIT %(limit)s
FOR UPDATE SKIP LOCKED

-- name: places_of
SELECT end_device_id, usage_point_id
FROM installation
WHERE end_device_id BETWEEN %(low)s AND %(high)s
  AND (%(together)s OR end_device_id = ANY(ARRAY(SELECT unnest(%(numbers)s::integer[]))))

-- name: lock_usage_points
SELECT id
FROM usage_point
WHERE id BETWEEN %(low)s AND %(high)s
  AND (%(together)s OR id = ANY(ARRAY(SELECT unnest(%(numbers)s::integer[]))))
ORDER BY id
FOR NO KEY UPDATE SKIP LOCKED

-- name: installed
SELECT id, usage_point_id, end_device_id, starts_at,
       coalesce(ends_at, '-infinity') AS ends_at, (multiplier * 1000000)::bigint AS multiplier
FROM installation
WHERE usage_point_id BETWEEN %(low)s AND %(high)s
  AND (%(together)s OR usage_point_id = ANY(ARRAY(SELECT unnest(%(numbers)s::integer[]))))

-- name: kinds_of_usage_points
SELECT time_zone, commodity, array_agg(id)
FROM usage_point
WHERE id BETWEEN %(low)s AND %(high)s
  AND (%(together)s OR id = ANY(ARRAY(SELECT unnest(%(numbers)s::integer[]))))
GROUP BY time_zone, commodity

-- name: kinds_of_end_devices
SELECT protocol, interval_seconds, array_agg(id), array_agg(coalesce(register_modulus, 0))
FROM end_device
WHERE id BETWEEN %(low)s AND %(high)s
  AND (%(together)s OR id = ANY(ARRAY(SELECT unnest(%(numbers)s::integer[]))))
GROUP BY protocol, interval_seconds

-- name: wraps
SELECT w.end_device_id, w.reading_type_id, w.modulus
FROM register_wrap w
JOIN reading_type t ON t.id = w.reading_type_id
WHERE w.end_device_id = ANY(%(end_devices)s) AND t.accumulation = 'cumulative'

-- name: arrivals_of
SELECT id, end_device_id
FROM arrival
WHERE end_device_id BETWEEN %(low)s AND %(high)s
  AND (%(together)s OR end_device_id = ANY(ARRAY(SELECT unnest(%(numbers)s::integer[]))))

-- name: lock_arrivals
SELECT id, end_device_id, starts_at, ends_at
FROM arrival
WHERE id BETWEEN %(low)s AND %(high)s
  AND (%(together)s OR id = ANY(ARRAY(SELECT unnest(%(numbers)s::bigint[]))))
ORDER BY id
FOR UPDATE SKIP LOCKED

-- name: delete_arrivals
DELETE FROM arrival
WHERE id BETWEEN %(low)s AND %(high)s
  AND (%(together)s OR id = ANY(ARRAY(SELECT unnest(%(numbers)s::bigint[]))))

-- name: defer_arrivals
INSERT INTO arrival (end_device_id, starts_at, ends_at, landed_at, not_before)
SELECT end_device_id, to_timestamp(starts_at), to_timestamp(ends_at), %(now)s,
       to_timestamp(not_before)
FROM unnest(%(end_devices)s::integer[], %(starts)s::bigint[], %(ends)s::bigint[],
            %(not_before)s::bigint[]) AS w (end_device_id, starts_at, ends_at, not_before)

-- name: channels_of
SELECT id, usage_point_id, reading_type_id
FROM channel
WHERE usage_point_id BETWEEN %(low)s AND %(high)s
  AND (%(together)s OR usage_point_id = ANY(ARRAY(SELECT unnest(%(numbers)s::integer[]))))
  AND interval_seconds = %(interval)s

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
WHERE end_device_id BETWEEN %(low)s AND %(high)s
  AND (%(together)s OR end_device_id = ANY(ARRAY(SELECT unnest(%(numbers)s::integer[]))))
  -- Without the others, for of the wanted ones the index would be asked one by one.
  AND reading_type_id <> ALL(%(other_types)s::smallint[])
  -- A raw block never crosses 00:00 UTC, so none is longer than a day.
  AND starts_at > %(start)s::timestamptz - interval '1 day' AND starts_at < %(end)s
  AND collected_at <= %(known_at)s

-- name: raw_registers
SELECT end_device_id, reading_type_id, read_at, value, quality, collected_at
FROM raw_register_reading
WHERE end_device_id BETWEEN %(low)s AND %(high)s
  AND (%(together)s OR end_device_id = ANY(ARRAY(SELECT unnest(%(numbers)s::integer[]))))
  AND reading_type_id <> ALL(%(other_types)s::smallint[])
  AND read_at >= %(start)s AND read_at <= %(end)s AND collected_at <= %(known_at)s

-- name: quarantine
INSERT INTO quarantine (source, subject, payload, reason, received_at)
SELECT 'intake', subject, payload, reason, %(now)s
FROM unnest(%(subjects)s::text[], %(payloads)s::bytea[], %(reasons)s::text[])
    AS w (subject, payload, reason)
ON CONFLICT (subject, reason) WHERE source = 'intake' AND resolved_at IS NULL DO NOTHING
