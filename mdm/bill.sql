-- name: last_set
SELECT s.id, c.billing_group, c.starts_on, c.ends_on, s.version, s.state, s.computed_at, f.name,
       ARRAY(SELECT h.detail FROM determinant_hold h
             WHERE h.determinant_set_id = s.id AND s.state = 'held' ORDER BY h.gate)
       || ARRAY(SELECT x.reason FROM export_item x
                WHERE x.determinant_set_id = s.id AND x.outcome = 'rejected'
                  AND s.state = 'rejected'
                ORDER BY x.acknowledged_at DESC LIMIT 1)
FROM determinant_set s
JOIN billing_cycle c ON c.id = s.cycle_id
JOIN billing_definition f ON f.digest = s.tariff
WHERE s.usage_point_id = %(usage_point)s AND s.state <> 'superseded'
ORDER BY c.starts_on DESC, s.version DESC
LIMIT 1

-- name: lines
SELECT d.name, t.name, d.part, d.value, d.unit, d.starts_at, d.note
FROM determinant d JOIN reading_type t ON t.id = d.reading_type_id
WHERE d.determinant_set_id = %(set)s
ORDER BY d.position
