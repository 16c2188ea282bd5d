-- name: lock_export
SELECT id FROM export WHERE id = %(export)s FOR NO KEY UPDATE

-- name: outcomes
SELECT i.determinant_set_id, p.mrid, s.version, i.outcome
FROM export_item i
JOIN determinant_set s ON s.id = i.determinant_set_id
JOIN usage_point p ON p.id = s.usage_point_id
WHERE i.export_id = %(export)s

-- name: acknowledge
UPDATE export_item i
SET outcome = a.outcome, reason = nullif(a.reason, ''), acknowledged_at = %(now)s
FROM unnest(%(sets)s::bigint[], %(outcomes)s::text[], %(reasons)s::text[])
    AS a (id, outcome, reason)
WHERE i.export_id = %(export)s AND i.determinant_set_id = a.id

-- name: settle
UPDATE determinant_set s SET state = a.outcome
FROM unnest(%(sets)s::bigint[], %(outcomes)s::text[]) AS a (id, outcome)
WHERE s.id = a.id

-- name: keep_stray
INSERT INTO stray_acknowledgement (export_id, bill, outcome, reason, why, first_at)
VALUES (%(export)s, %(bill)s, %(outcome)s, %(reason)s, %(why)s, %(now)s)
ON CONFLICT DO NOTHING

-- name: strays
SELECT e.name, s.bill, s.outcome, s.reason, s.why, s.first_at
FROM stray_acknowledgement s LEFT JOIN export e ON e.id = s.export_id
WHERE e.cycle_id = %(cycle)s OR s.export_id IS NULL
ORDER BY s.id
