-- name: heard
INSERT INTO device_status AS st (end_device_id, last_attempt, last_ok)
SELECT id, %(now)s, %(now)s FROM unnest(%(ids)s::integer[]) AS id ORDER BY id
ON CONFLICT (end_device_id) DO UPDATE SET
    last_attempt = coalesce(st.last_attempt, excluded.last_attempt),
    last_ok = greatest(st.last_ok, excluded.last_ok)

-- name: gasped
INSERT INTO device_status AS st (end_device_id, last_attempt, power_off_at)
SELECT id, %(now)s, %(now)s FROM unnest(%(ids)s::integer[]) AS id ORDER BY id
ON CONFLICT (end_device_id) DO UPDATE SET
    last_attempt = coalesce(st.last_attempt, excluded.last_attempt),
    power_off_at = greatest(st.power_off_at, excluded.power_off_at)
