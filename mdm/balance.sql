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
