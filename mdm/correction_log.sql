-- name: add
INSERT INTO logged_change (billed_set_id, digest, logged_at)
VALUES (%(set)s, %(digest)s, %(now)s)
ON CONFLICT DO NOTHING
RETURNING id

-- name: add_item
INSERT INTO logged_change_item
    (logged_change_id, name, reading_type_id, part, unit, old_value, new_value)
VALUES (%(change)s, %(name)s, %(reading_type)s, %(part)s, %(unit)s, %(old)s, %(new)s)

-- name: logged
SELECT p.mrid, s.version, l.logged_at, i.name, t.name, i.part, i.unit, i.old_value, i.new_value,
       i.difference
FROM logged_change l
JOIN determinant_set s ON s.id = l.billed_set_id
JOIN usage_point p ON p.id = s.usage_point_id
JOIN logged_change_item i ON i.logged_change_id = l.id
JOIN reading_type t ON t.id = i.reading_type_id
WHERE s.cycle_id = %(cycle)s
ORDER BY l.id, i.name, t.name, i.part
