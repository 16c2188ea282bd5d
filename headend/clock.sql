-- name: simulated_now
SELECT now FROM simulated_clock

-- name: simulate
INSERT INTO simulated_clock (now) VALUES (%(now)s)
ON CONFLICT (only_one) DO UPDATE SET now = excluded.now
