-- name: lock_cycle
SELECT id FROM billing_cycle WHERE id = %(cycle)s FOR NO KEY UPDATE

-- name: exportable
SELECT s.id, p.mrid
FROM determinant_set s JOIN usage_point p ON p.id = s.usage_point_id
WHERE s.cycle_id = %(cycle)s AND s.state IN ('ready', 'released')

-- name: next_number
SELECT coalesce(max(substring(name FROM '[0-9]+$')::integer), 0) + 1
FROM export WHERE cycle_id = %(cycle)s

-- name: add_export
INSERT INTO export (cycle_id, name, format, target, prepared_at, software)
VALUES (%(cycle)s, %(name)s, %(format)s, %(target)s, %(prepared_at)s, %(software)s)
RETURNING id

-- name: add_file
INSERT INTO export_file (export_id, name, sha256, bytes, usage_points)
VALUES (%(export)s, %(name)s, %(sha256)s, %(bytes)s, %(usage_points)s)

-- name: add_items
INSERT INTO export_item (export_id, file, determinant_set_id)
SELECT %(export)s, %(file)s, unnest(%(sets)s::bigint[])

-- name: mark_exported
UPDATE determinant_set SET state = 'exported' WHERE id = ANY(%(sets)s::bigint[])

-- name: exports
SELECT e.id, e.cycle_id, e.name, e.format, e.target, e.prepared_at, e.software, e.delivered_at,
       e.problem, count(i.*), count(i.*) FILTER (WHERE i.outcome = 'billed'),
       count(i.*) FILTER (WHERE i.outcome = 'rejected')
FROM export e LEFT JOIN export_item i ON i.export_id = e.id
WHERE e.cycle_id = %(cycle)s AND (%(name)s::text IS NULL OR e.name = %(name)s)
GROUP BY e.id
ORDER BY e.id

-- name: waiting
SELECT e.id, e.name, e.target FROM export e
WHERE e.cycle_id = %(cycle)s AND e.delivered_at IS NOT NULL
  AND EXISTS (SELECT FROM export_item i WHERE i.export_id = e.id AND i.outcome IS NULL)
ORDER BY e.id

-- name: targets
SELECT DISTINCT target FROM export
WHERE cycle_id = %(cycle)s AND delivered_at IS NOT NULL
  AND (%(since)s::timestamptz IS NULL OR delivered_at >= %(since)s)
ORDER BY target

-- name: names
SELECT name FROM export WHERE target = %(target)s

-- name: files
SELECT name, sha256, bytes, usage_points FROM export_file WHERE export_id = %(export)s ORDER BY name

-- name: items
SELECT i.file, i.determinant_set_id, p.mrid
FROM export_item i
JOIN determinant_set s ON s.id = i.determinant_set_id
JOIN usage_point p ON p.id = s.usage_point_id
WHERE i.export_id = %(export)s

-- name: made_by
SELECT DISTINCT s.software, s.rule_sets, t.name || '@' || t.digest, k.name || '@' || k.digest
FROM determinant_set s
JOIN billing_definition t ON t.digest = s.tariff
JOIN billing_definition k ON k.digest = s.calendar
WHERE s.id = ANY(%(sets)s)

-- name: mark_delivered
UPDATE export SET delivered_at = coalesce(delivered_at, %(now)s), problem = NULL
WHERE id = %(export)s AND target = %(target)s

-- name: mark_problem
UPDATE export SET problem = %(problem)s WHERE id = %(export)s AND target = %(target)s
