-- name: only_one_at_a_time
SELECT pg_advisory_xact_lock(7105025)

-- name: targets
SELECT d.id, d.mrid, d.protocol, p.sector, c.reason
FROM end_device d
LEFT JOIN LATERAL (
    SELECT usage_point_id FROM installation
    WHERE end_device_id = d.id AND tstzrange(starts_at, ends_at) @> %(now)s::timestamptz
    LIMIT 1
) i ON true
LEFT JOIN usage_point p ON p.id = i.usage_point_id
LEFT JOIN critical_usage_point c ON c.usage_point_id = p.id
WHERE (%(mrid)s::text IS NOT NULL AND d.mrid = %(mrid)s)
   OR (i.usage_point_id IS NOT NULL AND d.id IN (
        SELECT m.end_device_id FROM end_device_group_membership m
        JOIN end_device_group g ON g.id = m.group_id WHERE g.name = %(group)s))
ORDER BY d.id

-- name: group_exists
SELECT FROM end_device_group WHERE name = %(group)s

-- name: disconnected_lately
SELECT count(DISTINCT c.end_device_id)
FROM end_device_control c JOIN end_device_control_request r ON r.id = c.request_id
WHERE r.kind = 'disconnect' AND r.requested_at > %(since)s
  AND c.needs_approval IS NULL AND c.state NOT IN ('cancelled', 'expired', 'failed')
  AND NOT c.end_device_id = ANY (%(except)s::integer[])

-- name: add_request
INSERT INTO end_device_control_request (
    kind, parameters, group_name, reason, requested_by, requested_at)
VALUES (%(kind)s, %(parameters)s, %(group)s, %(reason)s, %(by)s, %(now)s)
RETURNING id

-- name: add_controls
INSERT INTO end_device_control (
    request_id, end_device_id, not_before, expires_at, needs_approval, state, next_attempt, message,
    changed_at, changed_by)
SELECT %(request)s, u.id, %(not_before)s, %(expires_at)s, %(needs_approval)s,
       CASE WHEN u.refusal IS NULL THEN 'requested' ELSE 'cancelled' END, %(not_before)s, u.refusal,
       %(now)s, %(by)s
FROM unnest(%(end_devices)s::integer[], %(refusals)s::text[]) AS u (id, refusal)
ORDER BY u.id
RETURNING id

-- name: controls
SELECT c.id, c.request_id, c.end_device_id, d.mrid, r.kind, r.parameters, c.state, r.reason,
       r.requested_by, r.requested_at, c.not_before, c.expires_at, c.needs_approval, c.approved_by,
       c.attempts, c.next_attempt, c.sent_at, c.progress, c.result, c.error, c.message, c.changed_at,
       c.session_id, r.group_name
FROM end_device_control c
JOIN end_device_control_request r ON r.id = c.request_id
JOIN end_device d ON d.id = c.end_device_id
WHERE (%(id)s::bigint IS NULL OR c.id = %(id)s)
  AND (%(request)s::bigint IS NULL OR c.request_id = %(request)s)
  AND (%(end_device)s::integer IS NULL OR c.end_device_id = %(end_device)s)
  AND (%(states)s::text[] IS NULL OR c.state = ANY (%(states)s::text[]))
ORDER BY c.id DESC
LIMIT %(limit)s

-- name: open_like
SELECT c.id
FROM end_device_control c
JOIN end_device_control_request r ON r.id = c.request_id
WHERE c.end_device_id = %(end_device)s AND r.kind = %(kind)s AND r.parameters = %(parameters)s
  AND c.state IN ('requested', 'approved', 'running', 'unknown')
ORDER BY c.id DESC LIMIT 1

-- name: changes
SELECT at, by, state, attempts, error, message FROM end_device_control_change
WHERE control_id = %(id)s ORDER BY id

-- name: approve
UPDATE end_device_control
SET state = 'approved', approved_by = %(by)s, changed_at = %(now)s, changed_by = %(by)s
WHERE id = %(id)s AND state = 'requested' AND needs_approval IS NOT NULL AND expires_at > %(now)s

-- name: cancel
UPDATE end_device_control
SET state = 'cancelled', message = %(note)s, changed_at = %(now)s, changed_by = %(by)s
WHERE id = %(id)s AND state IN ('requested', 'approved')

-- name: send_no_more
UPDATE end_device_control
SET expires_at = greatest(%(now)s, not_before + interval '1 microsecond'), message = %(note)s,
    changed_at = %(now)s, changed_by = %(by)s
WHERE id = %(id)s AND state IN ('running', 'unknown') AND expires_at > %(now)s

-- name: expire
UPDATE end_device_control c
SET state = CASE WHEN c.state = 'running' AND c.sent_at IS NOT NULL THEN 'unknown'
                 ELSE 'expired' END,
    next_attempt = %(now)s,
    message = concat_ws('; ', 'its time ended ' || to_char(c.expires_at, 'YYYY-MM-DD HH24:MI')
                              || ' UTC', c.message),
    changed_at = %(now)s, changed_by = 'miqyas'
WHERE c.expires_at <= %(now)s
  AND (c.state IN ('requested', 'approved')
       OR (c.state = 'running' AND c.next_attempt <= %(now)s
           -- Whoever runs a control has the meter's lease (leases.sql).
           AND pg_try_advisory_xact_lock(7105023, c.end_device_id)))

-- name: mark_critical
INSERT INTO critical_usage_point (usage_point_id, reason, marked_by, marked_at)
SELECT id, %(reason)s, %(by)s, %(now)s FROM usage_point WHERE mrid = %(usage_point)s
ON CONFLICT (usage_point_id) DO UPDATE
SET reason = excluded.reason, marked_by = excluded.marked_by, marked_at = excluded.marked_at

-- name: unmark_critical
DELETE FROM critical_usage_point
WHERE usage_point_id = (SELECT id FROM usage_point WHERE mrid = %(usage_point)s)
