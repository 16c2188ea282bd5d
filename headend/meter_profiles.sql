-- name: newest
SELECT read_at, confirmed_at, digest FROM end_device_profile
WHERE end_device_id = %(end_device)s ORDER BY read_at DESC LIMIT 1

-- name: newest_of
SELECT DISTINCT ON (end_device_id) end_device_id, digest FROM end_device_profile
WHERE end_device_id = ANY (%(end_devices)s::integer[])
ORDER BY end_device_id, read_at DESC

-- name: offers
SELECT offers FROM meter_profile WHERE digest = %(digest)s

-- name: add_offers
INSERT INTO meter_profile (digest, offers, capture_seconds)
VALUES (%(digest)s, %(offers)s, %(capture_seconds)s)
ON CONFLICT DO NOTHING

-- name: confirm
UPDATE end_device_profile SET confirmed_at = greatest(confirmed_at, %(now)s)
WHERE end_device_id = %(end_device)s AND read_at = %(read_at)s

-- name: add
INSERT INTO end_device_profile (end_device_id, read_at, confirmed_at, digest)
VALUES (%(end_device)s, %(now)s, %(now)s, %(digest)s)
ON CONFLICT (end_device_id, read_at) DO UPDATE SET digest = excluded.digest
