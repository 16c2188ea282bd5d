-- name: anything
SELECT EXISTS (SELECT FROM check_meter),
       EXISTS (SELECT FROM virtual_channel WHERE kind = 'balance'),
       EXISTS (SELECT FROM class_profile),
       EXISTS (SELECT FROM day_temperature)

-- name: checks
SELECT m.usage_point_id, m.check_usage_point_id, m.starts_on, m.ends_on
FROM check_meter m
WHERE m.usage_point_id = ANY(%(usage_points)s::integer[])
ORDER BY m.usage_point_id, m.starts_on

-- name: channels_of_checks
SELECT id, usage_point_id, reading_type_id, interval_seconds
FROM channel
WHERE usage_point_id = ANY(%(usage_points)s::integer[]) AND interval_seconds > 0
ORDER BY id

-- name: nodes
SELECT DISTINCT v.channel_id
FROM virtual_term t JOIN virtual_channel v ON v.channel_id = t.channel_id
WHERE t.usage_point_id = ANY(%(usage_points)s::integer[]) AND v.kind = 'balance'
  AND t.recorded_at <= %(known_at)s
  AND (t.withdrawn_at IS NULL OR t.withdrawn_at > %(known_at)s)
ORDER BY v.channel_id

-- name: classes
SELECT id, sector, tariff FROM usage_point WHERE id = ANY(%(usage_points)s::integer[])

-- name: profiles
SELECT DISTINCT ON (sector, tariff, reading_type_id, day_kind)
       sector, tariff, reading_type_id, day_kind, "values"
FROM class_profile
WHERE interval_seconds = %(interval)s AND made_at <= %(known_at)s
ORDER BY sector, tariff, reading_type_id, day_kind, made_at DESC

-- name: places
SELECT id, billing_group, time_zone FROM usage_point WHERE id = ANY(%(usage_points)s::integer[])

-- name: temperatures
SELECT DISTINCT ON (place, day) place, day, celsius
FROM day_temperature
WHERE place = ANY(%(places)s::text[]) AND day >= %(first)s AND day <= %(last)s
  AND imported_at <= %(known_at)s
ORDER BY place, day, imported_at DESC
