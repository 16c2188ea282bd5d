-- name: anything
SELECT EXISTS (SELECT FROM virtual_term), EXISTS (SELECT FROM check_meter)

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
