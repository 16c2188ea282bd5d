-- name: owners
SELECT mrid, id, security, address FROM end_device WHERE mrid = ANY (%(mrids)s::text[])

-- name: sealed_keys
SELECT end_device_id, kind, sealed FROM end_device_key
WHERE end_device_id = ANY (%(end_devices)s::integer[])

-- name: put_keys
INSERT INTO end_device_key (end_device_id, kind, sealed, imported_at)
SELECT end_device_id, kind, sealed, %(now)s
FROM unnest(%(end_devices)s::integer[], %(kinds)s::text[], %(sealed)s::bytea[])
    AS k (end_device_id, kind, sealed)
ORDER BY end_device_id, kind
ON CONFLICT (end_device_id, kind)
DO UPDATE SET sealed = excluded.sealed, imported_at = excluded.imported_at

-- name: release_key_holds
UPDATE device_status SET held = false, next_attempt = %(now)s
WHERE end_device_id = ANY (%(end_devices)s::integer[])
  AND held AND error IN ('WrongKey', 'CounterOutOfSync')
