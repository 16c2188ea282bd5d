-- name: usage_points
SELECT id, mrid, commodity, sector, time_zone, tariff, billing_group
FROM usage_point
WHERE %(billing_group)s::text IS NULL OR billing_group = %(billing_group)s
ORDER BY id

-- name: lock
-- In the same order wherever they are locked together, so that nobody waits in a circle.
SELECT id FROM usage_point WHERE id = ANY(%(usage_points)s::integer[]) ORDER BY id FOR NO KEY UPDATE

-- name: usage_point_named
SELECT id, mrid, commodity, sector, time_zone, tariff, billing_group
FROM usage_point
WHERE mrid = %(mrid)s

-- name: usage_point_of_end_device
SELECT p.id, p.mrid, p.commodity, p.sector, p.time_zone, p.tariff, p.billing_group
FROM end_device d
JOIN installation i ON i.end_device_id = d.id
JOIN usage_point p ON p.id = i.usage_point_id
WHERE d.mrid = %(mrid)s
ORDER BY i.starts_at DESC
LIMIT 1

-- name: installations
SELECT id, usage_point_id, end_device_id, starts_at, ends_at, multiplier
FROM installation
WHERE usage_point_id = ANY(%(usage_points)s)
ORDER BY usage_point_id, starts_at

-- name: channels
SELECT c.id, c.usage_point_id, t.name, c.interval_seconds
FROM channel c JOIN reading_type t ON t.id = c.reading_type_id
WHERE %(usage_points)s::integer[] IS NULL OR c.usage_point_id = ANY(%(usage_points)s)
ORDER BY c.id

-- name: add_channels
INSERT INTO channel (usage_point_id, reading_type_id, interval_seconds)
SELECT w.usage_point_id, t.id, w.interval_seconds
FROM unnest(%(usage_points)s::integer[], %(reading_types)s::text[], %(intervals)s::integer[])
    AS w (usage_point_id, reading_type, interval_seconds)
JOIN reading_type t ON t.name = w.reading_type
ON CONFLICT (usage_point_id, reading_type_id, interval_seconds) DO NOTHING

-- name: named_channels
-- A join with the wanted ones goes by the index, whatever the planner knows of a table that has
-- just been filled.
SELECT w.usage_point_id, w.reading_type, w.interval_seconds, c.id
FROM unnest(%(usage_points)s::integer[], %(reading_types)s::text[], %(intervals)s::integer[])
    AS w (usage_point_id, reading_type, interval_seconds)
JOIN reading_type t ON t.name = w.reading_type
JOIN channel c ON c.usage_point_id = w.usage_point_id AND c.reading_type_id = t.id
    AND c.interval_seconds = w.interval_seconds
