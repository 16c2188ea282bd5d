-- name: listening_devices
SELECT d.id, d.mrid, d.profile, d.interval_seconds, d.address ->> 'topic', d.address ->> 'serial',
       coalesce(p.time_zone, 'UTC'), d.address ->> 'mapping'
FROM end_device d
LEFT JOIN LATERAL (
    SELECT usage_point_id FROM installation WHERE end_device_id = d.id
    ORDER BY starts_at DESC LIMIT 1
) i ON true
LEFT JOIN usage_point p ON p.id = i.usage_point_id
WHERE d.protocol = 'mqtt'
ORDER BY d.id

-- name: heard
INSERT INTO device_status AS st (end_device_id, last_attempt, last_ok)
SELECT id, %(now)s, %(now)s FROM unnest(%(ids)s::integer[]) AS id ORDER BY id
ON CONFLICT (end_device_id) DO UPDATE SET
    last_attempt = greatest(st.last_attempt, excluded.last_attempt),
    last_ok = greatest(st.last_ok, excluded.last_ok),
    failing_since = NULL, error = NULL, message = NULL, consecutive_failures = 0

-- name: known_registers
SELECT r.end_device_id, r.reading_type_id, r.read_at, r.value, r.quality
FROM unnest(
    %(devices)s::integer[], %(types)s::smallint[], %(read_at)s::timestamptz[],
    %(values)s::bigint[], %(qualities)s::smallint[]
) AS w (device, type, read_at, value, quality)
JOIN raw_register_reading r ON r.end_device_id = w.device AND r.reading_type_id = w.type
    AND r.read_at = w.read_at AND r.value = w.value AND r.quality = w.quality
