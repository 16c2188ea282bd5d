-- name: channel_intervals
SELECT id, interval_seconds FROM channel WHERE id = ANY(%(channels)s) ORDER BY id

-- name: blocks
SELECT channel_id, starts_at, version, provenance_id, "values", quality
FROM interval_block
WHERE channel_id BETWEEN %(low)s AND %(high)s
  AND (%(together)s OR channel_id = ANY(ARRAY(SELECT unnest(%(numbers)s::integer[]))))
  AND starts_at >= %(start)s AND starts_at < %(end)s
  AND recorded_at <= %(known_at)s

-- name: blocks_with_origin
SELECT channel_id, starts_at, version, provenance_id, "values", quality, origin
FROM interval_block
WHERE channel_id BETWEEN %(low)s AND %(high)s
  AND (%(together)s OR channel_id = ANY(ARRAY(SELECT unnest(%(numbers)s::integer[]))))
  AND starts_at >= %(start)s AND starts_at < %(end)s
  AND recorded_at <= %(known_at)s

-- name: named_blocks
SELECT b.channel_id, b.starts_at, b.version, b.provenance_id, b."values", b.quality
FROM unnest(%(channels)s::integer[], %(starts)s::timestamptz[], %(versions)s::integer[])
    AS n (channel_id, starts_at, version)
JOIN interval_block b USING (channel_id, starts_at, version)
-- The bounds let TimescaleDB leave out the chunks that cannot hold a named block.
WHERE b.starts_at >= %(start)s AND b.starts_at <= %(end)s

-- name: registers
SELECT channel_id, installation_id, read_at, version, value, quality
FROM register_reading
WHERE channel_id BETWEEN %(low)s AND %(high)s
  AND (%(together)s OR channel_id = ANY(ARRAY(SELECT unnest(%(numbers)s::integer[]))))
  AND read_at >= %(start)s AND read_at <= %(end)s
  AND recorded_at <= %(known_at)s

-- name: add_provenance
INSERT INTO provenance (kind, recorded_at, rule_set, rule_set_digest, software, person, reason)
VALUES (%(kind)s, %(recorded_at)s, %(rule_set)s, %(rule_set_digest)s, %(software)s, %(person)s,
        %(reason)s)
RETURNING id

-- name: lock_channels
SELECT id
FROM usage_point
WHERE id IN (SELECT usage_point_id FROM channel WHERE id = ANY(%(channels)s))
ORDER BY id
FOR NO KEY UPDATE
