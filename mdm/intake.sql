-- name: due_arrivals
SELECT id, end_device_id
FROM arrival
WHERE not_before <= %(now)s
ORDER BY not_before, id
LIMIT %(limit)s
FOR UPDATE SKIP LOCKED

-- name: lock_usage_points
SELECT id
FROM usage_point
WHERE id IN (SELECT usage_point_id FROM installation WHERE end_device_id = ANY(%(end_devices)s))
ORDER BY id
FOR NO KEY UPDATE SKIP LOCKED

-- name: lock_named_usage_points
SELECT id FROM usage_point WHERE id = ANY(%(usage_points)s) ORDER BY id FOR NO KEY UPDATE

-- name: installed
SELECT i.id, i.usage_point_id, i.end_device_id, d.mrid, p.time_zone, p.commodity,
       i.starts_at, i.ends_at, i.multiplier, d.interval_seconds, d.protocol
FROM installation i
JOIN end_device d ON d.id = i.end_device_id
JOIN usage_point p ON p.id = i.usage_point_id
WHERE i.usage_point_id = ANY(%(usage_points)s)
ORDER BY i.usage_point_id, i.starts_at

-- name: wraps
SELECT d.id, t.id, coalesce(d.register_modulus, w.modulus)
FROM end_device d
CROSS JOIN reading_type t
LEFT JOIN register_wrap w ON w.end_device_id = d.id AND w.reading_type_id = t.id
WHERE d.id = ANY(%(end_devices)s) AND t.accumulation = 'cumulative'
  AND coalesce(d.register_modulus, w.modulus) IS NOT NULL

-- name: installed_elsewhere
SELECT DISTINCT end_device_id
FROM installation
WHERE end_device_id = ANY(%(end_devices)s) AND NOT usage_point_id = ANY(%(usage_points)s)

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
SELECT end_device_id, starts_at, ends_at, %(now)s, not_before
FROM unnest(%(end_devices)s::integer[], %(starts)s::timestamptz[], %(ends)s::timestamptz[],
            %(not_before)s::timestamptz[]) AS w (end_device_id, starts_at, ends_at, not_before)

-- name: channels_of
SELECT id, usage_point_id, reading_type_id
FROM channel
WHERE usage_point_id = ANY(%(usage_points)s::integer[]) AND interval_seconds = %(interval)s

-- name: end_device_names
SELECT id, mrid FROM end_device WHERE id = ANY(%(end_devices)s)

-- name: raw_blocks
SELECT end_device_id, reading_type_id, starts_at, interval_seconds, digest, collected_at,
       "values", quality
FROM raw_interval_block
WHERE end_device_id = ANY(%(end_devices)s) AND reading_type_id = ANY(%(reading_types)s)
  -- A raw block never crosses 00:00 UTC, so none is longer than a day.
  AND starts_at > %(start)s::timestamptz - interval '1 day' AND starts_at < %(end)s

-- name: raw_registers
SELECT end_device_id, reading_type_id, read_at, value, quality, collected_at
FROM raw_register_reading
WHERE end_device_id = ANY(%(end_devices)s) AND reading_type_id = ANY(%(reading_types)s)
  AND read_at >= %(start)s AND read_at <= %(end)s

-- name: quarantine
INSERT INTO quarantine (source, subject, payload, reason, received_at)
SELECT 'intake', subject, payload, reason, %(now)s
FROM unnest(%(subjects)s::text[], %(payloads)s::bytea[], %(reasons)s::text[])
    AS w (subject, payload, reason)
ON CONFLICT (subject, reason) WHERE source = 'intake' AND resolved_at IS NULL DO NOTHING
