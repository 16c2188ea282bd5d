-- name: sectors
SELECT sector, array_agg(id)
FROM usage_point
WHERE id BETWEEN %(low)s AND %(high)s
  AND (%(together)s OR id = ANY(ARRAY(SELECT unnest(%(numbers)s::integer[]))))
GROUP BY sector

-- name: tariffs
SELECT id, tariff, commodity, time_zone FROM usage_point WHERE id = ANY (%(usage_points)s::integer[])

-- name: told_multipliers
-- What meters told first counts from the beginning.
SELECT i.id,
       CASE WHEN told.number > 1 THEN told.told_at END,
       told.until,
       told.multiplier::float8,
       i.multiplier::float8
FROM (
    SELECT end_device_id, told_at,
           lead(told_at) OVER meter AS until,
           row_number() OVER meter AS number,
           current_ratio::numeric * voltage_ratio / 1000000 AS multiplier
    FROM transformer_ratio
    WHERE end_device_id = ANY (%(end_devices)s::integer[])
    WINDOW meter AS (PARTITION BY end_device_id ORDER BY told_at)
) AS told
JOIN installation i ON i.end_device_id = told.end_device_id
WHERE told.multiplier <> i.multiplier
ORDER BY i.id, told.told_at
