-- name: sectors
SELECT id, sector FROM usage_point WHERE id = ANY (%(usage_points)s::integer[])
