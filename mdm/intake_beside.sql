-- name: sectors
SELECT sector, array_agg(id)
FROM usage_point
WHERE id BETWEEN %(low)s AND %(high)s
  AND (%(together)s OR id = ANY(ARRAY(SELECT unnest(%(numbers)s::integer[]))))
GROUP BY sector

-- name: tariffs
SELECT id, tariff, commodity, time_zone FROM usage_point WHERE id = ANY (%(usage_points)s::integer[])
