-- name: inputs
WITH made AS (
    SELECT v.terms, v.input_channels, v.input_starts, v.input_versions
    FROM virtual_version v
    WHERE v.channel_id = %(channel)s AND v.starts_at = %(day)s
    ORDER BY v.version DESC LIMIT 1
)
SELECT p.mrid, k.name, t.factor, b.version, sum(s.value)::bigint, max(s.quality)
FROM made m
CROSS JOIN LATERAL unnest(m.input_channels, m.input_starts, m.input_versions)
    AS n (channel_id, starts_at, version)
JOIN channel c ON c.id = n.channel_id
JOIN virtual_term t ON t.id = ANY(m.terms) AND t.usage_point_id = c.usage_point_id
    AND t.reading_type_id = c.reading_type_id
JOIN usage_point p ON p.id = t.usage_point_id
JOIN reading_type k ON k.id = t.reading_type_id
JOIN interval_block b ON b.channel_id = n.channel_id AND b.starts_at = n.starts_at
    AND b.version = n.version
CROSS JOIN LATERAL (
    SELECT u.value, coalesce(b.quality[u.place], 0) AS quality,
           b.starts_at + (u.place - 1) * make_interval(secs => c.interval_seconds) AS starts_at
    FROM unnest(b."values") WITH ORDINALITY AS u (value, place)
) s
WHERE s.starts_at < %(end)s
  AND s.starts_at + make_interval(secs => c.interval_seconds) > %(start)s
GROUP BY t.id, p.mrid, k.name, t.factor, b.version
ORDER BY t.id
