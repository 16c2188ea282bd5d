-- name: claim
-- Others take other rows; what is taken comes back if this transaction fails.
DELETE FROM interval_day_due WHERE id IN (
    SELECT id FROM (
        SELECT id, sum(cardinality(channels)) OVER (ORDER BY id) - cardinality(channels) AS before
        FROM (SELECT id, channels FROM interval_day_due ORDER BY id LIMIT 200
              FOR UPDATE SKIP LOCKED) oldest
    ) counted
    WHERE before < %(channels)s)
RETURNING channels, starts_at, ends_at

-- name: forget
DELETE FROM interval_day_due

-- name: usage_points
SELECT DISTINCT p.id, p.mrid, p.commodity, p.sector, p.time_zone, p.tariff, p.billing_group
FROM channel c JOIN usage_point p ON p.id = c.usage_point_id
WHERE c.id = ANY((SELECT %(channels)s)::integer[])
ORDER BY p.id
