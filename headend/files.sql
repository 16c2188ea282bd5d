-- name: devices_by_name
SELECT id, mrid, address ->> 'serial'
FROM end_device
WHERE mrid = ANY (%(names)s::text[]) OR address ->> 'serial' = ANY (%(names)s::text[])
ORDER BY id

-- name: devices_by_usage_point
SELECT p.mrid, i.starts_at, i.ends_at, i.end_device_id
FROM installation i JOIN usage_point p ON p.id = i.usage_point_id
WHERE p.mrid = ANY (%(names)s::text[])
ORDER BY p.mrid, i.starts_at
