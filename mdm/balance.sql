-- name: nodes
SELECT v.channel_id, p.mrid, t.name
FROM virtual_channel v
JOIN channel c ON c.id = v.channel_id
JOIN usage_point p ON p.id = c.usage_point_id
JOIN reading_type t ON t.id = c.reading_type_id
WHERE v.kind = 'balance'
ORDER BY p.mrid, t.name

-- name: node_named
SELECT DISTINCT v.channel_id, p.mrid, t.name
FROM virtual_channel v
JOIN channel c ON c.id = v.channel_id
JOIN usage_point p ON p.id = c.usage_point_id
JOIN reading_type t ON t.id = c.reading_type_id
LEFT JOIN virtual_term m ON m.channel_id = v.channel_id AND m.withdrawn_at IS NULL
    AND m.role = 'in'
LEFT JOIN usage_point f ON f.id = m.usage_point_id
WHERE v.kind = 'balance' AND (p.mrid = %(name)s OR f.mrid = %(name)s)
ORDER BY p.mrid, t.name

-- name: others
-- Meters on the routes of a node's meters that are not in the node: those in no balance first.
SELECT c.id, p.id, p.mrid, c.reading_type_id, c.interval_seconds
FROM usage_point p
JOIN channel c ON c.usage_point_id = p.id AND c.interval_seconds > 0
    AND c.reading_type_id = (SELECT reading_type_id FROM channel WHERE id = %(node)s)
WHERE p.billing_group = ANY(ARRAY(
        SELECT DISTINCT m.billing_group FROM usage_point m
        WHERE m.id = ANY(%(members)s::integer[])
    ))
  AND p.id <> ALL(%(members)s::integer[])
  AND NOT EXISTS (SELECT FROM virtual_channel v WHERE v.channel_id = c.id)
ORDER BY EXISTS (
    SELECT FROM virtual_term t WHERE t.usage_point_id = p.id AND t.withdrawn_at IS NULL
), p.mrid
LIMIT %(limit)s
