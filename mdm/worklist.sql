-- name: findings
-- First which, then what stands beside them: of a page's findings only.
WITH wanted AS MATERIALIZED (
    SELECT f.*, p.mrid, p.time_zone, p.billing_group, c.reading_type_id, c.interval_seconds
    FROM finding f
    JOIN channel c ON c.id = f.channel_id
    JOIN usage_point p ON p.id = c.usage_point_id
    WHERE (%(state)s::text IS NULL OR f.state = %(state)s)
      AND (%(rule)s::text IS NULL OR f.rule = %(rule)s)
      AND (%(severity)s::text IS NULL OR f.severity = %(severity)s)
      AND (%(usage_point)s::text IS NULL OR p.mrid = %(usage_point)s)
      AND (%(billing_group)s::text IS NULL OR p.billing_group = %(billing_group)s)
      AND (%(assigned_to)s::text IS NULL OR (
          f.id = ANY(ARRAY(
              SELECT e.finding_id FROM finding_event e
              WHERE e.kind = 'assigned' AND e.assignee = %(assigned_to)s))
          AND %(assigned_to)s = (
              SELECT e.assignee FROM finding_event e
              WHERE e.finding_id = f.id AND e.kind = 'assigned' ORDER BY e.id DESC LIMIT 1)))
      AND (%(number)s::bigint IS NULL OR f.id = %(number)s)
      AND (%(start)s::timestamptz IS NULL OR f.ends_at > %(start)s)
      AND (%(end)s::timestamptz IS NULL OR f.starts_at < %(end)s)
    ORDER BY f.severity = 'info', f.day, f.channel_id, f.starts_at, f.id
    LIMIT %(limit)s OFFSET %(offset)s
)
SELECT f.id, f.channel_id, f.mrid, t.name, f.interval_seconds, f.time_zone, f.day, f.starts_at,
       f.ends_at, f.rule, f.severity, f.action, f.observed, f."limit", f.found_at, f.state,
       f.decided_by, f.decided_at, f.reason, f.billing_group, a.assignee, h.held_until
FROM wanted f
JOIN reading_type t ON t.id = f.reading_type_id
LEFT JOIN LATERAL (
    SELECT e.assignee FROM finding_event e
    WHERE e.finding_id = f.id AND e.kind = 'assigned' ORDER BY e.id DESC LIMIT 1
) a ON true
LEFT JOIN LATERAL (
    SELECT e.held_until FROM finding_event e
    WHERE e.finding_id = f.id AND e.kind = 'held' ORDER BY e.id DESC LIMIT 1
) h ON true
ORDER BY f.severity = 'info', f.day, f.channel_id, f.starts_at, f.id

-- name: severities
SELECT severity, count(*) FROM finding WHERE state = 'open' GROUP BY severity

-- name: groups
SELECT f.rule, f.severity, f.action, count(*), count(DISTINCT c.usage_point_id), min(f.starts_at),
       max(f.ends_at), min(f.found_at)
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

-- name: add_events
INSERT INTO finding_event
    (finding_id, happened_at, kind, person, assignee, held_until, reason)
SELECT id, %(now)s, %(kind)s, %(person)s, %(assignee)s, %(held_until)s, %(reason)s
FROM unnest(%(ids)s::bigint[]) AS n (id)

-- name: history
SELECT happened_at, kind, person, assignee, held_until, reason
FROM finding_event WHERE finding_id = %(id)s ORDER BY id

-- name: reopen
UPDATE finding AS f
SET state = 'open', decided_by = NULL, decided_at = NULL, reason = NULL
WHERE f.channel_id = %(channel)s AND f.starts_at < %(end)s AND f.ends_at > %(start)s
  AND f.state IN ('accepted', 'edited')
  AND NOT EXISTS (
    SELECT FROM finding o
    WHERE o.state = 'open' AND (o.channel_id, o.day, o.rule, o.starts_at)
          = (f.channel_id, f.day, f.rule, f.starts_at))
  AND NOT EXISTS (
    SELECT FROM finding n
    WHERE n.id > f.id AND n.state IN ('accepted', 'edited')
      AND (n.channel_id, n.day, n.rule, n.starts_at)
          = (f.channel_id, f.day, f.rule, f.starts_at))
RETURNING f.id
