-- name: stored
SELECT DISTINCT ON (i.usage_point_id, i.id, r.read_at)
       i.usage_point_id, i.id, r.channel_id, r.read_at, r.version, r.value, r.quality
FROM installation i
JOIN end_device_control c ON c.end_device_id = i.end_device_id AND c.state = 'done'
JOIN end_device_control_request q ON q.id = c.request_id AND q.kind = 'read_billing_registers'
CROSS JOIN LATERAL jsonb_to_recordset(c.result -> 'registers')
    AS f (reading_type text, read_at timestamptz)
JOIN reading_type t ON t.name = f.reading_type
JOIN channel h ON (h.usage_point_id, h.reading_type_id, h.interval_seconds)
    = (i.usage_point_id, t.id, 0)
JOIN register_reading r ON (r.channel_id, r.read_at, r.installation_id) = (h.id, f.read_at, i.id)
WHERE i.usage_point_id = ANY(%(usage_points)s) AND t.name = %(register)s
  AND f.read_at >= %(since)s AND f.read_at <= %(until)s
  AND i.starts_at <= f.read_at AND (i.ends_at IS NULL OR f.read_at <= i.ends_at)
  AND r.recorded_at <= %(known_at)s AND c.changed_at <= %(known_at)s
ORDER BY i.usage_point_id, i.id, r.read_at, r.version DESC
