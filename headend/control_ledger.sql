-- name: of_devices
SELECT c.id, c.end_device_id, d.mrid, r.kind, r.parameters
FROM end_device_control c
JOIN end_device_control_request r ON r.id = c.request_id
JOIN end_device d ON d.id = c.end_device_id
WHERE c.end_device_id = ANY (%(end_devices)s::integer[])
  AND (%(only)s::bigint[] IS NULL OR c.id = ANY (%(only)s::bigint[])
       OR c.state IN ('running', 'unknown'))
  AND c.not_before <= %(now)s
  AND (c.state IN ('requested', 'approved') AND c.expires_at > %(now)s
           AND (c.needs_approval IS NULL OR c.state = 'approved')
       OR c.state = 'running'
       -- Later nobody would believe that the meter stands as that control left it.
       OR c.state = 'unknown' AND c.sent_at > %(now)s::timestamptz - interval '7 days')
ORDER BY c.state = 'running' DESC, c.id

-- name: claim
UPDATE end_device_control c
SET state = 'running', attempts = c.attempts + 1, next_attempt = %(now)s::timestamptz + %(patience)s,
    error = NULL, message = NULL, changed_at = %(now)s, changed_by = 'miqyas'
WHERE c.id = %(id)s
  AND c.not_before <= %(now)s
  AND (c.state IN ('requested', 'approved') AND c.expires_at > %(now)s
           AND (c.needs_approval IS NULL OR c.state = 'approved')
       OR c.state IN ('running', 'unknown'))
  AND NOT EXISTS (
      SELECT FROM end_device_control o
      WHERE o.end_device_id = c.end_device_id AND o.id <> c.id AND o.state = 'running')
RETURNING c.id, c.attempts, c.sent_at, c.expires_at, c.approved_by, c.progress,
    c.expires_at > %(now)s AND NOT EXISTS (
        SELECT FROM end_device_control_request r
        JOIN end_device_control l ON l.end_device_id = c.end_device_id AND l.id > c.id
        JOIN end_device_control_request lr ON lr.id = l.request_id
        WHERE r.id = c.request_id AND r.kind = ANY (%(switches)s) AND lr.kind = ANY (%(switches)s)
          AND l.state NOT IN ('cancelled', 'expired', 'failed'))

-- name: sent
UPDATE end_device_control
SET sent_at = %(now)s, changed_at = %(now)s, changed_by = 'miqyas'
WHERE id = %(id)s AND state = 'running'

-- name: progress
UPDATE end_device_control
SET progress = %(progress)s, next_attempt = %(now)s::timestamptz + %(patience)s
WHERE id = %(id)s AND state = 'running'

-- name: settle
UPDATE end_device_control
SET state = CASE WHEN %(state)s = 'waiting' AND sent_at IS NOT NULL THEN 'unknown'
                 WHEN %(state)s = 'waiting' AND approved_by IS NOT NULL THEN 'approved'
                 WHEN %(state)s = 'waiting' THEN 'requested'
                 ELSE %(state)s END,
    result = coalesce(%(result)s, result), error = %(error)s, message = %(message)s,
    next_attempt = coalesce(%(next_attempt)s, next_attempt),
    changed_at = %(now)s, changed_by = 'miqyas'
WHERE id = %(id)s AND state = 'running'

-- name: put_off
UPDATE end_device_control
SET state = CASE WHEN %(give_up)s AND state <> 'unknown' THEN 'failed' ELSE state END,
    next_attempt = %(next_attempt)s, attempts = attempts + 1, error = %(error)s,
    message = %(message)s, changed_at = %(now)s, changed_by = 'miqyas'
WHERE id = ANY (%(ids)s::bigint[]) AND state IN ('requested', 'approved', 'unknown')

-- name: in_session
UPDATE end_device_control SET session_id = %(session)s WHERE id = ANY (%(ids)s::bigint[])
