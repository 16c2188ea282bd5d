-- name: note
INSERT INTO unknown_device AS u (
    protocol, kind, identity, host, transport, first_seen, last_seen, pushes, reason)
SELECT %(protocol)s, kind, identity, host, transport, seen, seen, pushes, reason
FROM unnest(
    %(kinds)s::text[], %(identities)s::text[], %(hosts)s::text[], %(transports)s::text[],
    %(seen)s::timestamptz[], %(pushes)s::bigint[], %(reasons)s::text[]
) AS w (kind, identity, host, transport, seen, pushes, reason)
WHERE EXISTS (
        SELECT FROM unknown_device k
        WHERE k.protocol = %(protocol)s AND k.kind = w.kind AND k.identity = w.identity
    )
    OR (SELECT count(*) FROM unknown_device WHERE registered_at IS NULL) < %(most)s
ORDER BY kind, identity
ON CONFLICT (protocol, kind, identity) DO UPDATE SET
    host = excluded.host, transport = excluded.transport,
    last_seen = greatest(u.last_seen, excluded.last_seen), pushes = u.pushes + excluded.pushes,
    reason = excluded.reason, registered_at = NULL
RETURNING kind, identity

-- name: unknown
SELECT u.protocol, u.kind, u.identity, u.host, u.transport, u.first_seen, u.last_seen, u.pushes,
       u.reason,
       (SELECT count(*) FROM quarantine q
        WHERE q.source = %(source)s AND q.subject = u.kind || ' ' || u.identity
          AND q.resolved_at IS NULL)
FROM unknown_device u
WHERE u.registered_at IS NULL
ORDER BY u.last_seen DESC, u.id LIMIT %(limit)s

-- name: count
SELECT count(*) FROM unknown_device WHERE registered_at IS NULL

-- name: registered
UPDATE unknown_device u SET registered_at = %(now)s
WHERE u.registered_at IS NULL AND u.protocol = 'dlms' AND EXISTS (
    SELECT FROM end_device d
    WHERE d.protocol = 'dlms' AND u.kind = 'system_title'
      AND upper(d.address ->> 'system_title') = u.identity
    UNION ALL
    SELECT FROM end_device d
    WHERE d.protocol = 'dlms' AND u.kind = 'name' AND d.mrid = u.identity
    UNION ALL
    SELECT FROM end_device d
    WHERE d.protocol = 'dlms' AND u.kind = 'name' AND d.address ->> 'serial' = u.identity
    UNION ALL
    SELECT FROM end_device d
    WHERE d.protocol = 'dlms' AND u.kind = 'name' AND d.address ->> 'device_name' = u.identity
    UNION ALL
    SELECT FROM device_status st
    WHERE u.kind = 'name' AND st.identity ->> 'serial' = u.identity
    UNION ALL
    SELECT FROM end_device d
    WHERE d.protocol = 'dlms' AND u.kind = 'host' AND d.host = u.identity
    HAVING count(*) = 1
)
RETURNING u.kind, u.identity

-- name: trim
DELETE FROM quarantine q
USING (
    SELECT id, row_number() OVER (PARTITION BY subject ORDER BY id DESC) AS place
    FROM quarantine
    WHERE source = %(source)s AND subject = ANY (%(subjects)s::text[]) AND resolved_at IS NULL
) AS old
WHERE q.id = old.id AND old.place > %(most)s
