-- name: without_rule_set
SELECT id FROM provenance
WHERE id = ANY(%(provenances)s) AND kind = 'vee' AND rule_set IS NULL

-- name: awaiting_validation
-- Intervals of stretches that have landed and that no validation run has taken yet.
SELECT i.usage_point_id,
       sum(ceil(extract(epoch FROM least(a.ends_at, %(end)s) - greatest(a.starts_at, %(start)s))
                / d.interval_seconds))::integer
FROM unnest(%(usage_points)s::integer[]) AS w (id)
JOIN installation i ON i.usage_point_id = w.id
    AND i.starts_at < %(end)s AND (i.ends_at IS NULL OR i.ends_at > %(start)s)
JOIN end_device d ON d.id = i.end_device_id
JOIN arrival a ON a.end_device_id = d.id AND a.starts_at < %(end)s AND a.ends_at > %(start)s
GROUP BY i.usage_point_id

-- name: warned
-- Intervals with an open finding at which somebody should look and that changed nothing.
SELECT f.channel_id,
       (sum(extract(epoch FROM upper(f.stretch) - lower(f.stretch))) / c.interval_seconds)::integer
FROM (
    SELECT channel_id, unnest(range_agg(
        tstzrange(greatest(starts_at, %(start)s), least(ends_at, %(end)s)))) AS stretch
    FROM finding
    WHERE channel_id = ANY(%(channels)s) AND state = 'open' AND action = 'note'
      AND severity = 'issue' AND day < %(end)s AND starts_at < %(end)s AND ends_at > %(start)s
    GROUP BY channel_id
) f
JOIN channel c ON c.id = f.channel_id
GROUP BY f.channel_id, c.interval_seconds

-- name: former
-- The newest set that counts of the last period, and of the one that began nearest to a year before.
WITH candidates AS (
    SELECT DISTINCT ON (s.usage_point_id, k.against)
           s.id, s.usage_point_id, k.against, s.starts_at, s.ends_at
    FROM unnest(%(usage_points)s::integer[]) AS w (id)
    JOIN determinant_set s ON s.usage_point_id = w.id
        AND s.state NOT IN ('superseded', 'waiting', 'held', 'rejected')
    JOIN LATERAL (
        SELECT 'last_period' AS against, %(start)s - s.ends_at AS distance
        WHERE s.ends_at <= %(start)s AND s.ends_at > %(oldest)s
        UNION ALL
        SELECT 'last_year', greatest(s.starts_at - %(year)s, %(year)s - s.starts_at)
        WHERE s.starts_at BETWEEN %(year_from)s AND %(year_to)s
    ) k ON true
    ORDER BY s.usage_point_id, k.against, k.distance, s.version DESC
)
SELECT c.usage_point_id, c.against, d.value, d.unit,
       extract(epoch FROM c.ends_at - c.starts_at)::bigint,
       coalesce(q.actual + q.questionable + q.missing + q.estimated + q.edited, 0),
       coalesce(q.actual, 0)
FROM candidates c
JOIN determinant d ON d.determinant_set_id = c.id AND d.name = 'consumption' AND d.part = ''
    AND d.value IS NOT NULL
LEFT JOIN LATERAL (
    -- What was billed by register was read twice: how it was measured, intervals tell.
    SELECT x.* FROM determinant x
    WHERE x.determinant_set_id = c.id AND x.name IN ('interval_consumption', 'consumption')
      AND x.part = ''
    ORDER BY x.name = 'interval_consumption' DESC LIMIT 1
) q ON true
