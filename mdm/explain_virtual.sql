-- name: inputs
WITH made AS (
    SELECT v.terms, v.input_channels, v.input_starts, v.input_versions
    FROM virtual_version v
    WHERE v.channel_id = %(channel)s AND v.starts_at = %(day)s AND v.version <= %(version)s
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

-- name: days
SELECT DISTINCT ON (n.channel_id, n.starts_at)
       v.channel_id, p.mrid, c.interval_seconds, v.starts_at, v.version,
       cardinality(b."values"), v.terms, v.input_channels, v.input_starts, v.input_versions
FROM unnest(%(channels)s::integer[], %(starts)s::timestamptz[], %(versions)s::integer[])
    AS n (channel_id, starts_at, version)
JOIN virtual_version v ON v.channel_id = n.channel_id AND v.starts_at = n.starts_at
    AND v.version <= n.version
JOIN channel c ON c.id = v.channel_id
JOIN usage_point p ON p.id = c.usage_point_id
JOIN interval_block b ON b.channel_id = v.channel_id AND b.starts_at = v.starts_at
    AND b.version = v.version
ORDER BY n.channel_id, n.starts_at, v.version DESC

-- name: slots
-- What people decided was not computed.
SELECT g.place - 1, b."values"[g.place], coalesce(b.quality[g.place], 0)
FROM interval_block b
CROSS JOIN LATERAL generate_subscripts(b."values", 1) AS g (place)
JOIN provenance p ON p.id = coalesce(b.origin[g.place], b.provenance_id)
WHERE b.channel_id = %(channel)s AND b.starts_at = %(day)s AND b.version = %(version)s
  AND p.kind = 'virtual'
ORDER BY g.place

-- name: waiting
SELECT EXISTS (
    SELECT FROM virtual_due d
    WHERE d.channel_id = %(channel)s AND d.starts_at <= %(moment)s AND d.ends_at > %(moment)s
) OR EXISTS (
    SELECT FROM channel c
    JOIN installation i ON i.usage_point_id = c.usage_point_id
    JOIN arrival a ON a.end_device_id = i.end_device_id
    WHERE c.id = %(channel)s AND i.starts_at <= %(moment)s
      AND (i.ends_at IS NULL OR i.ends_at > %(moment)s)
      AND a.starts_at <= %(moment)s AND a.ends_at > %(moment)s
)
