-- name: place
SELECT p.id, p.mrid, p.time_zone, p.commodity
FROM usage_point p
WHERE p.mrid = %(name)s
UNION ALL
SELECT p.id, p.mrid, p.time_zone, p.commodity
FROM end_device d
JOIN installation i ON i.end_device_id = d.id
JOIN usage_point p ON p.id = i.usage_point_id
WHERE d.mrid = %(name)s AND i.starts_at <= %(moment)s
  AND (i.ends_at IS NULL OR i.ends_at > %(moment)s)
LIMIT 1

-- name: installed
SELECT d.id, d.mrid, i.multiplier, i.starts_at
FROM installation i JOIN end_device d ON d.id = i.end_device_id
WHERE i.usage_point_id = %(usage_point)s AND i.starts_at <= %(moment)s
  AND (i.ends_at IS NULL OR i.ends_at > %(moment)s)
ORDER BY i.starts_at DESC
LIMIT 1

-- name: zone
SELECT time_zone FROM usage_point WHERE id = %(usage_point)s

-- name: versions
SELECT c.id, t.name, c.interval_seconds, b.starts_at, s.slot, b.version, b.recorded_at,
       b."values"[s.slot + 1], coalesce(b.quality[s.slot + 1], 0),
       p.kind, p.rule_set, p.rule_set_digest, p.software, p.person, p.reason, p.recorded_at
FROM channel c
JOIN reading_type t ON t.id = c.reading_type_id
JOIN interval_block b ON b.channel_id = c.id
     AND b.starts_at <= %(moment)s AND b.starts_at > %(moment)s::timestamptz - interval '26 hours'
CROSS JOIN LATERAL (
    SELECT floor(extract(epoch FROM %(moment)s::timestamptz - b.starts_at) / c.interval_seconds)
           ::integer AS slot
) s
JOIN provenance p ON p.id = coalesce(b.origin[s.slot + 1], b.provenance_id)
WHERE c.usage_point_id = %(usage_point)s AND c.interval_seconds > 0
  AND s.slot < cardinality(b."values")
ORDER BY c.id, b.starts_at, b.version

-- name: raw
SELECT b.starts_at + s.slot * make_interval(secs => b.interval_seconds), b.interval_seconds,
       b."values"[s.slot + 1], coalesce(b.quality[s.slot + 1], 0), b.source, b.collected_at,
       b.session_id
FROM raw_interval_block b
JOIN reading_type t ON t.id = b.reading_type_id
CROSS JOIN LATERAL (
    SELECT floor(extract(epoch FROM %(moment)s::timestamptz - b.starts_at) / b.interval_seconds)
           ::integer AS slot
) s
WHERE b.end_device_id = %(end_device)s AND t.name = %(reading_type)s
  AND b.starts_at <= %(moment)s AND b.starts_at > %(moment)s::timestamptz - interval '1 day'
  AND s.slot < cardinality(b."values")
ORDER BY b.collected_at, b.digest

-- name: dials
(SELECT r.read_at, r.value, r.quality, r.source, r.collected_at
 FROM raw_register_reading r JOIN reading_type t ON t.id = r.reading_type_id
 WHERE r.end_device_id = %(end_device)s AND t.name = %(register)s AND r.read_at <= %(start)s
   AND r.read_at > %(start)s::timestamptz - interval '40 days'
 ORDER BY r.read_at DESC LIMIT 1)
UNION ALL
(SELECT r.read_at, r.value, r.quality, r.source, r.collected_at
 FROM raw_register_reading r JOIN reading_type t ON t.id = r.reading_type_id
 WHERE r.end_device_id = %(end_device)s AND t.name = %(register)s AND r.read_at >= %(end)s
   AND r.read_at < %(end)s::timestamptz + interval '40 days'
 ORDER BY r.read_at LIMIT 1)

-- name: findings
SELECT id, rule, severity, action, observed, "limit", starts_at, ends_at, state, decided_by, reason
FROM finding
WHERE channel_id = %(channel)s AND starts_at < %(end)s AND ends_at > %(start)s
  AND day > %(start)s::timestamptz - interval '40 days'
ORDER BY found_at, id

-- name: definition
SELECT definition FROM rule_set_definition WHERE digest = %(digest)s
