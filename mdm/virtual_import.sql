-- name: place
SELECT p.id, p.commodity, EXISTS (SELECT FROM installation i WHERE i.usage_point_id = p.id)
FROM usage_point p WHERE p.mrid = %(mrid)s

-- name: put_usage_point
INSERT INTO usage_point AS p (mrid, commodity, sector, time_zone, tariff, billing_group)
VALUES (%(virtual)s, %(commodity)s, %(sector)s, %(time_zone)s, %(tariff)s, %(billing_group)s)
ON CONFLICT (mrid) DO UPDATE SET
    sector = excluded.sector, time_zone = excluded.time_zone, tariff = excluded.tariff,
    billing_group = excluded.billing_group
WHERE (p.sector, p.time_zone, p.tariff, p.billing_group)
    IS DISTINCT FROM (excluded.sector, excluded.time_zone, excluded.tariff, excluded.billing_group)

-- name: put_channel
INSERT INTO virtual_channel AS v (channel_id, kind, made_at)
VALUES (%(channel)s, %(kind)s, %(now)s)
ON CONFLICT (channel_id) DO UPDATE SET kind = excluded.kind WHERE v.kind <> excluded.kind
RETURNING (xmax = 0)

-- name: other_virtual
SELECT t.name, c.interval_seconds
FROM virtual_channel v
JOIN channel c ON c.id = v.channel_id
JOIN reading_type t ON t.id = c.reading_type_id
WHERE c.usage_point_id = %(usage_point)s AND c.id <> %(channel)s
  AND c.reading_type_id = (SELECT reading_type_id FROM channel WHERE id = %(channel)s)

-- name: terms
SELECT t.id, t.usage_point_id, t.reading_type_id, t.factor, t.role, t.starts_on, t.ends_on
FROM virtual_term t
WHERE t.channel_id = %(channel)s AND t.withdrawn_at IS NULL

-- name: withdraw
UPDATE virtual_term SET withdrawn_at = %(now)s WHERE id = ANY(%(ids)s::bigint[])

-- name: add_terms
INSERT INTO virtual_term (channel_id, usage_point_id, reading_type_id, factor, role, starts_on,
                          ends_on, recorded_at)
SELECT %(channel)s, usage_point, reading_type, factor, role, starts_on, ends_on, %(now)s
FROM unnest(%(usage_points)s::integer[], %(reading_types)s::smallint[], %(factors)s::numeric[],
        %(roles)s::text[], %(starts_on)s::date[], %(ends_on)s::date[])
    AS n (usage_point, reading_type, factor, role, starts_on, ends_on)

-- name: places
SELECT mrid, id FROM usage_point WHERE mrid = ANY(%(mrids)s::text[])

-- name: lengths
SELECT DISTINCT usage_point_id, reading_type_id, interval_seconds FROM channel
WHERE usage_point_id = ANY(%(usage_points)s::integer[]) AND interval_seconds > 0

-- name: way_back
-- How one gets from a virtual channel's terms back to the channel itself.
WITH RECURSIVE way AS (
    SELECT t.usage_point_id, t.reading_type_id, ARRAY[p.mrid] AS names
    FROM virtual_term t JOIN usage_point p ON p.id = t.usage_point_id
    WHERE t.channel_id = %(channel)s AND t.withdrawn_at IS NULL
  UNION ALL
    SELECT t.usage_point_id, t.reading_type_id, w.names || p.mrid
    FROM way w
    JOIN channel c ON c.usage_point_id = w.usage_point_id AND c.reading_type_id = w.reading_type_id
    JOIN virtual_term t ON t.channel_id = c.id AND t.withdrawn_at IS NULL
    JOIN usage_point p ON p.id = t.usage_point_id
    WHERE c.id <> %(channel)s AND cardinality(w.names) < 50 AND NOT p.mrid = ANY(w.names)
)
SELECT w.names FROM way w
JOIN channel c ON c.usage_point_id = w.usage_point_id AND c.reading_type_id = w.reading_type_id
WHERE c.id = %(channel)s
ORDER BY cardinality(w.names) LIMIT 1

-- name: compute_from
INSERT INTO virtual_due (channel_id, starts_at, ends_at)
VALUES (%(channel)s, %(starts_at)s, %(ends_at)s)
