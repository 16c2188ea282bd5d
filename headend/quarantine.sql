-- name: put
INSERT INTO quarantine (kind, source, subject, payload, reason, context, received_at)
SELECT kind, source, subject, payload, reason, context, received_at
FROM unnest(
    %(kinds)s::text[], %(sources)s::text[], %(subjects)s::text[], %(payloads)s::bytea[],
    %(reasons)s::text[], %(contexts)s::jsonb[], %(received_at)s::timestamptz[]
) AS w (kind, source, subject, payload, reason, context, received_at)
ON CONFLICT (
    kind, md5(source || E'\x1f' || subject || E'\x1f' || reason), sha256(payload)
) WHERE resolved_at IS NULL DO NOTHING

-- name: rows
SELECT id, kind, source, subject, payload, reason, context, received_at, replays, replayed_at,
       latest_reason, fate, resolved_at, resolved_by, resolution
FROM quarantine
WHERE (%(kind)s::text IS NULL OR kind = %(kind)s)
  AND (%(subject)s::text IS NULL OR subject LIKE %(subject)s)
  AND (%(everything)s OR resolved_at IS NULL)
ORDER BY id LIMIT %(limit)s

-- name: row
SELECT id, kind, source, subject, payload, reason, context, received_at, replays, replayed_at,
       latest_reason, fate, resolved_at, resolved_by, resolution
FROM quarantine WHERE id = %(id)s

-- name: causes
SELECT kind, source, coalesce(latest_reason, reason), count(*), min(received_at), max(received_at)
FROM quarantine WHERE resolved_at IS NULL
GROUP BY 1, 2, 3 ORDER BY count(*) DESC, 1, 2, 3 LIMIT %(limit)s

-- name: count_open
SELECT count(*) FROM quarantine WHERE resolved_at IS NULL

-- name: to_replay
SELECT id, kind, source, subject, payload, reason, context, received_at, replays, replayed_at,
       latest_reason, fate, resolved_at, resolved_by, resolution
FROM quarantine
WHERE kind = %(kind)s AND resolved_at IS NULL AND id > %(after)s
  AND (%(ids)s::bigint[] IS NULL OR id = ANY (%(ids)s::bigint[]))
  AND (%(subject)s::text IS NULL OR subject LIKE %(subject)s)
ORDER BY id LIMIT %(limit)s
FOR UPDATE SKIP LOCKED

-- name: replayed
UPDATE quarantine AS q
SET replays = q.replays + 1, replayed_at = %(now)s, latest_reason = w.reason, fate = w.fate,
    resolved_at = CASE WHEN w.fate IS NOT NULL THEN %(now)s::timestamptz END,
    resolution = w.resolution
FROM unnest(%(ids)s::bigint[], %(fates)s::text[], %(reasons)s::text[], %(resolutions)s::text[])
    AS w (id, fate, reason, resolution)
WHERE q.id = w.id

-- name: dismiss
UPDATE quarantine
SET fate = 'dismissed', resolved_at = %(now)s, resolved_by = %(person)s, resolution = %(reason)s
WHERE id = ANY (%(ids)s::bigint[]) AND resolved_at IS NULL
RETURNING id

-- name: prune
DELETE FROM quarantine WHERE resolved_at < %(resolved)s OR received_at < %(received)s
