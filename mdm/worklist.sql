-- name: findings
SELECT f.id, f.channel_id, p.mrid, t.name, c.interval_seconds, p.time_zone, f.day, f.starts_at,
       f.ends_at, f.rule, f.severity, f.action, f.observed, f."limit", f.found_at, f.state,
       f.decided_by, f.decided_at, f.reason
FROM finding f
JOIN channel c ON c.id = f.channel_id
JOIN usage_point p ON p.id = c.usage_point_id
JOIN reading_type t ON t.id = c.reading_type_id
WHERE (%(state)s::text IS NULL OR f.state = %(state)s)
  AND (%(rule)s::text IS NULL OR f.rule = %(rule)s)
  AND (%(severity)s::text IS NULL OR f.severity = %(severity)s)
  AND (%(usage_point)s::text IS NULL OR p.mrid = %(usage_point)s)
  AND (%(start)s::timestamptz IS NULL OR f.ends_at > %(start)s)
  AND (%(end)s::timestamptz IS NULL OR f.starts_at < %(end)s)
ORDER BY f.severity = 'info', f.day, f.channel_id, f.starts_at, f.id
LIMIT %(limit)s OFFSET %(offset)s

-- name: groups
SELECT f.rule, f.severity, f.action, count(*), count(DISTINCT c.usage_point_id), min(f.starts_at),
       max(f.ends_at)
FROM finding f
JOIN channel c ON c.id = f.channel_id
JOIN usage_point p ON p.id = c.usage_point_id
WHERE f.state = %(state)s
  AND (%(usage_point)s::text IS NULL OR p.mrid = %(usage_point)s)
GROUP BY f.rule, f.severity, f.action
ORDER BY f.severity = 'info', count(*) DESC, f.rule

-- name: named_findings
SELECT f.id, f.channel_id, p.id, p.mrid, f.day, f.starts_at, f.ends_at, f.state
FROM finding f
JOIN channel c ON c.id = f.channel_id
JOIN usage_point p ON p.id = c.usage_point_id
WHERE f.id = ANY(%(ids)s)
ORDER BY f.id

-- name: decide
UPDATE finding
SET state = %(state)s, decided_by = %(person)s, decided_at = %(now)s, reason = %(reason)s
WHERE id = ANY(%(ids)s)

-- name: channel
SELECT p.mrid, t.name, p.time_zone, c.interval_seconds
FROM channel c
JOIN usage_point p ON p.id = c.usage_point_id
JOIN reading_type t ON t.id = c.reading_type_id
WHERE c.id = %(channel)s

-- name: open_in
SELECT id, starts_at, ends_at
FROM finding
WHERE channel_id = %(channel)s AND state = 'open' AND starts_at < %(end)s AND ends_at > %(start)s
