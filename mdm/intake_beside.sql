-- name: sectors
SELECT id, sector FROM usage_point WHERE id = ANY (%(usage_points)s::integer[])

-- name: tariffs
SELECT id, tariff, commodity, time_zone FROM usage_point WHERE id = ANY (%(usage_points)s::integer[])
