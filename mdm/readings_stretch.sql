-- name: stretches
SELECT channel_id, clear_from, starts_at, lowest, highest
FROM recorded_stretch
WHERE channel_id BETWEEN %(low)s AND %(high)s
  AND (%(together)s OR channel_id = ANY(ARRAY(SELECT unnest(%(numbers)s::integer[]))))

-- name: widen_stretches
UPDATE recorded_stretch AS s
SET lowest = least(s.lowest, w.lowest), highest = greatest(s.highest, w.highest)
FROM unnest(%(channels)s::integer[], %(lowest)s::bigint[], %(highest)s::bigint[])
    AS w (channel_id, lowest, highest)
WHERE s.channel_id = w.channel_id

-- name: drop_stretches
DELETE FROM recorded_stretch WHERE channel_id = ANY(%(channels)s)

-- name: keep_stretches
INSERT INTO recorded_stretch (channel_id, clear_from, starts_at, lowest, highest)
SELECT channel_id, to_timestamp(%(clear_from)s), to_timestamp(starts_at), lowest, highest
FROM unnest(%(channels)s::integer[], %(starts)s::bigint[], %(lowest)s::bigint[],
            %(highest)s::bigint[]) AS w (channel_id, starts_at, lowest, highest)
ON CONFLICT (channel_id) DO UPDATE
SET clear_from = excluded.clear_from, starts_at = excluded.starts_at, lowest = excluded.lowest,
    highest = excluded.highest
