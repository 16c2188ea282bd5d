-- name: keep_rule_set
INSERT INTO rule_set_definition (digest, name, definition)
VALUES (%(digest)s, %(name)s, %(definition)s)
ON CONFLICT (digest) DO NOTHING

-- name: add_run
INSERT INTO vee_run (ran_at, rule_set, rule_set_digest, provenance_id, channels, days, versions,
                     opened, closed, counters)
VALUES (%(ran_at)s, %(rule_set)s, %(rule_set_digest)s, %(provenance_id)s, %(channels)s, %(days)s,
        0, 0, 0, %(counters)s)
RETURNING id

-- name: finish_run
UPDATE vee_run SET versions = %(versions)s, opened = %(opened)s, closed = %(closed)s
WHERE id = %(id)s

-- name: findings_of_days
SELECT id, channel_id, day, starts_at, ends_at, rule, observed, "limit", state = 'open'
FROM finding
WHERE channel_id BETWEEN %(low)s AND %(high)s
  AND (%(together)s OR channel_id = ANY(ARRAY(SELECT unnest(%(numbers)s::integer[]))))
  AND day >= %(start)s AND day < %(end)s
  AND ends_at > %(reached)s
  AND state IN ('open', 'accepted', 'edited')

-- name: see_findings_again
UPDATE finding AS f
SET ends_at = w.ends_at, observed = w.observed, "limit" = w."limit", severity = w.severity,
    action = w.action, vee_run_id = %(run)s
FROM unnest(%(ids)s::bigint[], %(ends)s::timestamptz[], %(observed)s::double precision[],
            %(limits)s::double precision[], %(severities)s::text[], %(actions)s::text[])
    AS w (id, ends_at, observed, "limit", severity, action)
WHERE f.id = w.id

-- name: close_findings
UPDATE finding AS f
SET state = w.state, decided_at = %(now)s, reason = w.reason
FROM unnest(%(ids)s::bigint[], %(states)s::text[], %(reasons)s::text[]) AS w (id, state, reason)
WHERE f.id = w.id

-- name: channels_of_days
SELECT c.id AS channel_id
FROM unnest(%(channels)s::integer[]) AS c (id)
WHERE EXISTS (
    SELECT FROM interval_block b
    WHERE b.channel_id = c.id AND b.starts_at >= %(start)s AND b.starts_at < %(end)s)

-- name: findings_reaching
SELECT DISTINCT channel_id
FROM finding
WHERE channel_id BETWEEN %(low)s AND %(high)s
  AND (%(together)s OR channel_id = ANY(ARRAY(SELECT unnest(%(numbers)s::integer[]))))
  AND day >= %(from)s AND day < %(start)s
  AND ends_at > %(start)s
  AND state IN ('open', 'accepted', 'edited')
