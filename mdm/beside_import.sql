-- name: place
SELECT id FROM usage_point WHERE mrid = %(mrid)s

-- name: record_at
SELECT set_config('miqyas.now', %(now)s, true)

-- name: check
SELECT ends_on FROM check_meter
WHERE usage_point_id = %(usage_point)s AND check_usage_point_id = %(check)s
  AND starts_on = %(starts_on)s

-- name: put_check
INSERT INTO check_meter (usage_point_id, check_usage_point_id, starts_on, ends_on)
VALUES (%(usage_point)s, %(check)s, %(starts_on)s, %(ends_on)s)

-- name: end_check
UPDATE check_meter SET ends_on = %(ends_on)s
WHERE usage_point_id = %(usage_point)s AND check_usage_point_id = %(check)s
  AND starts_on = %(starts_on)s AND ends_on IS DISTINCT FROM %(ends_on)s

-- name: temperature
SELECT FROM day_temperature WHERE place = %(place)s AND day = %(day)s LIMIT 1

-- name: put_temperature
INSERT INTO day_temperature AS t (place, day, celsius, readings, imported_at)
SELECT %(place)s, %(day)s, %(celsius)s, %(readings)s, %(now)s
WHERE NOT EXISTS (
    SELECT FROM (
        SELECT k.celsius, k.readings FROM day_temperature k
        WHERE k.place = %(place)s AND k.day = %(day)s
        ORDER BY k.imported_at DESC LIMIT 1
    ) newest
    WHERE newest.celsius = %(celsius)s::real AND newest.readings = %(readings)s
)
ON CONFLICT (place, day, imported_at) DO UPDATE SET
    celsius = excluded.celsius, readings = excluded.readings

-- name: profiled
SELECT p.sector, p.tariff, p.time_zone, c.reading_type_id, c.interval_seconds,
       array_agg(c.id ORDER BY c.id), array_agg(p.id ORDER BY c.id)
FROM channel c
JOIN usage_point p ON p.id = c.usage_point_id
JOIN reading_type t ON t.id = c.reading_type_id
WHERE c.interval_seconds > 0 AND t.accumulation = 'delta'
  AND NOT EXISTS (SELECT FROM virtual_channel v WHERE v.channel_id = c.id)
GROUP BY 1, 2, 3, 4, 5
ORDER BY 1, 2, 3, 4, 5

-- name: profile
SELECT FROM class_profile
WHERE sector = %(sector)s AND tariff = %(tariff)s AND reading_type_id = %(reading_type)s
  AND interval_seconds = %(interval)s
LIMIT 1

-- name: put_profile
INSERT INTO class_profile (sector, tariff, reading_type_id, interval_seconds, day_kind, made_at,
                           days, usage_points, "values")
VALUES (%(sector)s, %(tariff)s, %(reading_type)s, %(interval)s, %(day_kind)s, %(now)s, %(days)s,
        %(usage_points)s, %(values)s::bigint[])
ON CONFLICT (sector, tariff, reading_type_id, interval_seconds, day_kind, made_at) DO UPDATE SET
    days = excluded.days, usage_points = excluded.usage_points, "values" = excluded."values"
