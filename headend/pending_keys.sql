-- name: put
INSERT INTO end_device_pending_key (end_device_id, kind, sealed, made_at)
VALUES (%(end_device)s, %(kind)s, %(sealed)s, %(now)s)
ON CONFLICT (end_device_id, kind)
DO UPDATE SET sealed = excluded.sealed, made_at = excluded.made_at

-- name: of_device
SELECT kind, sealed FROM end_device_pending_key WHERE end_device_id = %(end_device)s ORDER BY kind

-- name: of_devices
SELECT end_device_id, kind, sealed FROM end_device_pending_key
WHERE end_device_id = ANY (%(end_devices)s::integer[])

-- name: promote
WITH proved AS (
    DELETE FROM end_device_pending_key
    WHERE end_device_id = %(end_device)s AND kind = ANY (%(kinds)s::text[])
    RETURNING end_device_id, kind, sealed
)
INSERT INTO end_device_key (end_device_id, kind, sealed, imported_at)
SELECT end_device_id, kind, sealed, %(now)s FROM proved
ON CONFLICT (end_device_id, kind)
DO UPDATE SET sealed = excluded.sealed, imported_at = excluded.imported_at

-- name: drop
DELETE FROM end_device_pending_key
WHERE end_device_id = %(end_device)s AND kind = ANY (%(kinds)s::text[])
