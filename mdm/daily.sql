-- name: add_recipe
INSERT INTO daily_recipe (digest, definition)
VALUES (encode(sha256(convert_to(%(definition)s, 'UTF8')), 'hex'), %(definition)s)
ON CONFLICT (digest) DO NOTHING

-- name: recipe
SELECT id FROM daily_recipe WHERE digest = encode(sha256(convert_to(%(definition)s, 'UTF8')), 'hex')

-- name: lock
SELECT pg_advisory_xact_lock(hashtext('interval_day'), %(recipe)s)

-- name: versions
-- Columns come packed, all rows in one: of its own each of these short rows would cost ten times as
-- much. The index has them all.
SELECT string_agg(int4send(channel_id), ''), string_agg(timestamptz_send(starts_at), ''),
       string_agg(int4send(version), '')
FROM interval_block
WHERE channel_id BETWEEN %(low)s AND %(high)s
  AND (%(together)s OR channel_id = ANY(ARRAY(SELECT unnest(%(numbers)s::integer[]))))
  AND starts_at >= %(start)s AND starts_at < %(end)s

-- name: days
-- A row begins with its first day; the last begins less than 31 days later.
SELECT channel_id, figures
FROM interval_days
WHERE recipe_id = %(recipe)s AND channel_id = ANY((SELECT %(channels)s)::integer[])
  AND starts_at > %(start)s::timestamptz - interval '31 days' AND starts_at < %(end)s

-- name: scattered
-- Channels whose days of a period stand in several rows.
SELECT channel_id
FROM interval_days
WHERE recipe_id = %(recipe)s AND channel_id = ANY(%(channels)s)
  AND starts_at >= %(start)s AND starts_at < %(end)s
GROUP BY channel_id
HAVING count(*) >= %(rows)s

-- name: take
WITH taken AS (
    DELETE FROM interval_days
    WHERE recipe_id = %(recipe)s AND channel_id = ANY(%(channels)s)
      AND starts_at >= %(start)s AND starts_at < %(end)s
    RETURNING channel_id, figures
)
SELECT channel_id, figures FROM taken

-- name: recorded
SELECT b.channel_id, b.starts_at, b.version, b.recorded_at
FROM unnest(%(channels)s::integer[], %(starts)s::timestamptz[], %(versions)s::integer[])
    AS n (channel_id, starts_at, version)
JOIN interval_block b USING (channel_id, starts_at, version)
WHERE b.starts_at >= %(start)s AND b.starts_at < %(end)s
