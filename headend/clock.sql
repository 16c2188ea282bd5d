-- name: simulated_now
SELECT now FROM simulated_clock

-- name: simulate
INSERT INTO simulated_clock (now) VALUES (%(now)s)
ON CONFLICT (only_one) DO UPDATE SET now = excluded.now

-- name: resume
DELETE FROM simulated_clock

-- name: other_end_device
SELECT mrid FROM end_device WHERE NOT mrid = ANY (%(end_devices)s::text[]) ORDER BY mrid LIMIT 1
