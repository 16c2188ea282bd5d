-- name: items
WITH unsettled AS (
    SELECT s.id, c.billing_group, c.starts_on, c.ends_on, p.mrid, s.sector, p.time_zone,
           s.version, s.state, s.computed_at, said.gates, said.details,
           greatest(said.newest, s.computed_at) AS since, a.assignee
    FROM determinant_set s
    JOIN billing_cycle c ON c.id = s.cycle_id
    JOIN usage_point p ON p.id = s.usage_point_id
    LEFT JOIN LATERAL (
        SELECT e.assignee FROM determinant_event e
        WHERE e.determinant_set_id = s.id AND e.kind = 'assigned' ORDER BY e.id DESC LIMIT 1
    ) a ON true
    CROSS JOIN LATERAL (
        SELECT array_agg(w.gate ORDER BY w.gate) AS gates,
               array_agg(w.detail ORDER BY w.gate) AS details, max(w.at) AS newest
        FROM (
            SELECT h.gate, h.detail, NULL::timestamptz AS at
            FROM determinant_hold h WHERE h.determinant_set_id = s.id
            UNION ALL
            (SELECT 'rejected', x.reason, x.acknowledged_at FROM export_item x
             WHERE x.determinant_set_id = s.id AND x.outcome = 'rejected'
             ORDER BY x.acknowledged_at DESC LIMIT 1)
            UNION ALL
            SELECT 'refused', l.person || ': ' || l.reason, l.happened_at FROM (
                SELECT e.* FROM determinant_event e
                WHERE e.determinant_set_id = s.id AND e.kind <> 'assigned'
                ORDER BY e.id DESC LIMIT 1) l
            WHERE l.kind = 'rejected' AND s.state = 'rejected'
        ) w
    ) said
    WHERE s.state = ANY(%(states)s)
      AND (NOT %(states)s::text[] <@ '{waiting,held,rejected}'
           OR s.id = ANY(ARRAY(SELECT u.determinant_set_id FROM determinant_unsettled u)))
      AND (%(billing_group)s::text IS NULL OR c.billing_group = %(billing_group)s)
      AND (%(starts_on)s::date IS NULL OR c.starts_on = %(starts_on)s)
      AND (%(usage_point)s::text IS NULL OR p.mrid = %(usage_point)s)
      AND (%(ids)s::bigint[] IS NULL OR s.id = ANY(%(ids)s))
)
, wanted AS MATERIALIZED (
    SELECT * FROM unsettled
    WHERE (%(gate)s::text IS NULL OR %(gate)s = ANY(gates))
      AND (%(assigned_to)s::text IS NULL OR assignee = %(assigned_to)s)
    ORDER BY starts_on, since, billing_group, mrid
    LIMIT %(limit)s OFFSET %(offset)s
)
SELECT w.id, w.billing_group, w.starts_on, w.ends_on, w.mrid, w.sector, w.time_zone, w.version,
       w.state, w.since, coalesce(w.gates, '{}'), coalesce(w.details, '{}'), w.assignee,
       d.value, d.unit
FROM wanted w
LEFT JOIN determinant d ON d.determinant_set_id = w.id AND d.name = 'consumption' AND d.part = ''
ORDER BY w.starts_on, w.since, w.billing_group, w.mrid

-- name: causes
SELECT w.gate, count(*), min(w.since)
FROM (
    SELECT h.gate, s.computed_at AS since
    FROM determinant_set s
    JOIN billing_cycle c ON c.id = s.cycle_id
    JOIN determinant_hold h ON h.determinant_set_id = s.id
    WHERE s.state IN ('held', 'rejected')
      AND s.id = ANY(ARRAY(SELECT u.determinant_set_id FROM determinant_unsettled u))
      AND (%(billing_group)s::text IS NULL OR c.billing_group = %(billing_group)s)
    UNION ALL
    SELECT CASE WHEN x.at IS NULL THEN 'refused' ELSE 'rejected' END,
           coalesce(x.at, s.computed_at)
    FROM determinant_set s
    JOIN billing_cycle c ON c.id = s.cycle_id
    LEFT JOIN LATERAL (
        SELECT i.acknowledged_at AS at FROM export_item i
        WHERE i.determinant_set_id = s.id AND i.outcome = 'rejected'
        ORDER BY i.acknowledged_at DESC LIMIT 1
    ) x ON true
    WHERE s.state = 'rejected'
      AND s.id = ANY(ARRAY(SELECT u.determinant_set_id FROM determinant_unsettled u))
      AND (%(billing_group)s::text IS NULL OR c.billing_group = %(billing_group)s)
) w
GROUP BY w.gate
ORDER BY count(*) DESC, w.gate

-- name: take
-- In one order, so that two people who decide the same sets at once do not wait for each other.
SELECT s.id, s.state, p.mrid, c.billing_group, c.starts_on,
       (SELECT e.kind FROM determinant_event e
        WHERE e.determinant_set_id = s.id AND e.kind <> 'assigned' ORDER BY e.id DESC LIMIT 1)
FROM determinant_set s
JOIN usage_point p ON p.id = s.usage_point_id
JOIN billing_cycle c ON c.id = s.cycle_id
WHERE s.id = ANY(%(ids)s)
ORDER BY s.id
FOR NO KEY UPDATE OF s

-- name: add_releases
INSERT INTO determinant_release (determinant_set_id, released_at, person, reason)
SELECT n.id, %(now)s, %(person)s, %(reason)s FROM unnest(%(ids)s::bigint[]) AS n (id)

-- name: add_events
INSERT INTO determinant_event (determinant_set_id, kind, happened_at, person, assignee, reason)
SELECT n.id, %(kind)s, %(now)s, %(person)s, %(assignee)s, %(reason)s
FROM unnest(%(ids)s::bigint[]) AS n (id)

-- name: move
UPDATE determinant_set SET state = %(state)s WHERE id = ANY(%(ids)s)

-- name: history
SELECT happened_at, kind, person, assignee, reason FROM (
    SELECT id, happened_at, kind, person, assignee, reason FROM determinant_event
    WHERE determinant_set_id = %(set)s
    UNION ALL
    SELECT id, released_at, 'released', person, NULL, reason FROM determinant_release
    WHERE determinant_set_id = %(set)s
) h
ORDER BY happened_at, kind
