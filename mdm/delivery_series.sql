-- name: intervals
SELECT i.determinant_set_id, i.channel_id, t.name, c.interval_seconds, i.starts_at, i.version,
       s.starts_at, s.ends_at
FROM determinant_interval_input i
JOIN determinant_set s ON s.id = i.determinant_set_id
JOIN channel c ON c.id = i.channel_id
JOIN reading_type t ON t.id = c.reading_type_id
WHERE i.determinant_set_id = ANY(%(sets)s)
ORDER BY i.determinant_set_id, t.name, c.interval_seconds

-- name: registers
SELECT i.determinant_set_id, t.name, i.end_device, i.multiplier, i.register_modulus, i.starts_at,
       i.ends_at, a.read_at, a.value, a.quality, b.read_at, b.value, b.quality
FROM determinant_register_input i
LEFT JOIN channel c ON c.id = i.channel_id
LEFT JOIN reading_type t ON t.id = c.reading_type_id
LEFT JOIN register_reading a ON (a.channel_id, a.read_at, a.installation_id, a.version)
    = (i.channel_id, i.start_read_at, i.installation_id, i.start_version)
LEFT JOIN register_reading b ON (b.channel_id, b.read_at, b.installation_id, b.version)
    = (i.channel_id, i.end_read_at, i.installation_id, i.end_version)
WHERE i.determinant_set_id = ANY(%(sets)s)
  -- The meter's own billing period is the same register between other readings.
  AND i.register <> 'billing_register'
ORDER BY i.determinant_set_id, i.starts_at, i.installation_id

-- name: channels_of_usage_point
SELECT c.id, t.name, c.interval_seconds
FROM channel c JOIN reading_type t ON t.id = c.reading_type_id
WHERE c.usage_point_id = %(usage_point)s
ORDER BY t.name, c.interval_seconds

-- name: meters_of_usage_point
SELECT i.id, d.mrid, i.multiplier, d.register_modulus, i.starts_at, i.ends_at,
       coalesce(array_agg(t.name ORDER BY t.name) FILTER (WHERE t.name IS NOT NULL), '{}'),
       coalesce(array_agg(w.modulus ORDER BY t.name) FILTER (WHERE t.name IS NOT NULL), '{}')
FROM installation i
JOIN end_device d ON d.id = i.end_device_id
LEFT JOIN register_wrap w ON w.end_device_id = d.id
LEFT JOIN reading_type t ON t.id = w.reading_type_id
WHERE i.usage_point_id = %(usage_point)s
GROUP BY i.id, d.id
ORDER BY i.starts_at, i.id
