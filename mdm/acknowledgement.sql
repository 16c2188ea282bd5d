-- name: lock_export
SELECT id FROM export WHERE id = %(export)s FOR NO KEY UPDATE

-- name: outcomes
-- Of a town's export each file is acknowledged by itself: by the usage points that it names, one by
-- one. Left to itself the planner goes through all of the export for each file, or for each of these:
-- it does not know yet how large an export is that was just claimed.
SELECT s.id, p.mrid, s.version, i.outcome
FROM (SELECT id, mrid FROM usage_point WHERE mrid = ANY(%(usage_points)s) OFFSET 0) p
CROSS JOIN LATERAL (
    SELECT d.id, d.version FROM determinant_set d
    WHERE d.usage_point_id = p.id
      AND d.cycle_id = (SELECT cycle_id FROM export WHERE id = %(export)s)
    OFFSET 0
) s
CROSS JOIN LATERAL (
    SELECT x.outcome FROM export_item x
    WHERE x.export_id = %(export)s AND x.determinant_set_id = s.id
    OFFSET 0
) i

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
