-- name: of_usage_point
SELECT s.id
FROM determinant_set s JOIN usage_point p ON p.id = s.usage_point_id
WHERE s.cycle_id = %(cycle)s AND p.mrid = %(usage_point)s
  AND (%(version)s::integer IS NULL OR s.version = %(version)s)
ORDER BY s.version DESC LIMIT 1

-- name: of_export
SELECT i.determinant_set_id
FROM export_item i
JOIN determinant_set s ON s.id = i.determinant_set_id
JOIN usage_point p ON p.id = s.usage_point_id
WHERE i.export_id = %(export)s
ORDER BY p.mrid

-- name: set
SELECT p.mrid, s.version, s.starts_at, s.ends_at, s.time_zone, s.software, s.input_digest, s.digest,
       t.definition, k.definition
FROM determinant_set s
JOIN usage_point p ON p.id = s.usage_point_id
JOIN billing_definition t ON t.digest = s.tariff
JOIN billing_definition k ON k.digest = s.calendar
WHERE s.id = %(set)s

-- name: determinants
SELECT d.name, t.name, d.part, d.value, d.unit, d.starts_at, d.ends_at, d.actual, d.questionable,
       d.missing, d.estimated, d.edited, d.rounding, d.note
FROM determinant d JOIN reading_type t ON t.id = d.reading_type_id
WHERE d.determinant_set_id = %(set)s
ORDER BY d.position

-- name: intervals
SELECT i.channel_id, t.name, c.interval_seconds, i.starts_at, i.version
FROM determinant_interval_input i
JOIN channel c ON c.id = i.channel_id
JOIN reading_type t ON t.id = c.reading_type_id
WHERE i.determinant_set_id = %(set)s
ORDER BY i.channel_id

-- name: registers
SELECT i.installation_id, i.channel_id, i.end_device, i.interval_seconds, i.multiplier,
       i.register_modulus, i.starts_at, i.ends_at,
       i.start_read_at, i.start_version, a.value, a.quality,
       i.end_read_at, i.end_version, b.value, b.quality, i.register
FROM determinant_register_input i
LEFT JOIN register_reading a ON (a.channel_id, a.read_at, a.installation_id, a.version)
    = (i.channel_id, i.start_read_at, i.installation_id, i.start_version)
LEFT JOIN register_reading b ON (b.channel_id, b.read_at, b.installation_id, b.version)
    = (i.channel_id, i.end_read_at, i.installation_id, i.end_version)
WHERE i.determinant_set_id = %(set)s
ORDER BY i.starts_at

-- name: facts
SELECT facts FROM determinant_fact WHERE determinant_set_id = %(set)s
