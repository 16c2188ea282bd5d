-- name: registers
-- Every register that has a channel, at each installation that covers one of the moments.
SELECT c.id, i.id, t.name, c.usage_point_id, (i.multiplier * 1000000)::bigint,
       coalesce(d.register_modulus, w.modulus, 0), i.starts_at, i.ends_at
FROM channel c
JOIN reading_type t ON t.id = c.reading_type_id
JOIN installation i ON i.usage_point_id = c.usage_point_id
JOIN end_device d ON d.id = i.end_device_id
LEFT JOIN register_wrap w
    ON w.end_device_id = i.end_device_id AND w.reading_type_id = c.reading_type_id
WHERE c.usage_point_id = ANY(%(usage_points)s) AND c.interval_seconds = 0
  AND EXISTS (
    SELECT FROM unnest(%(moments)s::timestamptz[]) AS m (at)
    WHERE i.starts_at <= m.at AND (i.ends_at IS NULL OR m.at <= i.ends_at))
ORDER BY c.id, i.starts_at
