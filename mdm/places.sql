-- name: of
SELECT d.id, d.mrid, d.manufacturer, d.model, d.protocol, d.profile, d.interval_seconds, s.code,
       p.id, p.mrid, p.commodity, p.sector, p.time_zone, p.tariff, p.billing_group,
       i.multiplier, i.starts_at, i.ends_at
FROM installation i
JOIN end_device d ON d.id = i.end_device_id
JOIN usage_point p ON p.id = i.usage_point_id
LEFT JOIN network_segment s ON s.id = d.segment_id
WHERE d.id = ANY(%(ids)s) AND tstzrange(i.starts_at, i.ends_at) @> %(now)s::timestamptz

-- name: newest
SELECT d.mrid
FROM installation i
JOIN end_device d ON d.id = i.end_device_id
JOIN usage_point p ON p.id = i.usage_point_id
WHERE p.mrid = %(mrid)s
ORDER BY i.starts_at DESC, d.mrid
LIMIT 1

-- name: history
SELECT d.mrid, d.manufacturer, d.model, d.protocol, d.profile, d.interval_seconds, s.code,
       p.id, p.mrid, p.commodity, p.sector, p.time_zone, p.tariff, p.billing_group,
       i.multiplier, i.starts_at, i.ends_at
FROM installation i
JOIN end_device d ON d.id = i.end_device_id
JOIN usage_point p ON p.id = i.usage_point_id
LEFT JOIN network_segment s ON s.id = d.segment_id
WHERE d.mrid = %(mrid)s
ORDER BY i.starts_at DESC
