-- name: registers_only
-- Registers of usage points of which the record has no intervals, at each installation.
SELECT c.id, i.id, c.reading_type_id, c.usage_point_id, p.commodity, p.sector, p.time_zone,
       (i.multiplier * 1000000)::bigint, coalesce(d.register_modulus, w.modulus, 0), i.ends_at
FROM channel c
JOIN reading_type t ON t.id = c.reading_type_id AND t.accumulation = 'cumulative'
JOIN usage_point p ON p.id = c.usage_point_id
JOIN installation i ON i.usage_point_id = c.usage_point_id
JOIN end_device d ON d.id = i.end_device_id
LEFT JOIN register_wrap w
    ON w.end_device_id = i.end_device_id AND w.reading_type_id = c.reading_type_id
WHERE c.interval_seconds = 0
  AND (%(usage_points)s::integer[] IS NULL OR c.usage_point_id = ANY(%(usage_points)s::integer[]))
  AND NOT EXISTS (
    SELECT FROM channel v
    WHERE v.usage_point_id = c.usage_point_id AND v.interval_seconds > 0)
ORDER BY c.id, i.starts_at

-- name: points_with_registers_only
SELECT DISTINCT c.usage_point_id
FROM channel c
JOIN reading_type t ON t.id = c.reading_type_id AND t.accumulation = 'cumulative'
WHERE c.interval_seconds = 0 AND NOT EXISTS (
    SELECT FROM channel v
    WHERE v.usage_point_id = c.usage_point_id AND v.interval_seconds > 0)
ORDER BY c.usage_point_id

-- name: known_findings
SELECT id, channel_id, starts_at, ends_at, rule, observed, state
FROM finding
WHERE channel_id = ANY(%(channels)s) AND rule = ANY(%(rules)s) AND starts_at >= %(since)s
  AND state IN ('open', 'accepted', 'edited')
ORDER BY id

-- name: open_finding
INSERT INTO finding (channel_id, day, starts_at, ends_at, rule, severity, action, observed,
                     "limit", found_at, vee_run_id)
VALUES (%(channel)s, %(day)s, %(starts_at)s, %(ends_at)s, %(rule)s, %(severity)s, 'note',
        %(observed)s, %(limit)s, %(now)s, %(run)s)

-- name: see_finding_again
UPDATE finding
SET ends_at = %(ends_at)s, observed = %(observed)s, "limit" = %(limit)s, severity = %(severity)s
WHERE id = %(id)s

-- name: close_finding
UPDATE finding SET state = 'resolved', decided_at = %(now)s, reason = %(reason)s
WHERE id = %(id)s

-- name: add_run
INSERT INTO vee_run (ran_at, rule_set, rule_set_digest, channels, days, versions, opened, closed,
                     counters)
VALUES (%(now)s, 'registers', '', %(channels)s, 0, 0, %(opened)s, %(closed)s, '{}')
RETURNING id
