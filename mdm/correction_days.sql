-- name: pairs
SELECT c.old_set_id, c.new_set_id, p.mrid, o.version, n.version, n.time_zone, t.definition,
       k.definition
FROM correction c
JOIN determinant_set o ON o.id = c.old_set_id
JOIN determinant_set n ON n.id = c.new_set_id
JOIN usage_point p ON p.id = n.usage_point_id
JOIN billing_definition t ON t.digest = n.tariff
JOIN billing_definition k ON k.digest = n.calendar
WHERE n.cycle_id = %(cycle)s
ORDER BY c.id

-- name: changed
SELECT b.channel_id, t.name, c.interval_seconds, b.starts_at, max(b.version) FILTER (WHERE b.old),
       max(b.version) FILTER (WHERE NOT b.old)
FROM (
    SELECT i.channel_id, u.starts_at, u.version, i.determinant_set_id = %(old)s AS old
    FROM determinant_interval_input i, unnest(i.starts_at, i.version) AS u (starts_at, version)
    WHERE i.determinant_set_id IN (%(old)s, %(new)s)
) b
JOIN channel c ON c.id = b.channel_id
JOIN reading_type t ON t.id = c.reading_type_id
GROUP BY b.channel_id, t.name, c.interval_seconds, b.starts_at
HAVING max(b.version) FILTER (WHERE b.old)
    IS DISTINCT FROM max(b.version) FILTER (WHERE NOT b.old)
ORDER BY b.channel_id, b.starts_at
