-- name: open
SELECT s.id, e.name, c.billing_group, s.bill, s.outcome, s.reason, s.why, s.first_at
FROM stray_acknowledgement s
LEFT JOIN export e ON e.id = s.export_id
LEFT JOIN billing_cycle c ON c.id = e.cycle_id
WHERE NOT EXISTS (SELECT FROM stray_decision d WHERE d.stray_id = s.id)
  AND (%(billing_group)s::text IS NULL OR c.billing_group = %(billing_group)s OR c.id IS NULL)
ORDER BY s.id
LIMIT %(limit)s

-- name: count
SELECT count(*), min(s.first_at)
FROM stray_acknowledgement s
LEFT JOIN export e ON e.id = s.export_id
LEFT JOIN billing_cycle c ON c.id = e.cycle_id
WHERE NOT EXISTS (SELECT FROM stray_decision d WHERE d.stray_id = s.id)
  AND (%(billing_group)s::text IS NULL OR c.billing_group = %(billing_group)s OR c.id IS NULL)

-- name: known
SELECT id FROM stray_acknowledgement WHERE id = ANY(%(numbers)s)

-- name: decide
INSERT INTO stray_decision (stray_id, person, reason, decided_at)
SELECT unnest(%(numbers)s::bigint[]), %(person)s, %(reason)s, %(now)s
ON CONFLICT DO NOTHING
