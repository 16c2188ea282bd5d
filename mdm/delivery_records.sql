-- name: sets
SELECT s.id, p.mrid, s.version, p.commodity, s.sector, t.name, s.time_zone, s.starts_at, s.ends_at,
       o.version, s.digest
FROM determinant_set s
JOIN usage_point p ON p.id = s.usage_point_id
JOIN billing_definition t ON t.digest = s.tariff
LEFT JOIN correction c ON c.new_set_id = s.id
LEFT JOIN determinant_set o ON o.id = c.old_set_id
WHERE s.id = ANY(%(sets)s)

-- name: pages
SELECT determinant_set_id, heading_id, units, starts_at, ends_at, end_device, actual, questionable,
       missing, estimated, edited
FROM determinant_page WHERE determinant_set_id = ANY(%(sets)s::bigint[])

-- name: headings
SELECT h.heading_id, h.name, t.name, h.part, h.unit, h.scale, h.rounding, h.note
FROM determinant_heading_line h JOIN reading_type t ON t.id = h.reading_type_id
WHERE h.heading_id = ANY(%(headings)s::integer[])
ORDER BY h.heading_id, h.position

-- name: lines
SELECT d.determinant_set_id, d.name, t.name, d.part, d.value, d.unit, d.starts_at, d.ends_at,
       d.actual, d.questionable, d.missing, d.estimated, d.edited, d.rounding, d.note
FROM determinant d JOIN reading_type t ON t.id = d.reading_type_id
WHERE d.determinant_set_id = ANY(%(sets)s)
ORDER BY d.determinant_set_id, d.position

-- name: differences
SELECT c.new_set_id, i.name, t.name, i.part, i.unit, i.old_value, i.difference
FROM correction c
JOIN correction_item i ON i.correction_id = c.id
JOIN reading_type t ON t.id = i.reading_type_id
WHERE c.new_set_id = ANY(%(sets)s)
ORDER BY c.new_set_id, i.name, t.name, i.part, i.unit
