-- name: devices
SELECT d.id, d.mrid, d.protocol, d.profile, d.host, d.port, d.address, d.security,
       d.interval_seconds, d.segment_id, coalesce(s.max_sessions, 0), p.commodity, i.installed,
       coalesce(k.kinds, '{}'), coalesce(k.sealed, '{}'),
       coalesce(st.held, false), st.next_attempt, coalesce(st.next_reads, '{}'),
       coalesce(st.consecutive_failures, 0), st.history_until, st.events_until
FROM end_device d
LEFT JOIN network_segment s ON s.id = d.segment_id
LEFT JOIN device_status st ON st.end_device_id = d.id
LEFT JOIN LATERAL (
    SELECT range_agg(tstzrange(starts_at, ends_at)) AS installed,
           (array_agg(usage_point_id ORDER BY starts_at DESC))[1] AS usage_point_id
    FROM installation WHERE end_device_id = d.id
) i ON true
LEFT JOIN usage_point p ON p.id = i.usage_point_id
LEFT JOIN LATERAL (
    SELECT array_agg(kind ORDER BY kind) AS kinds, array_agg(sealed ORDER BY kind) AS sealed
    FROM end_device_key WHERE end_device_id = d.id
) k ON true
WHERE d.id = ANY (%(ids)s::integer[])
ORDER BY d.id

-- name: device_named
SELECT id FROM end_device WHERE mrid = %(mrid)s
