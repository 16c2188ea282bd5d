-- name: owners
SELECT mrid, id, security, address FROM end_device WHERE mrid = ANY (%(mrids)s::text[])

-- name: sealed_key
SELECT sealed FROM end_device_key WHERE end_device_id = %(end_device)s AND kind = %(kind)s

-- name: put_key
INSERT INTO end_device_key (end_device_id, kind, sealed, imported_at)
VALUES (%(end_device)s, %(kind)s, %(sealed)s, %(now)s)
ON CONFLICT (end_device_id, kind)
DO UPDATE SET sealed = excluded.sealed, imported_at = excluded.imported_at

-- name: release_key_hold
UPDATE device_status SET held = false, next_attempt = %(now)s
WHERE end_device_id = %(end_device)s AND held AND error IN ('WrongKey', 'CounterOutOfSync')
