-- name: newest
SELECT read_at, confirmed_at, offers FROM end_device_profile
WHERE end_device_id = %(end_device)s ORDER BY read_at DESC LIMIT 1

-- name: newest_of
SELECT DISTINCT ON (end_device_id) end_device_id, offers FROM end_device_profile
WHERE end_device_id = ANY (%(end_devices)s::integer[])
ORDER BY end_device_id, read_at DESC

-- name: confirm
UPDATE end_device_profile SET confirmed_at = greatest(confirmed_at, %(now)s)
WHERE end_device_id = %(end_device)s AND read_at = %(read_at)s

-- name: add
INSERT INTO end_device_profile (end_device_id, read_at, confirmed_at, offers, capture_seconds)
VALUES (%(end_device)s, %(now)s, %(now)s, %(offers)s, %(capture_seconds)s)
ON CONFLICT (end_device_id, read_at)
DO UPDATE SET offers = excluded.offers, capture_seconds = excluded.capture_seconds
