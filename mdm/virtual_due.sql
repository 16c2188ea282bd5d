-- name: anything
SELECT EXISTS (SELECT FROM virtual_term), EXISTS (SELECT FROM check_meter),
       EXISTS (SELECT FROM virtual_channel WHERE kind = 'balance')
       AND EXISTS (SELECT FROM rule_set_definition WHERE strpos(definition, 'virtual_balance') > 0)

-- name: note_virtual
INSERT INTO virtual_due (channel_id, starts_at, ends_at)
SELECT channel_id, lower(stretch), upper(stretch)
FROM (
    SELECT t.channel_id, unnest(range_agg(tstzrange(to_timestamp(w.starts), to_timestamp(w.ends))))
           AS stretch
    FROM unnest(%(channels)s::integer[], %(starts)s::bigint[], %(ends)s::bigint[])
        AS w (id, starts, ends)
    JOIN channel c ON c.id = w.id
    JOIN virtual_term t ON t.usage_point_id = c.usage_point_id
        AND t.reading_type_id = c.reading_type_id AND t.withdrawn_at IS NULL
    WHERE c.id <> t.channel_id
    GROUP BY t.channel_id
) s

-- name: note_checked
INSERT INTO arrival (end_device_id, starts_at, ends_at, landed_at)
SELECT i.end_device_id, lower(stretch), upper(stretch), %(now)s
FROM (
    SELECT m.usage_point_id,
           unnest(range_agg(tstzrange(to_timestamp(w.starts), to_timestamp(w.ends)))) AS stretch
    FROM unnest(%(channels)s::integer[], %(starts)s::bigint[], %(ends)s::bigint[])
        AS w (id, starts, ends)
    JOIN channel c ON c.id = w.id
    JOIN check_meter m ON m.check_usage_point_id = c.usage_point_id
    GROUP BY m.usage_point_id
) s
JOIN installation i ON i.usage_point_id = s.usage_point_id
    AND tstzrange(i.starts_at, i.ends_at) && s.stretch

-- name: note_balanced
-- Days of the other flows of a node on which something is in doubt: what the node leaves for them
-- may be known now, or be another.
INSERT INTO arrival (end_device_id, starts_at, ends_at, landed_at)
SELECT DISTINCT i.end_device_id, d.starts_at, d.ends_at, %(now)s::timestamptz
FROM (
    SELECT t.channel_id, to_timestamp(w.starts) AS starts_at, to_timestamp(w.ends) AS ends_at,
           array_agg(DISTINCT c.id) AS changed
    FROM unnest(%(channels)s::integer[], %(starts)s::bigint[], %(ends)s::bigint[])
        AS w (id, starts, ends)
    JOIN channel c ON c.id = w.id
    JOIN virtual_term t ON t.usage_point_id = c.usage_point_id
        AND t.reading_type_id = c.reading_type_id AND t.withdrawn_at IS NULL
    JOIN virtual_channel v ON v.channel_id = t.channel_id AND v.kind = 'balance'
    GROUP BY 1, 2, 3
) n
JOIN virtual_term o ON o.channel_id = n.channel_id AND o.withdrawn_at IS NULL
JOIN channel m ON m.usage_point_id = o.usage_point_id AND m.reading_type_id = o.reading_type_id
    AND m.interval_seconds > 0 AND n.changed <> ARRAY[m.id]
CROSS JOIN LATERAL (
    SELECT DISTINCT ON (b.starts_at) b.starts_at, b.quality,
           b.starts_at + cardinality(b."values") * make_interval(secs => m.interval_seconds)
           AS ends_at
    FROM interval_block b
    WHERE b.channel_id = m.id AND b.starts_at > n.starts_at - interval '26 hours'
      AND b.starts_at < n.ends_at
    ORDER BY b.starts_at, b.version DESC
) d
JOIN installation i ON i.usage_point_id = m.usage_point_id
    AND tstzrange(i.starts_at, i.ends_at) && tstzrange(d.starts_at, d.ends_at)
WHERE d.quality && %(doubts)s::smallint[] AND d.ends_at > n.starts_at
