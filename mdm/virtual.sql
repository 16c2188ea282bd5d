-- name: claim
WITH chosen AS (
    SELECT id FROM virtual_due ORDER BY id LIMIT %(limit)s FOR UPDATE SKIP LOCKED
)
DELETE FROM virtual_due d USING chosen c WHERE d.id = c.id
RETURNING d.channel_id, d.starts_at, d.ends_at

-- name: definitions
SELECT v.channel_id, p.mrid, p.time_zone, c.interval_seconds, v.kind
FROM virtual_channel v
JOIN channel c ON c.id = v.channel_id
JOIN usage_point p ON p.id = c.usage_point_id
WHERE v.channel_id = ANY(%(channels)s::integer[])
ORDER BY v.channel_id

-- name: terms
SELECT t.id, t.usage_point_id, p.mrid, t.reading_type_id, (t.factor * 1000000)::bigint, t.role,
       t.starts_on, t.ends_on
FROM virtual_term t JOIN usage_point p ON p.id = t.usage_point_id
WHERE t.channel_id = %(channel)s AND t.recorded_at <= %(known_at)s
  AND (t.withdrawn_at IS NULL OR t.withdrawn_at > %(known_at)s)
ORDER BY t.id

-- name: terms_named
SELECT t.id, t.usage_point_id, p.mrid, t.reading_type_id, (t.factor * 1000000)::bigint, t.role,
       t.starts_on, t.ends_on
FROM virtual_term t JOIN usage_point p ON p.id = t.usage_point_id
WHERE t.id = ANY(%(terms)s::bigint[])
ORDER BY t.id

-- name: inputs
SELECT DISTINCT c.id, c.usage_point_id, c.reading_type_id, c.interval_seconds
FROM virtual_term t
JOIN channel c ON c.usage_point_id = t.usage_point_id AND c.reading_type_id = t.reading_type_id
WHERE t.channel_id = %(channel)s AND t.recorded_at <= %(known_at)s
  AND (t.withdrawn_at IS NULL OR t.withdrawn_at > %(known_at)s)
  AND c.interval_seconds > 0 AND c.id <> t.channel_id
ORDER BY c.id

-- name: inputs_named
SELECT id, usage_point_id, reading_type_id, interval_seconds
FROM channel WHERE id = ANY(%(channels)s::integer[]) ORDER BY id

-- name: days_of_inputs
SELECT DISTINCT b.starts_at
FROM interval_block b
WHERE b.channel_id = ANY(%(channels)s::integer[])
  AND b.starts_at > %(start)s::timestamptz - interval '26 hours' AND b.starts_at < %(end)s
ORDER BY b.starts_at

-- name: by_people
SELECT id FROM provenance WHERE id = ANY(%(ids)s::bigint[]) AND kind IN ('edit', 'accept')

-- name: keep_inputs
INSERT INTO virtual_version (channel_id, starts_at, version, terms, input_channels, input_starts,
                             input_versions)
VALUES (%(channel)s, %(starts_at)s, %(version)s, %(terms)s, %(input_channels)s, %(input_starts)s,
        %(input_versions)s)
