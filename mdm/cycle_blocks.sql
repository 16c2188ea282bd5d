-- name: blocks
-- Of a thousand channels given by a subquery the planner makes no estimate, one by one and chunk by
-- chunk, which took longer than a look at each.
SELECT channel_id, starts_at, version, provenance_id, array_octets("values"), array_octets(quality)
FROM interval_block
WHERE channel_id = ANY((SELECT %(channels)s)::integer[])
  AND starts_at >= %(start)s AND starts_at < %(end)s AND recorded_at <= %(known_at)s

-- name: blocks_of_range
-- Channels that stand together are read without a search for each.
SELECT channel_id, starts_at, version, provenance_id, array_octets("values"), array_octets(quality)
FROM interval_block
WHERE channel_id BETWEEN (SELECT %(first)s::integer) AND (SELECT %(last)s::integer)
  AND starts_at >= %(start)s AND starts_at < %(end)s AND recorded_at <= %(known_at)s

-- name: intervals
SELECT coalesce(array_agg(id ORDER BY id), '{}'),
       coalesce(array_agg(interval_seconds ORDER BY id), '{}')
FROM channel WHERE id = ANY(%(channels)s)
